"""Promises about the repository itself."""

import json
import re
import subprocess
import tomllib

import yaml

from tests.conftest import ROOT

WORDS_OF_ELSEWHERE = re.compile(r"pypi\.org/simple|files\.pythonhosted|download\.pytorch|/root/|/home/\w+/|/work/")


def tracked():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name]


def test_the_bento_asks_for_the_base_dependencies():
    base = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert yaml.safe_load((ROOT / "bentofile.yaml").read_text())["python"]["packages"] == base


def test_the_base_install_brings_no_training_library():
    base = " ".join(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"])
    for name in ("torch", "transformers", "datasets", "pandas", "scikit"):
        assert name not in base


def test_every_bound_admits_its_pin():
    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line]
    pins = {name.lower().replace("_", "-"): version for name, _, version in (line.partition("==") for line in lines)}
    wanted = [*project["dependencies"], *(line for lines in project["optional-dependencies"].values() for line in lines)]
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(pins[requirement.name.lower().replace("_", "-")]), requirement


def test_no_file_names_a_registry_host_or_a_path_of_a_machine():
    texts = [
        path
        for path in tracked()
        if path.suffix in (".py", ".md", ".toml", ".yaml", ".txt", ".ipynb", ".html", "") and path.is_file()
    ]
    found = [
        path.name
        for path in texts
        if path.name != "test_project.py" and WORDS_OF_ELSEWHERE.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_the_frozen_test_set_is_what_it_was_and_not_in_the_corpus(corpus_lines):
    import hashlib

    content = (ROOT / "data" / "field_test.jsonl").read_bytes()
    assert hashlib.sha256(content).hexdigest() == FROZEN_SHA256
    texts = {json.loads(line)["text"] for line in content.decode().splitlines()}
    assert not texts & {row["text"] for row in corpus_lines}


def test_modules_stay_small():
    long = {path.name: n for path in tracked() if path.suffix == ".py" and (n := path.read_text().count("\n")) > 330}
    assert long == {}


FROZEN_SHA256 = "77265d375caeb1cc6e8b72b1410b061e80545122d588610cdefb3c2e5de80023"
