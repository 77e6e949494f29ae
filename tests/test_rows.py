import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serving.errors import ConfigError, DataError
from training.config import read_config
from training.rows import LabelledRow, digest, read_rows, unique_rows
from training.sources import Columns
from training.task import read_task

LABELS = ("for", "against")
ROWS = [('They said: "yes", twice', "for"), ("None", "against"), ("two\nlines", "for")]


def write(path, rows, columns=("text", "label")):
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(dict(zip(columns, r, strict=True))) + "\n" for r in rows), encoding="utf-8")
    elif path.suffix == ".parquet":
        pq.write_table(pa.table({name: [r[i] for r in rows] for i, name in enumerate(columns)}), path)
    else:
        import csv

        with path.open("w", newline="", encoding="utf-8-sig") as file:
            csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",").writerows([columns, *rows])
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_every_format_gives_the_same_rows(tmp_path, suffix):
    rows = read_rows(write(tmp_path / f"rows{suffix}", ROWS), labels=LABELS)
    assert [(row.text, row.label) for row in rows] == ROWS


def test_other_column_names_and_labels_are_translated_and_other_columns_kept(tmp_path):
    path = write(tmp_path / "rows.csv", [("yes", "PRO", "x"), ("no", "against", "y")], columns=("body", "stance", "source"))
    rows = read_rows(path, labels=LABELS, columns=Columns(text="body", label="stance", label_map={"PRO": "for"}))
    assert [(r.text, r.label, r.extra) for r in rows] == [("yes", "for", {"source": "x"}), ("no", "against", {"source": "y"})]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("fine", "fro"), r"rows.csv:3: label: expected one of for, against, found 'fro'. Did you mean 'for'\?"),
        (("fine", "7"), r"rows.csv:3: label: .* --label-map OLD=NEW"),
        (("  ", "for"), r"rows.csv:3: the text is empty"),
    ],
)
def test_a_bad_row_is_told_with_its_place(tmp_path, row, message):
    with pytest.raises(DataError, match=message):
        read_rows(write(tmp_path / "rows.csv", [("good", "for"), row]), labels=LABELS)


def test_more_bad_rows_are_counted(tmp_path):
    path = write(tmp_path / "rows.jsonl", [("a", "x"), ("b", "y"), ("c", "for")])
    with pytest.raises(DataError, match=r"rows.jsonl:1: .*\(1 more rows like it\)"):
        read_rows(path, labels=LABELS)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.csv", b"", "expected a column 'text', found none"),
        ("rows.csv", b"body,label\nx,for\n", "expected a column 'text', found 'body', 'label'; name yours with --text-column"),
        ("rows.csv", b"text,tag\nx,for\n", "expected a column 'label', found 'text', 'tag'; name yours with --label-column"),
        ("rows.csv", b"text,label\n", "expected labelled rows, found none"),
        ("rows.csv", b"text,label\nx,for,1\n", "rows.csv:2: expected 2 cells, found 3"),
        ("rows.csv", b"text,label\ncaf\xe9,for\n", "expected UTF-8, found byte 0xe9"),
        ("rows.jsonl", b"{\n", "rows.jsonl:1: not JSON"),
        ("rows.parquet", b"no", "not a Parquet file that can be read"),
        ("rows.xlsx", b"", "expected a name that ends in .csv, .tsv"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_clear_error(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_rows(tmp_path / name, labels=LABELS)


def test_a_missing_file_is_one_clear_error(tmp_path):
    with pytest.raises(DataError, match=r"absent.csv: cannot be read"):
        read_rows(tmp_path / "absent.csv", labels=LABELS)


def test_repeats_are_used_once_and_contradictions_not_at_all():
    where = [("a", "for"), ("a ", "for"), ("b", "for"), ("c", "for"), ("c", "against")]
    unique = unique_rows([LabelledRow(text, label, f"f:{i}") for i, (text, label) in enumerate(where)])
    assert [row.where for row in unique.rows] == ["f:0", "f:2"]
    assert [row.where for row in unique.repeats] == ["f:1"]
    assert [row.where for row in unique.contradictions] == ["f:3", "f:4"]


def test_small_data_is_gone_through_more_often():
    fit = read_config().fit.model_copy(update={"epochs": 4, "min_steps": 100, "batch_size": 32})
    assert [fit.steps_for(rows) for rows in (10_000, 800, 320)] == [4 * 313, 100, 100]


def test_the_digest_depends_on_texts_and_labels_only():
    one, two = LabelledRow("a", "for", "f:1"), LabelledRow("b", "for", "f:2")
    assert digest([one, two]) == digest([LabelledRow("b", "for", "g:1"), LabelledRow("a", "for", "g:2")])
    assert digest([one, two]) != digest([one, LabelledRow("b", "against", "f:2")])


@pytest.mark.parametrize(
    "labels",
    [
        'labels = ["for", "against"]',
        '[labels]\nfor = "backs it"\nagainst = "opposes it"',
        '[[labels]]\nname = "for"\n[[labels]]\nname = "against"\ndefinition = "opposes it"',
    ],
)
def test_a_task_may_list_its_labels_in_three_ways(tmp_path, labels):
    (tmp_path / "task.toml").write_text(f'name = "other"\ntarget = "a bridge"\ncorpus = "rows.csv"\n{labels}\n')
    task = read_task(tmp_path / "task.toml")
    assert task.label_names == LABELS
    assert task.corpus == tmp_path / "rows.csv"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('name = "x"\ntarget = "y"\nlabels = ["a", "b"]\ncolour = 1', "unknown key 'colour'"),
        ('name = "x"\ntarget = "y"\nlabels = ["a"]', "labels"),
        ('name = "x"\ntarget = "y"\nlabels = ["a", "a"]', "label 'a' is named twice"),
        ("name = ", "expected TOML"),
    ],
)
def test_a_wrong_task_file_is_one_clear_error(tmp_path, content, message):
    (tmp_path / "task.toml").write_text(content)
    with pytest.raises(ConfigError, match=message):
        read_task(tmp_path / "task.toml")


def test_the_shipped_task_and_its_files_are_read(corpus_lines):
    task = read_task()
    assert task.label_names == ("supportive", "critical", "denying", "neutral")
    assert len(read_rows(task.corpus, labels=task.label_names)) == len(corpus_lines)
    assert len(read_rows(task.frozen_test, labels=task.label_names)) == 151


def test_another_base_keeps_all_of_its_layers_unless_some_are_named(tmp_path):
    assert read_config().model.layers == (0, 1, 2, 3, 4, 5)
    assert read_config(base_model="x").model.layers == ()
    (tmp_path / "c.toml").write_text('[model]\nbase_model = "x"\n')
    assert read_config(tmp_path / "c.toml").model.layers == ()
    (tmp_path / "c.toml").write_text('[model]\nbase_model = "x"\nlayers = [1]\n')
    assert read_config(tmp_path / "c.toml").model.layers == (1,)


def test_a_configuration_changes_what_it_names_and_nothing_else(tmp_path):
    (tmp_path / "c.toml").write_text("[fit]\nepochs = 9\n")
    changed, default = read_config(tmp_path / "c.toml", seed=4), read_config()
    assert (changed.fit.epochs, changed.fit.seed) == (9, 4)
    assert changed.model_copy(update={"fit": default.fit}) == default


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[fit]\nepoch = 9", "unknown key 'fit.epoch'"),
        ("[fit]\nepochs = 0", "fit.epochs: Input should be greater than or equal to 1, found 0"),
        ('[export]\nforms = ["int4"]', "export.forms.0"),
    ],
)
def test_a_wrong_configuration_is_one_clear_error(tmp_path, content, message):
    (tmp_path / "c.toml").write_text(content)
    with pytest.raises(ConfigError, match=message):
        read_config(tmp_path / "c.toml")
