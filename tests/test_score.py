import csv
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serving.errors import DataError
from serving.score import Job, score
from tests.conftest import ODD_TEXTS

ADDED = [
    "stance",
    "stance_confidence",
    "stance_p_supportive",
    "stance_p_critical",
    "stance_p_denying",
    "stance_p_neutral",
    "stance_abstain",
    "stance_model",
]


def write_csv(path, rows, delimiter=","):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)


def read_csv(path, delimiter=","):
    return list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline=""), delimiter=delimiter))


def run(source, target, predictor, **options):
    return score(Job(source=source, target=target, **{"chunk": 7, **options}), predictor=predictor)


@pytest.mark.parametrize(("name", "delimiter"), [("in.csv", ","), ("in.tsv", "\t")])
def test_a_table_keeps_its_columns_order_and_exact_text(tmp_path, predictor, texts, name, delimiter):
    good = [text for text in texts if text.isprintable() or "\n" in text]
    rows = [["id", "text", "odd"], *([f"00{i}", text, 'None, "NA" \n 1e5'] for i, text in enumerate(good))]
    write_csv(tmp_path / name, rows, delimiter)
    summary = run(tmp_path / name, tmp_path / f"out-{name}", predictor)
    found = read_csv(tmp_path / f"out-{name}", delimiter)
    assert found[0] == ["id", "text", "odd", *ADDED]
    assert [row[:3] for row in found[1:]] == rows[1:]
    expected = predictor.predict(good)
    assert [row[3] for row in found[1:]] == [p.label for p in expected]
    assert [float(row[4]) for row in found[1:]] == pytest.approx([p.confidence for p in expected], abs=0.011)
    assert [row[9] for row in found[1:]] == ["true" if p.abstain else "false" for p in expected]
    assert {row[10] for row in found[1:]} == {predictor.tag}
    assert (summary.rows, summary.rejected) == (len(good), 0)
    assert not (tmp_path / f"out-{name}.rejects.jsonl").exists()


def test_json_lines_keep_every_key_and_odd_text(tmp_path, predictor):
    rows = [{"n": i, "deep": {"list": [1, None]}, "text": text} for i, text in enumerate(ODD_TEXTS)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    run(tmp_path / "in.jsonl", tmp_path / "out.jsonl", predictor)
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").split("\n")[:-1]]
    assert [{key: row[key] for key in ("n", "deep", "text")} for row in found] == rows
    assert [list(row)[3:] for row in found] == [ADDED] * len(rows)
    assert [row["stance"] for row in found] == [p.label for p in predictor.predict(ODD_TEXTS)]


def test_json_lines_keep_the_exact_characters_of_every_value(tmp_path, predictor):
    lines = ['{"text":"one","big":1e400,"long":0.12345678901234567890,"u":"\\u00e9é"}', '{ "text" : "two" , "n": NaN }']
    (tmp_path / "in.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    run(tmp_path / "in.jsonl", tmp_path / "out.jsonl", predictor)
    found = (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    assert [out.startswith(line[:-1].rstrip() + ', "stance": ') for line, out in zip(lines, found, strict=True)] == [True, True]


def test_a_parquet_file_whose_first_row_stops_the_run_says_why(tmp_path, predictor):
    pq.write_table(pa.table({"text": pa.array([None, "x"], pa.string())}), tmp_path / "in.parquet")
    with pytest.raises(DataError, match=r"in.parquet:1: expected a string, found NoneType"):
        run(tmp_path / "in.parquet", tmp_path / "out.parquet", predictor, on_error="stop")
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "empty.parquet")
    assert run(tmp_path / "empty.parquet", tmp_path / "none.parquet", predictor).rows == 0
    assert pq.read_table(tmp_path / "none.parquet").num_columns == 1 + len(ADDED)


def test_parquet_keeps_types_and_nulls(tmp_path, predictor, texts):
    good = [text for text in texts if "\ud800" not in text]
    table = pa.table({"text": [*good, None], "day": pa.array([19000] * (len(good) + 1), pa.date32())})
    pq.write_table(table, tmp_path / "in.parquet")
    summary = run(tmp_path / "in.parquet", tmp_path / "out.parquet", predictor)
    found = pq.read_table(tmp_path / "out.parquet")
    assert found.select(["text", "day"]).equals(table)
    assert found["stance"].to_pylist() == [*(p.label for p in predictor.predict(good)), None]
    assert found.schema.field("stance_abstain").type == pa.bool_()
    assert summary.rejected == 1


def test_a_row_that_cannot_be_scored_keeps_its_place_and_is_told(tmp_path, predictor):
    lines = ["id,text", "1,good", "2,", '3,"two', 'lines"', "4,too,many,cells", "5", "6,also good"]
    (tmp_path / "in.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    summary = run(tmp_path / "in.csv", tmp_path / "out.csv", predictor)
    found = read_csv(tmp_path / "out.csv")
    assert [row[0] for row in found[1:]] == ["1", "2", "3", "4", "5", "6"]
    assert [bool(row[2]) for row in found[1:]] == [True, False, True, False, False, True]
    assert all(row[2:] == [""] * 8 for row in (found[2], found[4], found[5]))
    rejects = [json.loads(line) for line in (tmp_path / "out.csv.rejects.jsonl").read_text().splitlines()]
    assert [(r["line"], r["reason"]) for r in rejects] == [
        (3, "the text is empty"),
        (6, "expected 2 cells, found 4"),
        (7, "expected 2 cells, found 1"),
    ]
    assert rejects[1]["row"] == ["4", "too", "many", "cells"]
    assert (summary.rows, summary.rejected, sum(summary.stances.values())) == (6, 3, 3)


def test_json_lines_that_hold_no_text_keep_their_place_and_are_told(tmp_path, predictor):
    lines = ['{"text": "good"}', "not json", "[1]", '{"text": 5, "id": 7}', '{"id": 8}', "", '{"text": "good"}']
    (tmp_path / "in.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    run(tmp_path / "in.jsonl", tmp_path / "out.jsonl", predictor)
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["stance"] is None for row in found] == [False, True, True, True, True, False]
    assert [row.get("id") for row in found[3:5]] == [7, 8]
    rejects = [json.loads(line) for line in (tmp_path / "out.jsonl.rejects.jsonl").read_text().splitlines()]
    assert [(r["line"], r["reason"]) for r in rejects] == [
        (2, "not JSON"),
        (3, "expected an object, found list"),
        (4, "text: expected a string, found int"),
        (5, "text: expected a string, found no such key"),
    ]


def test_on_error_stop_says_where_and_leaves_nothing(tmp_path, predictor):
    (tmp_path / "in.csv").write_text("text\ngood\n   \n", encoding="utf-8")
    with pytest.raises(DataError, match=r"in.csv:3: the text is empty"):
        run(tmp_path / "in.csv", tmp_path / "out.csv", predictor, on_error="stop")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv"]


def test_a_failure_leaves_an_earlier_output_as_it_was(tmp_path, predictor):
    (tmp_path / "out.csv").write_text("earlier")
    (tmp_path / "in.csv").write_bytes(b"text\ngood\ncaf\x81\n")
    with pytest.raises(DataError, match="expected UTF-8, found byte 0x81"):
        run(tmp_path / "in.csv", tmp_path / "out.csv", predictor)
    assert (tmp_path / "out.csv").read_text() == "earlier"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]


def test_rejects_of_an_earlier_run_do_not_outlive_a_clean_one(tmp_path, predictor):
    (tmp_path / "in.csv").write_text("text\n''\n \n", encoding="utf-8")
    run(tmp_path / "in.csv", tmp_path / "out.csv", predictor)
    assert (tmp_path / "out.csv.rejects.jsonl").exists()
    (tmp_path / "in.csv").write_text("text\ngood\n", encoding="utf-8")
    run(tmp_path / "in.csv", tmp_path / "out.csv", predictor)
    assert not (tmp_path / "out.csv.rejects.jsonl").exists()


@pytest.mark.parametrize(
    ("source", "target", "content", "message"),
    [
        ("in.csv", "out.csv", "body\nx\n", "expected a column 'text', found 'body'"),
        ("in.csv", "out.csv", "text,stance\nx,y\n", "already has a column 'stance'"),
        ("in.jsonl", "out.jsonl", '{"text": "x", "stance": 1}\n', "already has a key 'stance'"),
        ("in.csv", "out.jsonl", "text\nx\n", "expected the input's format"),
        ("in.csv", "out.csv", 'text\nx\n"open\ny\n', r"in.csv:\d: expected a cell with a quote to stand in quotes"),
        ("in.tsv", "out.tsv", 'text\tn\n"Lies," he said.\t1\n', "in.tsv:2: expected a cell with a quote to stand in quotes"),
        ("in.csv", "in.csv", "text\nx\n", "would overwrite its input"),
        ("out.csv.rejects.jsonl", "out.csv", '{"text": "x"}\n', "expected the input's format"),
        ("out.jsonl.rejects.jsonl", "out.jsonl", '{"text": "x"}\n', "would overwrite its input"),
        ("in.csv", "absent/out.csv", "text\nx\n", "cannot be written"),
        ("in.doc", "out.csv", "", "expected a name that ends in"),
    ],
)
def test_what_cannot_be_done_is_one_clear_error(tmp_path, predictor, source, target, content, message):
    (tmp_path / source).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        run(tmp_path / source, tmp_path / target, predictor)
    assert sorted(path.name for path in tmp_path.iterdir()) == [source]


def test_a_damaged_parquet_file_is_told_as_what_it_is(tmp_path, predictor):
    table = pa.table({"text": [f"sentence number {i} of a file" for i in range(2000)]})
    pq.write_table(table, tmp_path / "in.parquet", compression="snappy")
    content = bytearray((tmp_path / "in.parquet").read_bytes())
    content[200:4000] = bytes(3800)
    (tmp_path / "in.parquet").write_bytes(content)
    with pytest.raises(DataError, match="in.parquet: not a Parquet file that can be read"):
        run(tmp_path / "in.parquet", tmp_path / "out.parquet", predictor)
    assert [path.name for path in tmp_path.iterdir()] == ["in.parquet"]


def test_a_column_of_another_name_and_a_byte_order_mark(tmp_path, predictor):
    (tmp_path / "in.csv").write_bytes("\ufeffbody,n\nA lie.,1\n".encode())
    run(tmp_path / "in.csv", tmp_path / "out.csv", predictor, text_column="body")
    assert read_csv(tmp_path / "out.csv")[1][:2] == ["A lie.", "1"]
