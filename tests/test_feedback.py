"""The way back to the data: corrections as labelled rows, and what is worth labelling next."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from serving.corrections import Correction, Store, Stored
from serving.errors import DataError
from serving.predictor import Prediction
from training.corrections import as_csv, as_json_lines, corrected
from training.rows import normal_form, read_rows
from training.sample import Candidate, as_label_studio, choose, labelling_interface, read_candidates
from training.sources import read_source
from training.task import read_task

FROZEN = "The council welcomes the bridge as a gift to the whole valley and wants it built before winter."
LABELS = ("for", "against", "none")


@pytest.fixture
def task(tmp_path):
    """A task of three labels with a frozen test set of one text and a corpus of two."""
    (tmp_path / "frozen.jsonl").write_text(json.dumps({"text": FROZEN, "label": "for"}) + "\n")
    corpus = [{"text": "Build it.", "label": "for"}, {"text": "Leave the river alone.", "label": "against"}]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in corpus))
    (tmp_path / "task.toml").write_text(
        'name = "bridge"\ntarget = "the plan to build a bridge"\nlabels = ["for", "against", "none"]\n'
        'frozen_test = "frozen.jsonl"\ncorpus = "corpus.jsonl"\n'
    )
    return read_task(tmp_path / "task.toml")


def stored(*said):
    """Return corrections (text, label, annotator) in the order in which they came."""
    return [
        Stored(n, f"2026-01-01T00:00:{n:02}+00:00", Correction("bridge", text, label, "stance:m", "none", annotator))
        for n, (text, label, annotator) in enumerate(said, 1)
    ]


def test_the_last_word_of_each_annotator_counts_and_then_the_majority(task):
    found = corrected(
        stored(
            ("Too dear.", "for", "ann"),
            ("Too dear.", "against", "bob"),
            (" Too dear. ", "against", "ann"),
            ("Too dear.", "none", "cy"),
            ("It will be opened in May.", "for", ""),
            ("It will be opened in May.", "none", ""),
        ),
        task=task,
    )
    assert [(row.text, row.label, row.extra["annotators"]) for row in found.rows] == [
        ("Too dear.", "against", 3),
        ("It will be opened in May.", "none", 1),
    ]
    assert str(found) == "2 corrected texts"


def test_ties_are_told_and_left_out(task):
    found = corrected(stored(("A bridge!", "for", "ann"), ("A bridge!", "none", "bob"), ("Dear.", "against", "ann")), task=task)
    assert [row.text for row in found.rows] == ["Dear."]
    assert found.ties == ["corrections:2: a tie between annotators (for 1, none 1)"]
    assert str(found) == "1 corrected texts, 1 without a majority left out"


def test_the_frozen_test_set_other_tasks_and_unknown_labels_are_kept_out(task):
    near = FROZEN.replace("before winter", "before next winter")
    others = [
        Stored(9, "2026", Correction("tunnel", "Dig.", "for", "stance:m", "none")),
        Stored(10, "2026", Correction("bridge", "Dig.", "perhaps", "stance:m", "none")),
    ]
    said = stored((FROZEN.upper(), "against", "ann"), (near, "against", "ann"), ("Dear.", "against", "ann"))
    found = corrected([*said, *others], task=task)
    assert [row.text for row in found.rows] == ["Dear."]
    assert [row.text for row in found.reserved] == [FROZEN.upper(), near]
    assert str(found) == "1 corrected texts, 2 of reserved texts left out, 2 of another task or label set left out"


@pytest.mark.parametrize(("name", "write"), [("out.csv", as_csv), ("out.jsonl", as_json_lines)])
def test_what_is_exported_is_read_as_labelled_rows(task, tmp_path, name, write):
    text = 'With "quotes", a comma,\na second line and the arabic الجسر.'
    rows = corrected(stored((text, "against", "ann")), task=task).rows
    (tmp_path / name).write_text(write(rows), encoding="utf-8")
    found = read_rows(tmp_path / name, labels=LABELS)
    assert [(row.text, row.label) for row in found] == [(text, "against")]
    assert found[0].extra["model"] == "stance:m"


def run(*arguments):
    from stance import build

    return CliRunner().invoke(build(), [str(each) for each in arguments])


def test_the_commands_list_and_export_what_is_stored(task, tmp_path, monkeypatch, fresh_settings):
    monkeypatch.setenv("STANCE_CORRECTIONS_URL", f"sqlite:///{tmp_path / 'corrections.sqlite'}")
    assert run("corrections", "list").stdout == ""
    assert not (tmp_path / "corrections.sqlite").exists()
    for each in stored(("Dear.", "against", "ann"), (FROZEN, "none", "ann")):
        Store.configured().add(each.correction)
    listed = [json.loads(line) for line in run("corrections", "list").stdout.splitlines()]
    assert [(line["number"], line["text"], line["label"], line["annotator"]) for line in listed] == [
        (1, "Dear.", "against", "ann"),
        (2, FROZEN, "none", "ann"),
    ]
    done = run("corrections", "export", tmp_path / "out.csv", "--task", tmp_path / "task.toml")
    assert (done.exit_code, "1 corrected texts, 1 of reserved texts left out" in done.stderr) == (0, True)
    assert [row.text for row in read_rows(tmp_path / "out.csv", labels=LABELS)] == ["Dear."]
    assert run("corrections", "export", tmp_path / "out.xlsx", "--task", tmp_path / "task.toml").exit_code == 2


def test_candidates_are_drawn_once_each_whatever_the_order_of_the_file(tmp_path):
    lines = [f"sentence number {n}" for n in range(300)]
    (tmp_path / "a.txt").write_text("\n".join([*lines, "Sentence number 7!", "", "known text"]))
    (tmp_path / "b.txt").write_text("\n".join(reversed(lines)))
    options = {"text_column": "text", "known": {"known text"}, "seed": 3, "most": 40}
    first, passed = read_candidates(tmp_path / "a.txt", **options)
    second, _ = read_candidates(tmp_path / "b.txt", **options)
    assert passed == 3
    assert len({normal_form(candidate.text) for candidate in first}) == 40
    assert [normal_form(c.text) for c in first] == [normal_form(c.text) for c in second]
    other, _ = read_candidates(tmp_path / "a.txt", **{**options, "seed": 4})
    assert {c.text for c in other} != {c.text for c in first}


ENDS = ["", "s", "side", "like", "ward", "bound", "less", "ful"]


def test_what_is_chosen_is_unsure_and_unlike_one_another():
    """Ten groups of near repeats, the first five unsure, half of the unsure texts in the first group alone."""
    words = ["river", "money", "winter", "council", "valley", "railway", "harbour", "school", "forest", "market"]
    sizes = [100, *[10] * 9]
    groups = [group for group, size in enumerate(sizes) for _ in range(size)]
    shades = ["old", "new", "wide", "small", "quiet", "loud", "green", "grey", "cold", "warm", "far"]
    texts = [
        " ".join([*(f"{words[group]}{end}" for end in ENDS), shades[n % 11], shades[n // 11 % 11]])
        for n, group in enumerate(groups)
    ]
    sure = np.where(np.array(groups)[:, None] < 5, [0.4, 0.35, 0.25], [0.98, 0.01, 0.01])
    chosen = choose(texts, sure, count=10, seed=1)
    found = [groups[place] for place in chosen]
    assert len(chosen) == 10
    assert set(found) >= {0, 1, 2, 3, 4}
    assert sum(group < 5 for group in found) >= 9  # drawn from all at random, 7.4 would be
    assert found.count(0) <= 5  # drawn from the unsure ones at random, 7.1 would be
    assert choose(texts, sure, count=10, seed=1) == chosen
    assert choose(texts[:4], sure[:4], count=10, seed=1) == [0, 1, 2, 3]


def prediction(label="for", confidence=0.5):
    rest = (1 - confidence) / 2
    probabilities = {name: confidence if name == label else rest for name in LABELS}
    return Prediction(label, confidence, probabilities, (label,), abstain=False, truncated=False)


def test_the_tasks_have_label_studios_shape_and_their_suggestions_are_never_labels(tmp_path):
    candidates = [Candidate("Sure.", "in.csv:1"), Candidate("Unsure?", "in.csv:2")]
    content = as_label_studio(candidates, [prediction("against", 0.9), prediction("for", 0.4)], model="stance:m")
    tasks = json.loads(content)
    assert tasks[0] == {
        "data": {"text": "Unsure?", "where": "in.csv:2"},
        "predictions": [
            {
                "model_version": "stance:m",
                "score": 0.4,
                "result": [{"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": ["for"]}}],
            }
        ],
    }
    (tmp_path / "tasks.json").write_text(content)
    source = read_source(tmp_path / "tasks.json", labels=LABELS)
    assert (str(source.export), source.cells) == ("Label Studio JSON, 2 tasks, 2 skipped", [])
    with pytest.raises(DataError, match="expected labelled rows, found none"):
        read_rows(tmp_path / "tasks.json", labels=LABELS)
    annotated = {"id": 1, "completed_by": 1, "was_cancelled": False, "result": tasks[0]["predictions"][0]["result"]}
    annotated["result"] = [{**annotated["result"][0], "value": {"choices": ["none"]}}]
    exported = [{**tasks[0], "id": 1, "annotations": [annotated]}, {**tasks[1], "id": 2, "annotations": []}]
    (tmp_path / "export.json").write_text(json.dumps(exported))
    assert [(row.text, row.label) for row in read_rows(tmp_path / "export.json", labels=LABELS)] == [("Unsure?", "none")]


def test_the_labelling_interface_names_what_the_tasks_name():
    from xml.etree import ElementTree

    interface = ElementTree.fromstring(labelling_interface(['for "it"', "against"]))
    assert (interface[0].attrib, interface[1].attrib["name"], interface[1].attrib["toName"]) == (
        {"name": "text", "value": "$text"},
        "label",
        "text",
    )
    assert [choice.attrib["value"] for choice in interface[1]] == ['for "it"', "against"]


@pytest.mark.parametrize("name", ["in.txt", "in.csv", "in.tsv", "in.jsonl", "in.parquet"])
def test_the_command_samples_every_form_and_leaves_out_what_is_known(task, tmp_path, monkeypatch, name):
    from serving.predictor import Predictor
    from tests.tables import write_table

    fake = SimpleNamespace(tag="stance:m", labels=LABELS, stream=lambda texts: [prediction() for _ in texts])
    monkeypatch.setattr(Predictor, "load", lambda tag: fake)
    near = FROZEN.replace("before winter", "before next winter")
    new = [f"A new {word} sentence." for word in ("first", "second", "third")]
    texts = [*new, "BUILD IT!", FROZEN, near, new[0], "Somebody labelled this."]
    write_table(tmp_path / name, [{"text": text} for text in texts])
    (tmp_path / "done.csv").write_text("text,label\nSomebody labelled this.,none\n")
    arguments = [tmp_path / name, tmp_path / "tasks.json", "--task", tmp_path / "task.toml", "--data", tmp_path / "done.csv"]
    done = run("sample", *arguments, "--n", 2)
    assert done.exit_code == 0, done.output
    assert "2 of 3 texts; 5 rows left out" in done.stderr
    texts = [each["data"]["text"] for each in json.loads((tmp_path / "tasks.json").read_text())]
    assert len(set(texts)) == 2
    assert set(texts) < set(new)
