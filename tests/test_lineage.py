"""Which rows made a model, and what the next one is made of."""

import gzip
import json

import pytest

from serving import registry
from serving.artifact import ROWS
from serving.errors import ArtifactError, DataError
from training.build import _NAMED, _stored_before
from training.lineage import read_rows_of, rows_behind, write_rows
from training.retrain import merge
from training.rows import LabelledRow, Unique, digest
from training.sets import own_sets


def row(text, label="neutral", **extra):
    return LabelledRow(text=text, label=label, where="file.csv:1", extra=extra)


def test_a_model_holds_the_rows_that_made_it(built, run):
    found = read_rows_of(built.model.path)
    assert [(r.text, r.label) for r in found.rows] == [(r.text, r.label) for r in run.rows]
    manifest = registry.verdict_of(built.model), json.loads((built.model.path / "manifest.json").read_text())
    assert manifest[0] == {}
    assert manifest[1]["data"]["sha256"] == digest(found.rows)
    assert ROWS in manifest[1]["files"]


def test_rows_guards_and_the_teacher_come_back_as_they_were(tmp_path):
    odd = 'a "quoted"\nline with \ud800 and \u2028'
    rows = [row(odd, "critical", teacher=[0.5, 0.5], id="c1"), row("plain")]
    write_rows(tmp_path, rows, guards=[row("twice", "denying")], teacher="teacher")
    found = read_rows_of(tmp_path)
    assert [(r.text, r.label, r.extra) for r in found.rows] == [
        (odd, "critical", {"teacher": [0.5, 0.5]}),
        ("plain", "neutral", {}),
    ]
    assert [(r.text, r.label) for r in found.contradictions] == [("twice", "denying")]
    first = (tmp_path / ROWS).read_bytes()
    write_rows(tmp_path, rows, guards=[row("twice", "denying")], teacher="teacher")
    assert (tmp_path / ROWS).read_bytes() == first


@pytest.mark.parametrize(
    "content", [b"nonsense", gzip.compress(b"[1]\n"), gzip.compress(b'{"text": "x"}\n')], ids=["no gzip", "no object", "no label"]
)
def test_damaged_rows_are_one_clear_error(tmp_path, content):
    (tmp_path / ROWS).write_bytes(content)
    with pytest.raises(ArtifactError, match="expected the rows that made the model"):
        read_rows_of(tmp_path)


def test_a_model_without_its_rows_goes_on_from_the_corpus_of_the_task(tmp_path, run, small_corpus):
    assert read_rows_of(tmp_path) is None
    unique, _ = rows_behind(tmp_path, run.task.model_copy(update={"corpus": small_corpus}))
    assert digest(unique.rows) == digest(run.rows)


def test_a_model_is_scored_on_its_own_test_rows_and_never_on_others(built, predictor, run, small_corpus, tmp_path):
    sets, _ = own_sets(predictor.manifest, run.task, rows_of_model=read_rows_of(built.model.path))
    assert len(sets["test"]) == built.figures["test"]["texts"]
    lines = small_corpus.read_text(encoding="utf-8").splitlines(keepends=True)
    other = tmp_path / "other.jsonl"
    other.write_text("".join(lines[:300]), encoding="utf-8")
    with pytest.raises(DataError, match="not the rows that this model was trained with"):
        own_sets(predictor.manifest, run.task.model_copy(update={"corpus": other}))


def test_merging_keeps_every_row_and_the_newest_label():
    before = Unique(
        rows=[row("kept", teacher=[1, 0]), row("corrected", "critical")], repeats=[], contradictions=[row("settled"), row("open")]
    )
    new = [row("kept "), row("corrected", "denying"), row("settled", "denying"), row("fresh")]
    found = merge(before, new)
    assert [(r.text, r.label) for r in found.rows] == [
        ("kept", "neutral"),
        ("corrected", "denying"),
        ("settled", "denying"),
        ("fresh", "neutral"),
    ]
    assert found.rows[0].extra == {"teacher": [1, 0]}
    assert [r.text for r in found.guards] == ["open"]
    assert [r.text for r in found.added] == ["settled", "fresh"]
    assert [r.text for r in found.known] == ["kept "]
    assert [r.text for r in found.relabelled] == ["corrected"]


def test_a_run_goes_on_with_the_model_that_it_had_stored(built, tmp_path):
    assert _stored_before(tmp_path, judged=False) is None
    (tmp_path / _NAMED).write_text(f"{built.model.tag}\n")
    found = _stored_before(tmp_path, judged=False)
    assert found.model == built.model
    assert found.figures["test"]["macro_f1"] == pytest.approx(built.figures["test"]["macro_f1"])
    half = registry.place_of("stance:20260102t000000-eeeeee")
    half.mkdir(parents=True)
    (tmp_path / _NAMED).write_text("stance:20260102t000000-eeeeee\n")
    assert _stored_before(tmp_path, judged=False) is None
    assert not half.exists()
    assert not (tmp_path / _NAMED).exists()
