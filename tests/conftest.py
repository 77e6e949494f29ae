"""A tiny seeded base model, a small corpus and one artifact built from them, shared by all tests of a run."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

STORE = Path(tempfile.mkdtemp(prefix="stance-tests-"))
os.environ.update(
    BENTOML_HOME=str(STORE),
    BENTOML_DO_NOT_TRACK="True",
    HF_HUB_OFFLINE="1",
    TOKENIZERS_PARALLELISM="true",
)

import pytest

ROOT = Path(__file__).parents[1]
TINY_BASE = Path(__file__).parent / "tiny_base"


def pytest_unconfigure():
    shutil.rmtree(STORE, ignore_errors=True)


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory):
    """A folder with a two-layer encoder of seeded random weights and the committed tokenizer."""
    import torch
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("tiny-base")
    shutil.copytree(TINY_BASE, folder, dirs_exist_ok=True)
    torch.manual_seed(0)
    BertModel(BertConfig.from_pretrained(TINY_BASE), add_pooling_layer=False).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def corpus_lines():
    return [json.loads(line) for line in (ROOT / "data" / "corpus.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory, corpus_lines):
    """320 rows of the shipped corpus, as JSON Lines."""
    path = tmp_path_factory.mktemp("corpus") / "small.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in corpus_lines[:320]), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def quick_config(tmp_path_factory):
    """Two times over the rows, forms that a random model can keep."""
    path = tmp_path_factory.mktemp("config") / "quick.toml"
    path.write_text(
        '[fit]\nepochs = 2\nmin_steps = 0\nevaluations = 2\nlearning_rate = 3e-3\n[export]\nforms = ["bf16", "f32"]\n',
        encoding="utf-8",
    )
    return path


@pytest.fixture(scope="session")
def run(tiny_base, small_corpus, quick_config):
    """What the shared artifact is built from."""
    from training.assembly import Run
    from training.behaviour import read_cases
    from training.config import read_config
    from training.rows import read_rows
    from training.task import read_task

    task = read_task()
    rows = read_rows(small_corpus, labels=task.label_names)
    config = read_config(quick_config, base_model=str(tiny_base))
    return Run(
        task=task,
        rows=rows,
        config=config,
        calibration=read_rows(task.calibration, labels=task.label_names)[:100],
        frozen_test=read_rows(task.frozen_test, labels=task.label_names)[:40],
        behaviour=read_cases(task.behaviour)[:100],
    )


@pytest.fixture(scope="session")
def built(run):
    """The whole chain, once: fit, export, calibrate, evaluate, save; promoted."""
    from serving import registry
    from training.build import build

    built = build(run)
    registry.promote(built.model.tag)
    return built


@pytest.fixture(scope="session")
def predictor(built):
    from serving.predictor import Predictor

    return Predictor.load(built.model.tag)


@pytest.fixture(scope="module")
def server(built, tmp_path_factory):
    """A client of a real server that serves the shared artifact; ``log`` is the file that the server writes."""
    from tests.server import SERVE, running

    folder = tmp_path_factory.mktemp("server")
    with running(SERVE, log=folder / "log", cwd=folder) as client:
        client.log = folder / "log"
        yield client


@pytest.fixture(scope="session")
def champion_home(tmp_path_factory):
    """A store that holds the ready champion, as `make serve` puts it there."""
    home = tmp_path_factory.mktemp("champion")
    command = [
        sys.executable,
        str(ROOT / "stance.py"),
        "models",
        "import",
        str(ROOT / "models" / "champion.bentomodel"),
        "--promote",
    ]
    subprocess.run(command, env={**os.environ, "BENTOML_HOME": str(home)}, check=True, capture_output=True)
    return home


@pytest.fixture
def fresh_settings(monkeypatch):
    """The settings are read anew in the test, and again after it."""
    from serving.settings import settings

    settings.cache_clear()
    yield
    monkeypatch.undo()
    settings.cache_clear()


@pytest.fixture
def artifact_copy(built, tmp_path):
    """The shared artifact's files in a folder of the test's own."""
    copy = tmp_path / "artifact"
    shutil.copytree(built.model.path, copy)
    return copy


@pytest.fixture(scope="session")
def texts(corpus_lines):
    """Sentences that the shared artifact was not trained on, and the odd ones that any input may hold."""
    return [row["text"] for row in corpus_lines[1000:1100]] + ODD_TEXTS


ODD_TEXTS = [
    "x",
    "word " * 3000,
    "🙂" * 40,
    "التقرير كاذب من أوله إلى آخره.",
    "報告書は嘘だらけだ。",
    "tab\tnewline\nnull\x00bell\x07 end",
    "\u202eright-to-left override\u202c",
    "“Curly” ‘quotes’ — and – dashes…",
    "a\ud800b lone surrogate",
    "\ufeffbyte order mark",
    "e\u0301 combining",
    "<script>alert(1)</script>",
    "'; DROP TABLE stances; --",
    "None",
    "[CLS] [SEP] [MASK]",
]
