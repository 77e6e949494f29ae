import json
from collections import Counter

import pytest

from serving.errors import DataError
from tests.conftest import ROOT
from training.behaviour import Case, read_cases, run_cases, wilson_interval

FEWEST = 60
FOLDER = ROOT / "data" / "behaviour"


class Parrot:
    """Stands where a predictor would: answers each text with its first word."""

    def predict(self, texts):
        return [type("P", (), {"label": text.split()[0]})() for text in texts]


def test_expectations_want_the_label_and_invariances_the_same_one():
    cases = [
        Case(id="1", capability="a", text="good day", label="good"),
        Case(id="2", capability="a", text="bad day", label="good"),
        Case(id="3", capability="b", text="bad day", label="good", variants=("bad night", "bad noon")),
        Case(id="4", capability="b", text="good day", label="good", variants=("good night", "bad noon")),
    ]
    outcomes = run_cases(Parrot(), cases)
    assert {name: (o.cases, o.passed, o.failed) for name, o in outcomes.items()} == {"a": (2, 1, ["2"]), "b": (2, 1, ["4"])}


def test_the_wilson_interval_is_that_of_the_literature():
    # Newcombe (1998), table 1: 81 of 263 gives 0.2553 to 0.3662
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson_interval(10, 10)[1] == pytest.approx(1.0)


def test_a_wrong_case_is_one_clear_error(tmp_path):
    with pytest.raises(DataError, match="expected a folder of .jsonl files with behavioural cases, found none"):
        read_cases(tmp_path / "absent")
    good = json.dumps({"id": "1", "capability": "a", "text": "x", "label": "y"})
    (tmp_path / "a.jsonl").write_text(good + "\n" + good + "\n")
    with pytest.raises(DataError, match=r"a.jsonl:2: the id '1' stands there twice"):
        read_cases(tmp_path)
    (tmp_path / "a.jsonl").write_text('{"id": "1"}\n')
    with pytest.raises(DataError, match=r"a.jsonl:1: capability: Field required"):
        read_cases(tmp_path)


def test_the_shipped_cases_are_enough_use_the_tasks_labels_and_are_not_trained_on(corpus_lines):
    cases = read_cases(FOLDER)
    counts = Counter(case.capability for case in cases)
    assert min(counts.values()) >= FEWEST, counts
    assert {case.label for case in cases} == {"supportive", "critical", "denying", "neutral"}
    trained = {row["text"] for row in corpus_lines}
    assert not [case.id for case in cases if case.text in trained]
