"""`stance check`: a file of a hundred known defects, one a row, among as many good rows; what the command prints and writes."""

import csv
import io
import json
import re

import pytest
from typer.testing import CliRunner

import stance
from serving.errors import DataError
from tests.defects import Defective, cells
from tests.test_cli import command
from training.check import as_csv, as_json_lines, check_files
from training.language import foreign
from training.rows import LabelledRow, read_rows
from training.sets import Reserved
from training.sources import Columns
from training.suspects import as_csv as suspects_as_csv
from training.suspects import rank
from training.task import read_task


@pytest.fixture(scope="module")
def hundred(tmp_path_factory, corpus_lines):
    task = read_task()
    defective = Defective(corpus_lines, task)
    path = tmp_path_factory.mktemp("check") / "hundred.csv"
    path.write_bytes(defective.build())
    return path, defective.expected, check_files([path], task=task, columns=Columns(), tell=print)


def test_a_hundred_defects_are_told_and_no_good_row_is_blamed(hundred):
    path, expected, checked = hundred
    assert len(expected) == 100
    assert checked.places == 200
    *of_rows, of_class = checked.defects
    assert [defect.row for defect in of_rows] == sorted(expected)
    for defect in of_rows:
        assert re.match(f".*{expected[defect.row]}", defect.problem), defect
        assert defect.file == str(path)
        assert defect.suggestion
    assert (of_class.row, of_class.value) == (None, "neutral")
    assert of_class.problem == "expected at least 20 rows of neutral, found 10"


def test_the_rows_that_training_would_take_are_the_good_ones_and_those_whose_defects_do_not_bar_them(hundred):
    _, expected, checked = hundred
    taken = {int(row.where.rpartition(":")[2]) for row in checked.rows}
    assert len(taken - expected.keys()) == 100
    barring = "expected one of|the text is empty|expected UTF-8|cells|quotes|has another label|a text of"
    assert not [expected[number] for number in taken & expected.keys() if re.search(barring, expected[number])]


def test_reports_hold_every_defect_and_are_read_back(hundred):
    _, _, checked = hundred
    table = list(csv.reader(io.StringIO(as_csv(checked.defects))))
    assert table[0] == ["file", "row", "column", "value", "problem", "suggestion"]
    lines = [json.loads(line) for line in as_json_lines(checked.defects).splitlines()]
    assert [line["problem"] for line in lines] == [row[4] for row in table[1:]] == [defect.problem for defect in checked.defects]


def test_the_nearest_label_and_the_text_as_it_was_meant_are_suggested(hundred):
    _, _, checked = hundred
    suggestions = {defect.value: defect.suggestion for defect in checked.defects if defect.column == "label"}
    assert suggestions["supportve"] == "Did you mean 'supportive'?"
    assert suggestions["NEUTRAL "] == "Did you mean 'neutral'?"
    assert suggestions["n/a"] == "--label-map OLD=NEW translates other names."
    (mended,) = [
        defect.suggestion for defect in checked.defects if "Windows-1252" in defect.problem and defect.value.endswith("cafÃ©")
    ]
    assert mended.startswith("Meant is ")
    assert "in Windows-1252 this reads" in next(d.suggestion for d in checked.defects if "found byte 0xe9" in d.problem)


@pytest.fixture
def town(tmp_path):
    """A task without reserved sets, and clean rows for it."""
    (tmp_path / "town.toml").write_text('name = "town"\ntarget = "a bridge"\nlabels = ["for", "against"]\n')
    rows = [
        (f"{word} is {side} {noun}", label)
        for label, side in (("for", "gladly seen at"), ("against", "far from"))
        for word, noun in zip(WORDS, NOUNS, strict=True)
    ]
    return tmp_path, rows


def write(path, rows):
    path.write_bytes(b"text,label\n" + b"".join(cells(*row) for row in rows))
    return path


def test_planted_label_errors_stand_first_and_the_corrected_file_is_read(town):
    folder, rows = town
    wrong = {3, 17, 38}
    flipped = [
        (text, {"for": "against", "against": "for"}[label] if i in wrong else label) for i, (text, label) in enumerate(rows)
    ]
    given = [LabelledRow(text, label, f"f:{i}") for i, (text, label) in enumerate(flipped)]
    suspects = rank(given, labels=("for", "against"))
    assert {int(suspect.row.where[2:]) for suspect in suspects[:3]} == wrong
    assert [suspect.loss for suspect in suspects] == sorted((suspect.loss for suspect in suspects), reverse=True)
    assert sorted(suspect.row.where for suspect in suspects) == sorted(row.where for row in given)
    table = list(csv.DictReader(io.StringIO(suspects_as_csv(suspects))))
    for line in table[:3]:
        line["label"] = line["predicted"]
    with (folder / "corrected.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    assert {(row.text, row.label) for row in read_rows(folder / "corrected.csv", labels=("for", "against"))} == set(rows)


def test_near_duplicates_do_not_vouch_for_each_other():
    """A wrong label that stands on two rows that are almost the same is found, since both are held out together."""
    rows = [
        LabelledRow(f"{name} likes the plan very much indeed today", "for", f"f:{i}") for i, name in enumerate(("ann", "bob"))
    ]
    rows += [
        LabelledRow(f"{a} likes no {b} plan very", "against", f"f:{n}")
        for n, (a, b) in enumerate(zip(WORDS, NOUNS, strict=True), 2)
    ]
    rows += [LabelledRow(f"welcome {b} {a}", "for", f"f:{n}") for n, (a, b) in enumerate(zip(WORDS, NOUNS, strict=True), 22)]
    suspects = rank(rows, labels=("for", "against"))
    assert {suspect.row.where for suspect in suspects[:2]} == {"f:0", "f:1"}
    assert {suspect.predicted for suspect in suspects[:2]} == {"against"}


def test_one_label_alone_cannot_be_ranked():
    with pytest.raises(DataError, match="expected two rows of each of two labels at least"):
        rank([LabelledRow("a", "for", "f:1"), LabelledRow("b", "for", "f:2")], labels=("for", "against"))


def test_lines_that_are_no_rows_and_repeats_across_files_are_told_by_their_place(town):
    folder, rows = town
    one, two = folder / "one.jsonl", folder / "two.jsonl"
    one.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))
    lines = [
        "{",
        "[1]",
        '{"label": "for"}',
        '{"text": null, "label": "for"}',
        '{"text": "A bridge at last."}',
        json.dumps({"text": rows[0][0], "label": "for"}),
    ]
    two.write_text("".join(f"{line}\n" for line in lines))
    checked = check_files([one, two], task=read_task(folder / "town.toml"), columns=Columns(), tell=print)
    near = [defect for defect in checked.defects if defect.file == str(one)]
    assert {defect.problem.partition(" row")[0] for defect in near} <= {"nearly repeats"}
    assert [(defect.row, defect.problem) for defect in checked.defects if defect.file == str(two)] == [
        (1, "not JSON"),
        (2, "expected an object, found list"),
        (3, "text: expected a string, found no such key"),
        (4, "text: expected a string, found NoneType"),
        (5, "expected a column 'label', found 'text'"),
        (6, f"repeats {one}:1"),
    ]


def test_texts_without_a_majority_are_defects_of_their_own(town):
    folder, _ = town
    lines = [
        {"id": 1, "text": "The bridge is dear.", "label": ["for", "against"]},
        {"id": 2, "text": "A bridge.", "label": ["for"]},
    ]
    (folder / "all.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    told = []
    checked = check_files([folder / "all.jsonl"], task=read_task(folder / "town.toml"), columns=Columns(), tell=told.append)
    assert told == [f"{folder / 'all.jsonl'}: doccano JSONL, 2 examples, 0 skipped"]
    first = checked.defects[0]
    assert (first.row, first.value, first.problem) == (
        1,
        "against 1, for 1",
        "expected one label a text, found several (against 1, for 1)",
    )


def check(*arguments):
    """Run `stance check` in this process."""
    return CliRunner().invoke(stance.build(), ["check", *map(str, arguments)])


def test_the_command_tells_clean_and_defective_by_its_status(town):
    folder, rows = town
    task = ["--task", folder / "town.toml"]
    done = check(write(folder / "clean.csv", rows), *task)
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "40 rows, 40 can be trained on, 0 defects\n"
    bad = write(folder / "bad.csv", [*rows, ("A bridge, then.", "fro"), ("", "for")])
    report, errors = folder / "report.jsonl", folder / "errors.csv"
    done = check(bad, *task, "--report", report, "--label-errors", errors)
    assert done.exit_code == 3
    assert "Did you mean 'for'?" in done.stdout
    assert "the text is empty" in done.stdout
    assert [json.loads(line)["row"] for line in report.read_text().splitlines()] == [42, 43]
    assert {(row.text, row.label) for row in read_rows(errors, labels=("for", "against"))} == set(rows)
    assert check(write(folder / "mapped.csv", [*rows, ("A bridge.", "PRO")]), *task, "--label-map", "PRO=for").exit_code == 0
    assert check(bad, *task, "--report", "report.xlsx").exit_code == 2


def test_a_file_that_cannot_be_read_at_all_is_one_line(town):
    folder, _ = town
    (folder / "wide.csv").write_bytes("text,label\nA bridge,for\n".encode("utf-16"))
    status, out, err = command("check", str(folder / "wide.csv"), "--task", str(folder / "town.toml"))
    assert (status, out) == (1, "")
    assert err == (
        f"stance: {folder / 'wide.csv'}: expected UTF-8, found UTF-16 by its byte order mark; convert the file, for example with"
        " `iconv -f utf-16 -t utf-8`.\n"
    )


def test_training_refuses_in_one_line_that_names_the_check(town):
    folder, rows = town
    bad = write(folder / "bad.csv", [*rows, ("A bridge.", "fro"), ("", "for")])
    with pytest.raises(DataError) as refused:
        read_rows(bad, labels=("for", "against"))
    assert str(refused.value) == (
        f"{bad}:42: label: expected one of for, against, found 'fro'. Did you mean 'for'? (1 more rows like it)"
        f" `stance check {bad}` tells them all."
    )


def test_rows_near_the_frozen_test_set_are_kept_out_of_training(corpus_lines):
    task = read_task()
    reserved = Reserved.of(task, labels=task.label_names)
    long = next(row for row in reserved.frozen_test if len(row.text.split()) > 15)
    rows = [LabelledRow(f"Yesterday, {long.text}", "critical", "f:1"), LabelledRow(corpus_lines[0]["text"], "critical", "f:2")]
    kept, left_out = reserved.apart(rows, near_duplicate=0.5)
    assert ([row.where for row in kept], [row.where for row in left_out]) == (["f:2"], ["f:1"])


@pytest.mark.parametrize(
    "text", ["El Colegio scholar: UN text strong on law", "Ürümqi, Kashgar, Hotan", "46 pages.", "…", "Rapport hailed in Genève"]
)
def test_english_with_foreign_names_passes(text):
    assert foreign(text) == ""


WORDS = ("rain", "steel", "bread", "coal", "music", "paint", "glass", "paper", "stone", "water")
WORDS += ("iron", "sugar", "timber", "wool", "copper", "salt", "brick", "silk", "wheat", "tea")
NOUNS = ("market", "harbour", "station", "chapel", "garden", "school", "museum", "theatre", "bakery", "library")
NOUNS += ("tower", "castle", "meadow", "forest", "valley", "canal", "square", "cellar", "kitchen", "stable")
