"""Every format and compression, files, folders and pipes: the rows come out as they went in, each with its own stance."""

import csv
import io
import json
import os
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.errors import DataError
from serving.score import Job, score
from tests.conftest import ROOT
from tests.tables import compress, decompress, read_table, write_table

ENDINGS = [f"{kind}{more}" for kind in ("csv", "tsv", "jsonl", "txt") for more in ("", ".gz", ".zst")] + ["parquet"]
VALUES = [
    "007",
    "None",
    "NA",
    "2022-08-31",
    'say "so"',
    "two\nlines",
    "old\rmac",
    " padded ",
    "",
    "1e5",
    "é\u2028\u00a0",
    "a\x00b",
]


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_format_and_compression_keeps_every_cell(predictor, texts, tmp_path, ending):
    source, target = tmp_path / f"in.{ending}", tmp_path / f"out.{ending}"
    good = texts[: len(VALUES)]
    given = [{"odd": value, "text": text, "again": value} for value, text in zip(VALUES, good, strict=True)]
    write_table(source, given)
    summary = score(Job(source=source, target=target, chunk=5), predictor=predictor)
    found = read_table(target)
    labels = [p.label for p in predictor.predict(good)]
    if ending.startswith("txt"):
        assert [row[0] for row in found] == good
        assert [row[1] for row in found] == labels
    else:
        assert [{name: row[name] for name in ("odd", "text", "again")} for row in found] == given
        assert [row["stance"] for row in found] == labels
    assert summary.stances == {label: labels.count(label) for label in predictor.labels}
    assert sum(summary.shares.values()) == pytest.approx(1, abs=1e-5)


def test_parquet_gets_few_row_groups_and_keeps_its_own_metadata(predictor, tmp_path):
    write_table(tmp_path / "in.parquet", [{"text": "good"}] * 40)
    score(Job(source=tmp_path / "in.parquet", target=tmp_path / "out.parquet", chunk=4), predictor=predictor)
    assert pq.ParquetFile(tmp_path / "out.parquet").num_row_groups == 1


cells = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from([*VALUES, "", " ", "x" * 50_000])
quiet = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quiet
@given(rows=st.lists(st.lists(cells, min_size=1, max_size=4), max_size=12), newline=st.sampled_from(["\n", "\r\n"]))
def test_no_table_crashes_it_or_shifts_a_row(predictor, tmp_path, rows, newline):
    file = io.StringIO(newline="")
    writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator=newline)
    writer.writerows([["id", "text", "more"], *([f"row {number}", *row] for number, row in enumerate(rows))])
    (tmp_path / "in.csv").write_bytes(file.getvalue().encode())
    summary = score(Job(source=tmp_path / "in.csv", target=tmp_path / "out.csv", chunk=3), predictor=predictor)
    found = list(csv.reader(io.StringIO((tmp_path / "out.csv").read_bytes().decode(), newline=""), strict=True))
    assert [row[:3] for row in found[1:]] == [
        [f"row {number}", *row[:2], *[""] * (2 - len(row))] for number, row in enumerate(rows)
    ]
    scored = [len(row) == 2 and bool(row[0].strip()) for row in rows]
    assert [bool(row[3]) for row in found[1:]] == scored
    assert (summary.rows, summary.rejected) == (len(rows), scored.count(False))


@quiet
@given(
    content=st.binary(max_size=300) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")),
    data=st.data(),
)
def test_no_bytes_crash_it(predictor, tmp_path, content, data):
    ending = data.draw(st.sampled_from(ENDINGS))
    begin = data.draw(st.sampled_from([b"", b"text\n", b'text,"', b"\xff\xfe", b'{"text": "']))
    packed = data.draw(st.booleans())
    (tmp_path / f"in.{ending}").write_bytes(
        compress(begin + content, f".{ending.rpartition('.')[2]}") if packed else begin + content
    )
    try:
        summary = score(Job(source=tmp_path / f"in.{ending}", target=tmp_path / f"out.{ending}"), predictor=predictor)
    except DataError as error:
        assert "\n" not in str(error)
    else:
        assert summary.rows == summary.rejected + sum(summary.stances.values())


def test_plain_lines_may_become_a_table(predictor, tmp_path):
    (tmp_path / "in.txt").write_bytes(b"a\tb, c\r\n\r\nlast")
    summary = score(Job(source=tmp_path / "in.txt", target=tmp_path / "out.csv.gz"), predictor=predictor)
    assert [row["text"] for row in read_table(tmp_path / "out.csv.gz")] == ["a\tb, c", "", "last"]
    assert summary.rejected_by_reason == {"the text is empty": 1}


@pytest.mark.parametrize(
    ("content", "encoding", "delimiter", "told"),
    [
        ("\ufeffid;text\r\n1;ça va\r\n".encode(), "utf-8-sig", ";", ["guessed the delimiter ';'"]),
        ("id,text\n1,ça va\n".encode("utf-16"), "utf-8-sig", ",", []),
        ("id|text\n1|ça va\n".encode("cp1252"), "utf-8", "|", ["guessed windows-1252", "guessed the delimiter '|'"]),
    ],
)
def test_encoding_and_delimiter_are_told_from_the_file(predictor, tmp_path, content, encoding, delimiter, told):
    (tmp_path / "in.csv").write_bytes(content)
    warnings = []
    score(Job(source=tmp_path / "in.csv", target=tmp_path / "out.csv"), predictor=predictor, warn=warnings.append)
    found = (tmp_path / "out.csv").read_bytes()
    assert found.startswith(b"\xef\xbb\xbf") == (encoding == "utf-8-sig")
    assert found.decode(encoding).split("\n")[1].startswith(f"1{delimiter}ça va{delimiter}")
    assert (b"\r\n" in found) == (b"\r\n" in content)
    assert [text in warning for text, warning in zip(told, warnings, strict=True)] == [True] * len(told)


def test_what_is_named_is_not_guessed(predictor, tmp_path):
    (tmp_path / "in.csv").write_bytes("id;text\n1;текст\n".encode("cp1251"))
    warnings = []
    job = Job(source=tmp_path / "in.csv", target=tmp_path / "out.csv", encoding="cp1251", delimiter=";", columns=("stance",))
    score(job, predictor=predictor, warn=warnings.append)
    header, row = (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()
    assert (header, row.startswith("1;текст;"), warnings) == ("id;text;stance", True, [])


def test_a_folder_is_scored_into_a_folder_with_the_same_names(predictor, tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    write_table(tmp_path / "in" / "b.csv", [{"text": "good"}, {"text": " "}])
    write_table(tmp_path / "in" / "deep" / "a.jsonl.gz", [{"text": "good"}])
    (tmp_path / "in" / "notes.pdf").write_bytes(b"x")
    (tmp_path / "in" / ".hidden.csv").write_bytes(b"x")
    warnings = []
    job = Job(source=tmp_path / "in", target=tmp_path / "out")
    assert score(job, predictor=predictor, warn=warnings.append).rows == 3
    assert [len(read_table(tmp_path / "out" / name)) for name in ("b.csv", "deep/a.jsonl.gz")] == [2, 1]
    rejects = [json.loads(line) for line in job.rejects.read_text().splitlines()]
    assert [(reject["file"], reject["line"]) for reject in rejects] == [("b.csv", 3)]
    assert [warning.endswith("notes.pdf: passed over, its name tells no format") for warning in warnings] == [True]
    with pytest.raises(DataError, match="expected the name of a new folder"):
        score(job, predictor=predictor)
    assert score(Job(source=tmp_path / "in" / "*.csv", target=tmp_path / "glob"), predictor=predictor).rows == 2
    assert sorted(path.name for path in (tmp_path / "glob").iterdir()) == [".stance.json", "b.csv"]
    with pytest.raises(DataError, match="expected files to score, found none"):
        score(Job(source=tmp_path / "in" / "*.tsv", target=tmp_path / "none"), predictor=predictor)


@pytest.mark.parametrize(
    ("source", "target", "options", "message"),
    [
        ("in.parquet.gz", "out.parquet", {}, "expected .parquet, which has its own compression"),
        ("in.csv.gz", "out.csv", {}, "not a gzip file, or a damaged one"),
        ("in.csv", "out.csv", {"format": "xls"}, "--format: expected csv, tsv"),
        ("in.csv", "out.csv", {"columns": ("stances",)}, "--columns: expected some of stance,"),
        ("in.csv", "out.csv", {"encoding": "utf-9"}, "--encoding: expected a name such as"),
        ("in.csv", "-", {"resume": True}, "--resume: expected an input and an output that are files"),
        ("in.csv", ".", {"format": "csv"}, "expected the name of a file, found a folder"),
    ],
)
def test_what_cannot_be_scored_is_one_clear_error(predictor, tmp_path, monkeypatch, source, target, options, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / source).write_bytes(b"text\nx\n")
    with pytest.raises(DataError, match=message):
        score(Job(source=type(tmp_path)(source), target=type(tmp_path)(target), **options), predictor=predictor)
    assert [path.name for path in tmp_path.iterdir()] == [source]


@pytest.mark.parametrize("ending", ["csv", "tsv.gz"])
def test_cells_of_a_table_of_text_stay_text_in_parquet(predictor, tmp_path, ending):
    write_table(tmp_path / f"in.{ending}", [{"id": value, "text": "good"} for value in VALUES])
    score(Job(source=tmp_path / f"in.{ending}", target=tmp_path / "out.parquet", chunk=5), predictor=predictor)
    score(Job(source=tmp_path / f"in.{ending}", target=tmp_path / "out.csv", chunk=5), predictor=predictor)
    found = read_table(tmp_path / "out.parquet")
    assert [row["id"] for row in found] == VALUES
    assert [row["stance"] for row in found] == [row["stance"] for row in read_table(tmp_path / "out.csv")]
    assert {type(row["stance_confidence"]) for row in found} == {float}
    (tmp_path / "twice.csv").write_bytes(b"id,id,text\n1,2,x\n")
    with pytest.raises(DataError, match="a Parquet output: expected columns of different names, found 'id' more than once"):
        score(Job(source=tmp_path / "twice.csv", target=tmp_path / "twice.parquet"), predictor=predictor)


@pytest.mark.parametrize("ending", ["csv.gz", "parquet"])
def test_pipes_give_what_files_give(built, predictor, tmp_path, ending):
    write_table(tmp_path / f"in.{ending}", [{"text": "good"}, {"text": ""}])
    score(Job(source=tmp_path / f"in.{ending}", target=tmp_path / f"out.{ending}"), predictor=predictor)
    command = [sys.executable, str(ROOT / "stance.py"), "score", "-", "-", "--format", ending, "--summary", "summary.json"]
    with (tmp_path / f"in.{ending}").open("rb") as file:
        done = subprocess.run(command, stdin=file, capture_output=True, cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    suffix = f".{ending.rpartition('.')[2]}"
    assert decompress(done.stdout, suffix) == decompress((tmp_path / f"out.{ending}").read_bytes(), suffix)
    assert b"rejected, " in done.stderr
    told = json.loads((tmp_path / "summary.json").read_text())
    assert (told["rows"], told["rejected"], sum(told["stances"].values()), told["model"]) == (2, 1, 1, predictor.tag)


def test_a_reader_that_goes_away_is_one_error(built, tmp_path):
    write_table(tmp_path / "in.csv", [{"text": "good"}] * 50)
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, str(ROOT / "stance.py"), "score", "in.csv", "-", "--chunk", "2"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    os.close(write)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert "stdout: cannot be written (Broken pipe)" in done.stderr


def test_a_summary_takes_the_place_of_an_earlier_one_whole_or_not_at_all(tmp_path, monkeypatch):
    from serving.cli import _write_summary

    path = tmp_path / "summary.json"
    for content in ("old\n", "new\n"):
        _write_summary(path, content)
        assert ([found.name for found in tmp_path.iterdir()], path.read_text()) == (["summary.json"], content)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(DataError, match=r"summary.json: the summary cannot be written \(No space left on device\)"):
            _write_summary(path, "half")
    assert ([found.name for found in tmp_path.iterdir()], path.read_text()) == (["summary.json"], "new\n")
    read, write = os.pipe()
    _write_summary(type(tmp_path)(f"/dev/fd/{write}"), "told\n")
    assert os.read(read, 100) == b"told\n"
    for descriptor in (read, write):
        os.close(descriptor)
