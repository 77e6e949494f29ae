"""The README's words: its figures are those of the result files, its commands run, its answers are the ready champion's."""

import json
import os
import re
import shlex
import subprocess
import sys

import pytest

from benchmarks import scale
from benchmarks.readme import README, result, sections
from serving.artifact import sha256_of
from tests.conftest import ROOT
from tests.server import running

CHAMPION = ROOT / "models" / "champion.bentomodel"


@pytest.fixture
def home(champion_home):
    return champion_home


def run_stance(*arguments, home, cwd=ROOT):
    command = [sys.executable, str(ROOT / "stance.py"), *arguments]
    environment = {**os.environ, "BENTOML_HOME": str(home)}
    return subprocess.run(command, env=environment, cwd=cwd, check=True, capture_output=True, text=True).stdout


def test_the_ready_champion_is_the_file_that_its_note_names():
    note = (ROOT / "models" / "README.md").read_text(encoding="utf-8")
    assert sha256_of(CHAMPION) in note
    assert CHAMPION.stat().st_size <= 100_000_000


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("name", ["results", "costs", "explain"])
def test_measured_parts_are_those_of_the_result_files(name):
    assert f"<!-- {name} -->\n{sections()[name]}\n<!-- end of {name} -->" in README.read_text(encoding="utf-8")


def test_the_plan_is_reckoned_from_the_result_file():
    block = f"<!-- plan -->\n{scale.section(result('cluster'))}\n<!-- end of plan -->"
    assert block in scale.PLAN.read_text(encoding="utf-8")


def test_the_plan_is_reckoned_right():
    rows = {"input, CSV": 100, "output, Parquet": 200, "to an actor": 150, "from an actor": 50}
    found = {"texts_a_second_an_actor": 50.0, "command_rows_a_second": 2000, "bytes_a_row": rows}
    plan = scale.reckon(found, scale.Size(sentences=28_800_000, machines=2))  # 16 processors: 800 texts a second a machine
    assert list(plan.values()) == ["2", "2", "5.0", "10", "2.9 GB", "5.8 GB", "5.8 GB", "$6", "$0.212"]


def test_every_command_that_the_readme_names_exists():
    named = set(re.findall(r"(?:`|\.venv/bin/)stance (models [a-z]+|[a-z]+)", README.read_text(encoding="utf-8")))
    for name in named:
        subprocess.run([sys.executable, str(ROOT / "stance.py"), *name.split(), "--help"], check=True, capture_output=True)
    assert {"predict", "score", "serve", "train", "evaluate"} <= named


@pytest.mark.slow
def test_the_curl_is_answered_as_printed(home, tmp_path):
    (request,) = [block for block in blocks("sh") if "curl" in block and "/predict" in block]
    (printed,) = [json.loads(block) for block in blocks("json")]
    serve = [sys.executable, str(ROOT / "stance.py"), "serve", "--port", "{port}"]
    with running(serve, log=tmp_path / "log", cwd=tmp_path, env={"BENTOML_HOME": str(home)}) as client:
        command = request.replace("http://127.0.0.1:3000", str(client.base_url).rstrip("/"))
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["model"] == printed["model"]
    assert len(found["predictions"]) == len(printed["predictions"])
    for answered, expected in zip(found["predictions"], printed["predictions"], strict=True):
        probabilities = answered.pop("probabilities"), expected.pop("probabilities")
        assert probabilities[0] == pytest.approx(probabilities[1], abs=0.02)
        assert answered.pop("confidence") == pytest.approx(expected.pop("confidence"), abs=0.02)
        assert answered == expected


@pytest.mark.slow
def test_the_batch_command_scores_every_row(home, tmp_path):
    (command,) = [block.strip() for block in blocks("sh") if "stance score data/" in block]
    program, name, source, target = command.split()
    assert (program, name) == (".venv/bin/stance", "score")
    run_stance(name, str(ROOT / source), target, home=home, cwd=tmp_path)
    rows = [json.loads(line) for line in (tmp_path / target).read_text(encoding="utf-8").splitlines()]
    given = [json.loads(line) for line in (ROOT / source).read_text(encoding="utf-8").splitlines()]
    assert [row["text"] for row in rows] == [row["text"] for row in given]
    assert all(row["stance"] in ("supportive", "critical", "denying", "neutral") for row in rows)


@pytest.mark.slow
def test_the_explanation_is_as_printed(home):
    (command,) = [block.strip() for block in blocks("sh") if "stance explain" in block]
    (printed,) = re.findall(r"```\n([^`]*loses without the word\n)```", README.read_text(encoding="utf-8"))
    found = run_stance(*shlex.split(command)[1:], home=home)
    number = re.compile(r"[+-]?\d+\.\d")
    assert number.sub("", found) == number.sub("", printed)
    assert [float(n) for n in number.findall(found)] == pytest.approx([float(n) for n in number.findall(printed)], abs=2)


@pytest.mark.slow
def test_the_python_example_runs(home):
    (code,) = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "BENTOML_HOME": str(home)}, capture_output=True, text=True, check=True
    )
    labels = done.stdout.split()
    assert len(labels) == 4
    assert set(labels) <= {"supportive", "critical", "denying", "neutral"}


def test_the_example_task_is_read(tmp_path):
    from training.task import read_task

    (task,) = blocks("toml")
    (tmp_path / "other.toml").write_text(task)
    assert read_task(tmp_path / "other.toml").label_names == ("for", "against", "none")
