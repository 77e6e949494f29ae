"""Whatever ends a run, and whenever: what was committed stays, and the run that goes on gives the bytes of one that was never ended."""

import os
import random
import re
import signal
import time
from copy import copy
from dataclasses import replace
from pathlib import Path

import pytest

from serving.checkpoint import folder_of, hold
from serving.errors import DataError, Stopped
from serving.score import Job, score
from tests.commands import Commands
from tests.tables import write_table

ROWS = 24
FORMATS = ["csv", "csv.gz", "csv.zst", "tsv.gz", "jsonl", "jsonl.gz", "jsonl.zst", "txt", "txt.gz", "txt.zst", "parquet"]


@pytest.fixture(scope="module")
def commands(built, tmp_path_factory):
    commands = Commands(tmp_path_factory.mktemp("commands"))
    yield commands
    commands.close()


def rows(texts):
    return [{"id": f"{number:03}", "text": "" if number % 7 == 3 else texts[number]} for number in range(ROWS)]


def outcome(folder):
    """The bytes of every file beneath a folder, by name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def score_whole(commands, source, target, *options):
    """Run without interruption; return the seconds from the first change to the end."""
    commands.start("score", source, target, "--chunk", 4, *options)
    while not folder_of(target).exists() and not commands.ended(0.001):
        pass
    begun = time.monotonic()
    assert commands.wait()[0] == 3
    return time.monotonic() - begun


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "txt", "parquet"])
def test_killed_at_20_random_moments_it_ends_with_the_same_bytes(commands, texts, tmp_path, kind):
    chance = random.Random(kind)
    endings = [name for name in FORMATS if name.split(".")[0] == kind]
    cut_short = 0
    for number in range(20):
        ending = endings[number % len(endings)]
        source, whole = tmp_path / f"in.{ending}", tmp_path / f"whole-{ending.replace('.', '-')}"
        target = tmp_path / f"run-{number}" / f"out.{ending}"
        if not source.exists():
            write_table(source, rows(texts))
            whole.mkdir()
            seconds = score_whole(commands, source, whole / target.name)
        target.parent.mkdir()
        process = commands.start("score", source, target, "--chunk", 4)
        while not folder_of(target).exists() and not commands.ended(0.001):
            pass
        commands.ended(chance.uniform(0, seconds))
        os.kill(process, signal.SIGKILL)
        commands.wait()
        cut_short += folder_of(target).exists()
        status, told = commands.run("score", source, target, "--chunk", 4, "--resume")
        assert (status, outcome(target.parent)) == (3, outcome(whole)), (ending, told)
    assert cut_short > 0


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["parquet", "folder"])
def test_killed_before_any_change_that_it_makes_it_ends_with_the_same_bytes(commands, texts, tmp_path, ending):
    source = tmp_path / f"in.{ending}"
    some = rows(texts)[:8]
    if ending == "folder":
        source.mkdir()
        write_table(source / "a.csv", some[:5])
        write_table(source / "b.jsonl.zst", some[5:])
    else:
        write_table(source, some)
    whole = tmp_path / "whole" / f"out.{ending}"
    whole.parent.mkdir()
    assert commands.run("score", source, whole, "--chunk", 5)[0] == 3
    for count in range(1000):
        target = tmp_path / f"run-{count}" / f"out.{ending}"
        target.parent.mkdir()
        status, _ = commands.run("score", source, target, "--chunk", 5, die_before=count)
        if status != -signal.SIGKILL:
            break
        status, told = commands.run("score", source, target, "--chunk", 5, "--resume")
        assert status == 3, (count, told)
        assert not folder_of(target).exists(), count
        assert outcome(target.parent) == outcome(whole.parent), count
    assert status == 3
    assert count > 10


def test_a_folder_that_is_complete_is_told_from_one_of_another_run(predictor, texts, tmp_path):
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    write_table(source / "a.csv", rows(texts)[:8])
    job = Job(source=source, target=target)
    whole = score(job, predictor=predictor)
    before = outcome(tmp_path)
    again = score(replace(job, resume=True), predictor=predictor)
    assert (again.rows, again.stances, outcome(tmp_path)) == (whole.rows, whole.stances, before)
    with pytest.raises(DataError, match="expected the name of a new folder"):
        score(job, predictor=predictor)
    with pytest.raises(DataError, match="out: --resume expected the settings of the earlier run"):
        score(replace(job, resume=True, chunk=3), predictor=predictor)
    write_table(source / "a.csv", rows(texts)[:7])
    with pytest.raises(DataError, match="out: --resume expected the input of the earlier run"):
        score(replace(job, resume=True), predictor=predictor)
    assert {name: content for name, content in outcome(tmp_path).items() if name != "in/a.csv"} == {
        name: content for name, content in before.items() if name != "in/a.csv"
    }


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_cleanly_and_says_how_to_go_on(commands, texts, tmp_path, number):
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    write_table(source, rows(texts) * 200)
    process = commands.start("score", source, target, "--chunk", 4)
    while '"chunks": 1' not in progress_of(target) and not commands.ended(0.001):
        pass
    os.kill(process, number)
    status, told = commands.wait()
    assert status == 1
    assert re.fullmatch(
        rf"stance: stopped by {number.name}; \d+ rows are committed, the same command with --resume goes on .*\n", told
    )
    assert not target.exists()
    status, told = commands.run("score", source, target, "--chunk", 4)
    assert (status, "an earlier run was cut short and its work is kept here; --resume goes on" in told) == (1, True)


def progress_of(target):
    try:
        return (folder_of(target) / "progress.json").read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def test_a_second_run_on_one_output_is_refused(predictor, tmp_path):
    (tmp_path / "in.csv").write_text("text\ngood\n")
    job = Job(source=tmp_path / "in.csv", target=tmp_path / "out.csv")
    with hold(job.target, whole_folder=False), pytest.raises(DataError, match="another run is writing this output"):
        score(job, predictor=predictor)
    assert score(job, predictor=predictor).rows == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]


@pytest.fixture
def cut_short(predictor, tmp_path):
    """A job of which two chunks are committed."""
    (tmp_path / "in.csv").write_text("text\n" + "good\n" * 9)
    job = Job(source=tmp_path / "in.csv", target=tmp_path / "out.csv", chunk=4)

    def stop(done, total):
        if done == 8:
            raise Stopped("stopped by a test")

    with pytest.raises(Stopped, match="8 rows are committed, the same command with --resume goes on from there"):
        score(job, predictor=predictor, progress=stop)
    return job


@pytest.mark.parametrize(
    ("change", "name"),
    [({"chunk": 5}, "settings"), ({"columns": ("stance",)}, "settings"), ({"encoding": "utf-8"}, "settings"), ({}, "input")],
)
def test_another_input_or_setting_is_not_resumed(predictor, cut_short, change, name):
    if not change:
        cut_short.source.write_text("text\n" + "goop\n" * 9)
    with pytest.raises(DataError, match=f"--resume expected the {name} of the earlier run"):
        score(replace(cut_short, resume=True, **change), predictor=predictor)
    assert folder_of(cut_short.target).is_dir()


def test_another_model_is_not_resumed(predictor, cut_short):
    other = copy(predictor)
    other.tag = "stance:other"
    with pytest.raises(DataError, match="--resume expected the model of the earlier run"):
        score(replace(cut_short, resume=True), predictor=other)


def test_a_resumed_run_counts_all_rows_and_cleans_up(predictor, cut_short):
    summary = score(replace(cut_short, resume=True), predictor=predictor)
    assert (summary.rows, sum(summary.stances.values())) == (9, 9)
    assert sorted(path.name for path in cut_short.source.parent.iterdir()) == ["in.csv", "out.csv"]


def test_an_input_that_changes_while_it_is_read_is_told(predictor, tmp_path):
    (tmp_path / "in.csv").write_text("text\n" + "good\n" * 9)
    job = Job(source=tmp_path / "in.csv", target=tmp_path / "out.csv", chunk=4)
    with pytest.raises(DataError, match="changed while it was read"):
        score(job, predictor=predictor, progress=lambda done, total: job.source.write_text("text\n" + "gone\n" * 10))
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_a_full_disk_is_one_error_and_leaves_what_is_committed(commands, texts, tmp_path):
    write_table(tmp_path / "in.csv", rows(texts) * 10)
    assert commands.run("score", tmp_path / "in.csv", tmp_path / "whole.csv", "--chunk", 4)[0] == 3
    status, told = commands.run("score", tmp_path / "in.csv", tmp_path / "out.csv", "--chunk", 4, file_bytes=9000)
    assert (status, (tmp_path / "out.csv").exists()) == (1, False), told
    assert re.fullmatch(
        r"stance: .*out\.csv.*: cannot be written \(File too large\); \d+ rows are committed, the same .*\n", told
    )
    status, told = commands.run("score", tmp_path / "in.csv", tmp_path / "out.csv", "--chunk", 4, "--resume")
    assert status == 3, told
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_folder_that_cannot_be_written_is_one_error(predictor, tmp_path):
    (tmp_path / "in.csv").write_text("text\ngood\n")
    (tmp_path / "closed").mkdir(mode=0o500)
    target = tmp_path / "closed" / "out.csv" if os.geteuid() else Path("/proc/self/out.csv")
    with pytest.raises(DataError, match=r"out.csv.partial: cannot be written"):
        score(Job(source=tmp_path / "in.csv", target=target), predictor=predictor)
