"""Exports of labelling tools, in the shapes that the tools write: tests/exports holds the same sentences in each.

Sentence 1 has two votes against one, 2 a tie, 4 one vote and a suggestion of another label, 7 one vote beside a skip, 10 one person
who chose twice; the others were cancelled, drafted, turned down, or never labelled.
"""

import json
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serving.errors import DataError
from tests.conftest import ROOT
from training.annotations import Vote, majority
from training.rows import read_rows
from training.sources import Columns, read_source

EXPORTS = ROOT / "tests" / "exports"
LABELS = ("supportive", "critical", "denying", "neutral")
FIRST = "The assessment gives families a record that they can point to."
FOURTH = "Not one of the report's claims happened."
SEVENTH = "The document has eight sections and an annex."
DECIDED = {FIRST: "supportive", FOURTH: "denying", SEVENTH: "neutral"}
SECOND = "The office took a year to say in forty pages what was known before."
TENTH = "It is late, and it is right."


@pytest.fixture
def doccano_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "doccano.zip", "w", compression=zipfile.ZIP_DEFLATED) as archive:
        for file in sorted((EXPORTS / "doccano").iterdir()):
            archive.write(file, arcname=file.name)
    return tmp_path / "doccano.zip"


@pytest.fixture
def argilla_parquet(tmp_path):
    lines = (EXPORTS / "argilla_dataset.jsonl").read_text().splitlines()
    pq.write_table(pa.Table.from_pylist([json.loads(line) for line in lines]), tmp_path / "argilla.parquet")
    return tmp_path / "argilla.parquet"


@pytest.mark.parametrize(
    ("name", "said", "undecided"),
    [
        ("label_studio.json", "Label Studio JSON, 10 tasks, 5 skipped, 3 annotators", [SECOND, TENTH]),
        ("label_studio_min.json", "Label Studio JSON-MIN, 6 tasks, 1 skipped, 3 annotators", [SECOND, TENTH]),
        ("label_studio.csv", "Label Studio CSV, 6 tasks, 1 skipped, 3 annotators", [SECOND, TENTH]),
        ("label_studio.tsv", "Label Studio TSV, 6 tasks, 1 skipped, 3 annotators", [SECOND, TENTH]),
        ("argilla_dataset.jsonl", "Argilla dataset, 10 records, 6 skipped, 3 annotators", [SECOND]),
        ("argilla.parquet", "Argilla dataset, 10 records, 6 skipped, 3 annotators", [SECOND]),
        ("prodigy_binary.jsonl", "Prodigy JSONL, 7 tasks, 2 skipped, 3 annotators", [SECOND, TENTH]),
        ("prodigy_choice.jsonl", "Prodigy JSONL, 8 tasks, 3 skipped, 3 annotators", [SECOND, TENTH]),
        ("doccano.jsonl", "doccano JSONL, 5 examples, 1 skipped", [SECOND]),
        ("doccano.zip", "doccano ZIP, 5 examples, 1 skipped, 3 annotators", [SECOND]),
    ],
)
def test_an_export_is_told_from_its_shape_and_read_by_majority(name, said, undecided, doccano_zip, argilla_parquet):
    path = {"doccano.zip": doccano_zip, "argilla.parquet": argilla_parquet}.get(name, EXPORTS / name)
    source = read_source(path, labels=LABELS)
    assert str(source.export) == said
    assert {cells.cells["text"]: cells.cells["label"] for cells in source.cells} == DECIDED
    assert [cells.cells["text"] for cells in source.undecided] == undecided
    told = []
    rows = read_rows(path, labels=LABELS, tell=told.append)
    assert {row.text: row.label for row in rows} == DECIDED
    assert told[0] == f"{path}: {said}"
    assert told[1].startswith(f"{path}: {len(undecided)} texts without a majority are left out, the first at {path}:")


def test_records_of_argilla_that_do_not_tell_drafts_from_responses_count_where_all_agree():
    """A completed record has a submitted response at least, so a label that all of its responses share was submitted."""
    source = read_source(EXPORTS / "argilla_records.json", labels=LABELS)
    assert str(source.export) == "Argilla records, 10 records, 9 skipped, 1 annotator"
    assert {cells.cells["text"]: cells.cells["label"] for cells in source.cells} == {FOURTH: "denying"}
    assert [cells.cells["text"] for cells in source.undecided] == [FIRST, SECOND, SEVENTH]
    assert {cells.fault for cells in source.undecided} == {
        "responses differ, and records JSON does not say which were submitted: export with to_datasets"
    }


def test_records_of_argilla_without_any_status_are_refused(tmp_path):
    records = json.loads((EXPORTS / "argilla_records.json").read_text())
    for record in records:
        del record["status"]
    (tmp_path / "records.json").write_text(json.dumps(records))
    with pytest.raises(DataError, match=r"records.json:1: expected a status .* export the dataset with to_datasets"):
        read_source(tmp_path / "records.json", labels=LABELS)


def test_records_of_argilla_whose_responses_have_a_status_are_read_by_it(tmp_path):
    records = json.loads((EXPORTS / "argilla_records.json").read_text())
    flat = [json.loads(line) for line in (EXPORTS / "argilla_dataset.jsonl").read_text().splitlines()]
    for record, row in zip(records, flat, strict=True):
        for response, status in zip(record["responses"].get("stance", []), row["stance.responses.status"] or [], strict=True):
            response["status"] = status
    (tmp_path / "records.json").write_text(json.dumps(records))
    rows = read_rows(tmp_path / "records.json", labels=LABELS)
    assert {row.text: row.label for row in rows} == DECIDED


def test_a_choice_whose_id_is_a_number_is_read_by_its_text(tmp_path):
    task = {
        "text": FOURTH,
        "options": [{"id": 1, "text": "denying"}, {"id": 2, "text": "neutral"}],
        "accept": [1],
        "answer": "accept",
        "_input_hash": 5,
    }
    (tmp_path / "choice.jsonl").write_text(json.dumps(task) + "\n")
    assert [row.label for row in read_rows(tmp_path / "choice.jsonl", labels=LABELS)] == ["denying"]


def test_labels_are_translated_before_the_majority_is_taken(tmp_path):
    lines = (EXPORTS / "prodigy_choice.jsonl").read_text().replace('"accept": ["critical"]', '"accept": ["PRO"]')
    (tmp_path / "choice.jsonl").write_text(lines)
    rows = read_rows(tmp_path / "choice.jsonl", labels=LABELS, columns=Columns(label_map={"PRO": "supportive"}))
    assert {row.text: row.label for row in rows} == {**DECIDED, SECOND: "supportive"}


def test_of_several_questions_one_is_to_be_named(tmp_path):
    content = json.loads((EXPORTS / "label_studio.json").read_text())
    content[3]["annotations"][0]["result"].append(
        {"value": {"choices": ["press"]}, "id": "x", "from_name": "register", "to_name": "text", "type": "choices"}
    )
    (tmp_path / "tasks.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"expected choices named 'label', found 'register', 'stance'; name yours with --label"):
        read_rows(tmp_path / "tasks.json", labels=LABELS)
    rows = read_rows(tmp_path / "tasks.json", labels=LABELS, columns=Columns(label="stance"))
    assert {row.text: row.label for row in rows} == DECIDED


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.json", '{"a": 1}', "expected a list of objects"),
        ("x.json", "[", "expected JSON"),
        ("x.json", '[{"text": "a", "tag": "b"}]', "expected a column 'label', found 'text', 'tag'"),
        ("x.json", '[{"data": {"a": "x", "b": "y"}, "annotations": []}]', "expected a text under 'text', found 'a', 'b'"),
        ("x.json", '[{"data": {"text": "x"}, "annotations": [{"result": [{"type": "choices"}]}]}]', "not in the shape"),
        ("x.xlsx", "", r"expected a name that ends in \.csv, .*\.json, \.zip, found '\.xlsx'"),
        ("x.csv", "text,label.responses,label.responses.users\na,['for'],['u']\n", "an Argilla dataset in CSV"),
        ("x.zip", "no", "not a zip archive"),
    ],
)
def test_a_file_that_is_no_export_is_one_clear_error(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        read_rows(tmp_path / name, labels=LABELS)


@pytest.mark.parametrize(
    ("votes", "label", "problem"),
    [
        ([("a", ["x"]), ("b", ["x"]), ("c", ["y"])], "x", ""),
        ([("a", ["x"]), ("b", ["y"])], None, "a tie between annotators"),
        ([("a", ["x"]), ("a", ["x"]), ("b", ["y"])], None, "a tie between annotators"),
        ([("", ["x"]), ("", ["x"]), ("b", ["y"])], "x", ""),
        ([("a", ["x"]), ("a", ["y"]), ("b", ["y"])], "y", ""),
        ([("a", ["x", "y"])], None, "expected one label a text, found several"),
    ],
)
def test_each_annotator_has_one_vote(votes, label, problem):
    verdict = majority([Vote(annotator, tuple(labels)) for annotator, labels in votes])
    assert (verdict.label, verdict.problem) == (label, problem)
