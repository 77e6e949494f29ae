"""A cluster of two nodes gives what one machine gives, whatever of it is killed meanwhile."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from serving.checkpoint import folder_of, rejects_of
from serving.errors import ConfigError, Stopped
from serving.score import Job, score
from tests.cluster import ROOT, Cluster
from tests.commands import Commands
from tests.tables import read_table, write_table

ROWS, CHUNK = 1200, 4
TIMES = {"seconds", "texts_per_second"}


@pytest.fixture(scope="module")
def cluster():
    cluster = Cluster()
    yield cluster
    cluster.close()


@pytest.fixture(scope="module")
def commands(built, cluster, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.environment.items():
            patch.setenv(name, value)
        commands = Commands(tmp_path_factory.mktemp("commands"))
        commands.stderr.touch()
    yield commands
    commands.close()


@pytest.fixture(scope="module")
def source(texts, tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "in.parquet"
    good = [text.encode("utf-8", "replace").decode() for text in texts]
    write_table(path, [{"id": f"{n:05}", "text": None if n % 97 == 5 else good[n % len(good)]} for n in range(ROWS)])
    return path


@pytest.fixture(scope="module")
def local(source, predictor, tmp_path_factory):
    """The output of the local engine and its summary."""
    target = tmp_path_factory.mktemp("local") / "out.parquet"
    return target, asdict(score(Job(source=source, target=target, chunk=CHUNK), predictor=predictor))


def chunks_of(target):
    try:
        return json.loads((folder_of(target) / "progress.json").read_text(encoding="utf-8"))["chunks"]
    except FileNotFoundError:
        return 0


def wait_for_chunks(commands, target, count):
    while chunks_of(target) < count:
        assert not commands.ended(0.01), commands.wait()
    assert chunks_of(target) < ROWS / CHUNK - 20  # the middle, not the end


def check_same(target, local):
    assert read_table(target) == read_table(local[0])
    for place in (lambda path: path, rejects_of):
        assert place(target).read_bytes() == place(local[0]).read_bytes()


@pytest.mark.slow
def test_a_node_an_actor_and_the_command_are_ended_and_every_row_is_that_of_the_local_engine(
    cluster, commands, source, local, tmp_path
):
    target, summary = tmp_path / "out.parquet", tmp_path / "summary.json"
    arguments = ("score", source, target, "--engine", "ray", "--chunk", CHUNK, "--summary", summary)
    commands.start(*arguments, "--actors", 2)
    while "all 2 actors have started" not in commands.stderr.read_text(encoding="utf-8"):
        assert not commands.ended(0.01), commands.wait()
    wait_for_chunks(commands, target, chunks_of(target) + 20)
    cluster.kill_a_node()
    status, told = commands.wait()
    assert (status, "an actor was lost; 1 of 2 go on" in told) == (3, True), told
    check_same(target, local)
    found = json.loads(summary.read_text(encoding="utf-8"))
    assert [(key, found[key]) for key in found if key not in TIMES] == [
        (key, value) for key, value in local[1].items() if key not in TIMES
    ]

    # One node is left.
    target = tmp_path / "again.parquet"
    arguments = ("score", source, target, "--engine", "ray", "--chunk", CHUNK)
    command = commands.start(*arguments)
    wait_for_chunks(commands, target, 20)
    os.kill(command, signal.SIGTERM)
    status, told = commands.wait()
    assert (status, "Traceback" in told) == (1, False), told
    ended = told.splitlines()[-1]  # what comes before it tells of actors that were slow to start
    assert re.match(r"stance: stopped by SIGTERM; \d+ rows are committed, the same command with --resume goes on", ended), told
    command = commands.start(*arguments, "--resume")
    wait_for_chunks(commands, target, chunks_of(target) + 20)
    os.kill(command, signal.SIGKILL)
    assert commands.wait()[0] == -signal.SIGKILL
    committed = chunks_of(target)
    commands.start(*arguments, "--resume")
    wait_for_chunks(commands, target, committed + 20)
    cluster.kill_an_actor()
    status, told = commands.wait()
    assert (status, "an actor was lost; 0 of 1 go on" in told) == (3, True), told
    check_same(target, local)


@pytest.mark.slow
def test_without_a_cluster_it_starts_one_here_goes_on_from_a_local_run_and_leaves_nothing(texts, predictor, tmp_path):
    source, target = tmp_path / "in.csv", tmp_path / "out.parquet"
    write_table(source, [{"id": f"{n:03}", "text": text.encode("utf-8", "replace").decode()} for n, text in enumerate(texts)])
    whole = tmp_path / "whole.parquet"
    score(Job(source=source, target=whole, chunk=9), predictor=predictor)

    def stop(done, total):
        raise Stopped("stopped")

    with pytest.raises(Stopped, match="9 rows are committed"):
        score(Job(source=source, target=target, chunk=9), predictor=predictor, progress=stop)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    before = set(Path("/tmp").glob("stance-ray-*"))
    command = [
        sys.executable,
        ROOT / "stance.py",
        "score",
        source,
        target,
        "--engine",
        "ray",
        "--actors",
        "2",
        "--chunk",
        "9",
        "--resume",
    ]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "")
    assert re.fullmatch(
        rf"(\d+ of \d+ rows.*\n|stance: all 2 actors have started\n)*{len(texts)} rows, 0 rejected; .* texts a second\n",
        ended.stderr,
    )
    assert target.read_bytes() == whole.read_bytes()
    assert set(Path("/tmp").glob("stance-ray-*")) <= before


def test_where_ray_is_not_installed_one_error_says_how_to_install_it(monkeypatch):
    from serving.cluster import connected

    monkeypatch.setitem(sys.modules, "ray", None)
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_USAGE_STATS_ENABLED", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"):
        monkeypatch.setenv(name, "")  # set by it, restored after the test
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    expected = r"^--engine ray: expected Ray, found none installed: `pip install '\.\[ray\]'`\.$"
    with pytest.raises(ConfigError, match=expected), connected(processors=1, model_bytes=0):
        pass


def test_an_address_where_nothing_answers_is_one_error(built, tmp_path):
    write_table(tmp_path / "in.csv", [{"text": "x"}])
    script = [sys.executable, ROOT / "stance.py", "score", "in.csv", "out.parquet", "--engine", "ray"]
    environment = {**os.environ, "RAY_ADDRESS": "127.0.0.1:1"}
    ended = subprocess.run(script, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    expected = "stance: RAY_ADDRESS: expected a Ray cluster at 127.0.0.1:1, found none ([Errno 111] Connection refused).\n"
    assert (ended.returncode, ended.stderr) == (1, expected)
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]
