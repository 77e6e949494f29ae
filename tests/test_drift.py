"""What a service records of its predictions, and what is told from the records."""

import datetime
import json
import re

import numpy as np
import pytest
from typer.testing import CliRunner

from serving.errors import DataError
from serving.predictor import Prediction
from tests.server import SECRET
from training.drift import Change, compare, reference_of, reference_of_window, stability
from training.monitored import Record, Window, find_logs, read_window

LABELS = ("for", "against", "none")
MOMENT = datetime.datetime(2026, 1, 1)


def records(count, *, seed, shares=(0.5, 0.3, 0.2), surer=0.0, longer=1.0):
    """Return seeded records; ``surer`` is added to the confidence, lengths are multiplied by ``longer``."""
    generator = np.random.default_rng(seed)
    labels = generator.choice(LABELS, size=count, p=shares)
    confidence = np.clip(generator.beta(5, 2, count) + surer, 0, 1)
    characters = generator.lognormal(4.5, 0.5, count) * longer
    return [
        Record(timestamp=MOMENT, label=a, confidence=b, characters=int(c), model="stance:m", text_hash=f"{seed} {n}")
        for n, (a, b, c) in enumerate(zip(labels, confidence, characters, strict=True))
    ]


@pytest.fixture(scope="module")
def reference():
    return reference_of_window(records(2000, seed=0), labels=LABELS, source="January")


def verdicts(changes):
    return {change.name: change.verdict for change in changes}


def test_a_reference_counts_labels_and_cuts_values_into_tenths(reference):
    assert sum(reference.labels.values()) == reference.texts == 2000
    assert reference.labels["for"] == pytest.approx(1000, abs=80)
    assert len(reference.confidence.edges) == 9
    assert all(count == pytest.approx(200, abs=1) for count in reference.confidence.counts)


def test_a_reference_of_few_different_values_has_few_bins():
    predictions = [Prediction("for", 0.5, {}, (), False, False)] * 150
    found = reference_of(predictions, ["ab"] * 100 + ["abcd"] * 50, labels=LABELS, source="x")
    assert (found.characters.edges, found.characters.counts) == ((2.0, 4.0), (100, 50, 0))
    assert (found.confidence.edges, found.confidence.counts) == ((0.5,), (150, 0))
    assert found.labels == {"for": 150, "against": 0, "none": 0}


@pytest.mark.parametrize(
    ("change", "moved", "words"),
    [
        ({"shares": (0.25, 0.55, 0.2)}, "labels", r"against 29% before, 54% now, a change of \+21 to \+29 points"),
        ({"surer": -0.15}, "confidence", "surer than one of the reference [23]. times of 100"),
        ({"longer": 1.6}, "length", "longer than one of the reference 7. times of 100"),
    ],
)
def test_what_moved_is_told_and_nothing_else(reference, change, moved, words):
    changes = compare(records(800, seed=5, **change), reference)
    found = verdicts(changes)
    assert found.pop(moved) in ("moved", "moved a lot")
    assert set(found.values()) == {"no change that can be told from chance"}
    (told,) = [str(each) for each in changes if each.name == moved]
    assert re.search(words, told)
    assert "chance of such a difference without a change: less than 1 in 1,000" in told


def test_a_change_is_told_where_there_is_none_no_oftener_than_promised(reference):
    """Windows of the reference's own distribution; binomial limits for a chance of 5 %."""
    false = sum(any(c.p < 0.05 for c in compare(records(300, seed=s), reference)) for s in range(100, 160))
    assert false <= 9


def test_the_index_is_that_of_the_definition_and_its_interval_holds_it():
    before, after = np.array([400, 300, 200, 100]), np.array([2000, 3000, 2000, 3000])
    index, (low, high) = stability(before, after)
    assert low < 0.2 * np.log(2) + 0.2 * np.log(3) < high
    assert index == pytest.approx(0.2 * np.log(2) + 0.2 * np.log(3), abs=0.02)
    assert stability(before, before * 3)[0] == 0.0


@pytest.mark.parametrize(
    ("index", "p", "verdict"),
    [
        (0.5, 0.06, "no change that can be told from chance"),
        (0.05, 0.01, "moved a little"),
        (0.2, 0.01, "moved"),
        (0.3, 0.01, "moved a lot"),
    ],
)
def test_a_verdict_needs_both_size_and_certainty(index, p, verdict):
    assert Change("labels", index, (0.0, 1.0), p, "").verdict == verdict


def test_too_few_predictions_tell_nothing(reference):
    with pytest.raises(DataError, match="expected at least 100 predictions of different texts on either side, found 99"):
        compare(records(99, seed=1), reference)


def lines(*found):
    return "".join(
        json.dumps({"label": "for", "confidence": 0.5, "characters": 4, "model": model, "text_hash": text, "timestamp": moment})
        + "\n"
        for moment, model, text in found
    )


def test_a_window_holds_each_text_of_its_model_once_from_every_file(tmp_path):
    folder = tmp_path / "stance_predictions" / "data"
    folder.mkdir(parents=True)
    (folder / "data.1.log").write_text(lines(("2026-01-03T00:00:00.5", "stance:m", "c")) + '{"label": "cut o')
    early = [("2026-01-01T10:00:00", "stance:m", "a"), ("2026-01-02T10:00:00", "stance:m", "a")]
    others = [("2026-01-02T11:00:00", "stance:m", "b"), ("2026-01-02T12:00:00", "stance:other", "d")]
    (folder / "data.1.log.2026-01-02").write_text(lines(*early, *others))
    logs = find_logs([tmp_path])
    assert len(logs) == 2
    found, repeats = read_window(logs, Window(), model="stance:m")
    assert ([record.text_hash for record in found], repeats) == (["a", "b", "c"], 1)
    inside = Window(datetime.datetime(2026, 1, 2), datetime.datetime(2026, 1, 3))
    assert [record.text_hash for record in read_window(logs, inside, model="stance:m")[0]] == ["a", "b"]
    assert str(inside) == "predictions from 2026-01-02 00:00 until 2026-01-03 00:00"
    with pytest.raises(DataError, match=r"expected those of stance:x, found stance:m \(4\), stance:other \(1\)"):
        read_window(logs, Window(), model="stance:x")


def test_what_is_no_log_is_told(tmp_path):
    with pytest.raises(DataError, match="expected recorded predictions, found none"):
        find_logs([tmp_path])
    (tmp_path / "x.log").write_text("nonsense\n" + lines(("2026-01-03", "stance:m", "c")))
    with pytest.raises(DataError, match="x.log:1: expected a recorded prediction"):
        read_window([tmp_path / "x.log"], Window(), model="stance:m")
    with pytest.raises(DataError, match="cannot be read"):
        read_window([tmp_path / "absent"], Window(), model="stance:m")


@pytest.fixture
def monitor(monkeypatch, tmp_path, fresh_settings):
    """A monitor that writes below ``tmp_path``; BentoML keeps one a name and process."""
    from bentoml._internal.monitoring import api

    from serving.monitor import Monitor

    monkeypatch.setattr(api, "_MONITOR_INSTANCES", {})
    monkeypatch.setenv("STANCE_MONITOR_FOLDER", str(tmp_path / "monitoring"))
    monkeypatch.setenv("STANCE_MONITOR_KEY", "hush")
    monitor = Monitor()
    yield monitor
    monitor.close()


def predictions(count):
    return [Prediction("for", 0.123456789, {}, ("for",), abstain=True, truncated=False)] * count


def test_what_is_recorded_is_read_back_and_holds_no_text(monitor, tmp_path):
    monitor.record([SECRET, "b", SECRET], predictions(3), model="stance:m")
    monitor.record(["lone \ud800"], predictions(1), model="stance:m")
    monitor.close()
    found, repeats = read_window(find_logs([tmp_path]), Window(), model="stance:m")
    assert repeats == 1
    assert [(record.label, record.confidence, record.characters) for record in found] == [
        ("for", 0.123457, len(SECRET)),
        ("for", 0.123457, 1),
        ("for", 0.123457, 6),
    ]
    assert abs(found[0].timestamp - datetime.datetime.now()) < datetime.timedelta(minutes=1)
    written = "".join(path.read_text() for path in tmp_path.rglob("*.log"))
    assert SECRET not in written
    assert "hush" not in written


def test_the_hash_depends_on_the_key(monkeypatch, fresh_settings):
    from serving.monitor import Monitor
    from serving.settings import settings

    def hashes():
        settings.cache_clear()
        monitor = Monitor()
        monitor.close()
        return [monitor._record(text, predictions(1)[0], "m")["text_hash"] for text in ("one", "one", "two")]

    monkeypatch.setenv("STANCE_MONITOR_KEY", "first")
    first, again = hashes(), hashes()
    monkeypatch.setenv("STANCE_MONITOR_KEY", "second")
    second = hashes()
    monkeypatch.delenv("STANCE_MONITOR_KEY")
    assert first == again
    assert first[0] == first[1] != first[2]
    assert len({first[0], second[0], hashes()[0], hashes()[0]}) == 4


def test_a_folder_that_cannot_be_written_is_told_once_and_harms_nothing(monitor, tmp_path, caplog):
    (tmp_path / "monitoring").write_text("a file where the folder should be")
    for _ in range(3):
        monitor.record(["a"], predictions(1), model="stance:m")
    monitor._thread.submit(lambda: None).result()
    assert caplog.text.count("predictions cannot be recorded: ") == 1
    (tmp_path / "monitoring").unlink()
    monitor.record(["a"], predictions(1), model="stance:m")
    monitor.close()
    assert len(read_window(find_logs([tmp_path]), Window(), model="stance:m")[0]) == 1


def test_what_cannot_be_written_fast_enough_is_dropped_and_counted(monitor, monkeypatch):
    from prometheus_client import REGISTRY

    from serving import monitor as module

    def dropped():
        return REGISTRY.get_sample_value("stance_unrecorded_predictions_total")

    before = dropped()
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    monitor.record(["a"] * 4, predictions(4), model="stance:m")
    assert dropped() == before + 4


def run(*arguments):
    from stance import build

    return CliRunner().invoke(build(), [str(each) for each in arguments])


def write_log(path, found, *, model, moment):
    path.write_text(
        "".join(record.model_copy(update={"model": model, "timestamp": moment}).model_dump_json() + "\n" for record in found)
    )


def test_an_artifact_has_a_reference_and_the_command_compares_with_it(built, tmp_path):
    from serving.artifact import read_manifest

    manifest = read_manifest(built.model.path)
    reference = manifest.reference
    counts = manifest.data["counts"]["test"]
    assert reference.texts == sum(reference.labels.values()) == sum(counts.values())
    assert reference.source == "the model's own test split"
    window = [
        record.model_copy(update={"label": label})
        for record, label in zip(records(300, seed=1), [manifest.label_names[0]] * 300, strict=True)
    ]
    write_log(tmp_path / "data.0.log", window, model=built.model.tag, moment=MOMENT)
    done = run("drift", tmp_path, "--json", tmp_path / "drift.json")
    if reference.texts < 100:
        assert f"found {reference.texts}" in str(done.exception)
    else:
        assert [line.split(":")[0] for line in done.stdout.splitlines()[1:]] == ["labels", "confidence", "length"]


def test_the_command_compares_two_times(built, tmp_path):
    from serving.artifact import read_manifest

    names = read_manifest(built.model.path).label_names
    named = dict(zip(LABELS, names, strict=False))
    for number, (seed, longer) in enumerate([(3, 1.0), (4, 2.0)], 1):
        found = [each.model_copy(update={"label": named[each.label]}) for each in records(400, seed=seed, longer=longer)]
        path = tmp_path / f"data.{number}.log"
        write_log(path, found, model=built.model.tag, moment=datetime.datetime(2026, number, 15))
    done = run(
        "drift", tmp_path, "--since", "2026-02-01", "--against", "2026-01-01..2026-02-01", "--json", tmp_path / "drift.json"
    )
    assert done.exit_code == 0, done.output
    first, labels, confidence, length = done.stdout.splitlines()
    assert first == (
        f"predictions from 2026-02-01 00:00 of {built.model.tag}: 400 texts, 0 repeats left out;"
        " reference: predictions from 2026-01-01 00:00 until 2026-02-01 00:00, 400 texts"
    )
    assert labels.startswith("labels: no change that can be told from chance.")
    assert confidence.startswith("confidence: no change that can be told from chance.")
    assert length.startswith("length: moved a lot. A prediction of the window is longer")
    content = json.loads((tmp_path / "drift.json").read_text())
    assert [change["verdict"] for change in content["changes"]][-1] == "moved a lot"
    assert run("drift", tmp_path, "--against", "January").exit_code == 2


def test_an_artifact_without_a_reference_is_told(built, tmp_path, monkeypatch):
    from serving import artifact
    from serving.artifact import read_manifest

    old = read_manifest(built.model.path).model_copy(update={"reference": None})
    monkeypatch.setattr(artifact, "read_manifest", lambda path: old)
    write_log(tmp_path / "data.0.log", records(200, seed=1), model=built.model.tag, moment=MOMENT)
    done = run("drift", tmp_path)
    assert "was made without a reference of its own: compare two times with --against FROM..TO" in str(done.exception)
