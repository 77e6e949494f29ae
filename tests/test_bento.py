"""The built bento: what it holds, and that it serves where torch and this repository are not."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.server import running

pytestmark = pytest.mark.slow

ABSENT = ("torch", "transformers", "datasets", "pandas", "sklearn", "scipy", "nncf", "matplotlib")


def bentoml(*arguments, python=sys.executable, home=None, cwd=ROOT):
    environment = {**os.environ, **({"BENTOML_HOME": str(home)} if home else {})}
    done = subprocess.run([python, "-m", "bentoml", *arguments], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def bento(built):
    tag = bentoml("build", "--output", "tag").strip().splitlines()[-1].removeprefix("__tag__:")
    return tag, Path(bentoml("get", tag, "--output", "path").strip())


def test_the_bento_holds_the_server_and_nothing_else(bento):
    _, path = bento
    held = {file.relative_to(path / "src").parts[0] for file in (path / "src").rglob("*") if file.is_file()}
    assert held == {"serving", "bentofile.yaml"}


def test_the_bento_names_the_champion_as_its_model(bento, built):
    _, path = bento
    (service,) = yaml.safe_load((path / "bento.yaml").read_text())["services"]
    assert [model["tag"] for model in service["models"]] == [built.model.tag]


def test_the_bento_requires_what_the_base_install_requires(bento):
    import tomllib

    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    _, path = bento
    required = (path / "env" / "python" / "requirements.txt").read_text().splitlines()
    assert sorted(line for line in required if "==" not in line) == sorted(wanted)  # BentoML adds itself, exactly


def test_the_bento_serves_in_an_environment_without_torch(bento, built, predictor, tmp_path):
    tag, path = bento
    bentoml("export", tag, str(tmp_path / "stance.bento"))
    venv.create(tmp_path / "venv", with_pip=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    requirements = path / "env" / "python" / "requirements.txt"
    install = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--constraint",
        str(ROOT / "constraints.txt"),
    ]
    subprocess.run([*install, "--requirement", str(requirements)], check=True)
    probe = f"import importlib.util as u; print([n for n in {ABSENT!r} if u.find_spec(n)])"
    found = subprocess.run([python, "-c", probe], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert found.stdout.strip() == "[]"
    home = tmp_path / "home"
    bentoml("import", str(tmp_path / "stance.bento"), python=python, home=home, cwd=tmp_path)
    command = [python, "-m", "bentoml", "serve", tag, "--host", "127.0.0.1", "--port", "{port}"]
    with running(command, log=tmp_path / "log", cwd=tmp_path, env={"BENTOML_HOME": str(home)}) as client:
        answer = client.post("/predict", json={"texts": ["It is a lie."]}).json()
        assert answer["model"] == built.model.tag
        assert answer["predictions"][0]["label"] == predictor.predict(["It is a lie."])[0].label
        assert client.get("/model").json()["model_card"] != ""
