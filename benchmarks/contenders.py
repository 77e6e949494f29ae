"""The servers that are compared, each in a virtual environment of its own, and the transformers model that some of them serve.

What is made for them is kept in the folder $STANCE_BENCH_HOME (~/.cache/stance-bench where it is not set).
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from benchmarks.machine import ROOT
from serving.artifact import Manifest
from training.base import find_base, load_encoder

RIVALS = Path(__file__).parent / "rivals"
START_LIMIT_S = 120
STOP_LIMIT_S = 20
TAIL_BYTES = 4000
PROBE = ("It is a lie.", "The report was published on 31 August 2022.", "Its findings are sound.")


@dataclass(frozen=True, slots=True)
class Contender:
    """A server: how it is started, asked, and answers.

    ``command`` is split at its spaces; then its places are filled: ``{python}`` (of the contender's environment), ``{bin}`` (its
    folder of commands), ``{model}``, ``{root}`` (of this project) and ``{port}``. ``requirements`` names the file in rivals/; None means this project's own environment. A request is
    ``{key: [texts]}``; an answer is a list, one entry a text, or holds one under ``answers``.
    """

    name: str
    title: str
    command: str
    requirements: str | None = None
    path: str = "/predict"
    ready: str = "/readyz"
    key: str = "texts"
    answers: str = "predictions"

    def body(self, texts: Sequence[str]) -> bytes:
        """Return a request for these texts."""
        return json.dumps({self.key: list(texts)}).encode()


SERVICE = Contender("service", "stance serve", "{python} stance.py serve --port {port}")
RIVAL_SERVERS = (
    Contender(
        "fastapi",
        "FastAPI + transformers pipeline",
        "{python} -m uvicorn benchmarks.rivals.fastapi_pipeline:app --port {port}",
        requirements="fastapi_pipeline",
    ),
    Contender(
        "bentoml",
        "BentoML's batching, this predictor",
        "{python} -m bentoml serve benchmarks.rivals.bentoml_batching:BatchingService --host 127.0.0.1 --port {port} --working-dir {root}",
        requirements="bentoml_batching",
    ),
    Contender(
        "litserve",
        "LitServe's batching, transformers",
        "{python} -m benchmarks.rivals.litserve_batching {port}",
        requirements="litserve_batching",
        ready="/health",
    ),
    Contender(
        "infinity",
        "infinity-emb /classify",
        "{bin}/infinity_emb v2 --model-id {model} --engine torch --device cpu --no-bettertransformer --host 127.0.0.1 --port {port}",
        requirements="infinity",
        path="/classify",
        ready="/health",
        key="input",
        answers="data",
    ),
)
CONTENDERS = (SERVICE, *RIVAL_SERVERS)


def cache() -> Path:
    """Return the folder for what is made once."""
    return Path(os.environ.get("STANCE_BENCH_HOME") or Path.home() / ".cache" / "stance-bench")


def python_of(contender: Contender) -> Path:
    """Return the interpreter of a contender's environment, which is made first where it is missing or of other requirements."""
    if contender.requirements is None:
        return Path(sys.executable)
    wanted = RIVALS / f"{contender.requirements}.txt"
    folder = cache() / contender.requirements
    installed, python = folder / "installed.txt", folder / "bin" / "python"
    if not installed.is_file() or installed.read_bytes() != wanted.read_bytes():
        print(f"installing {contender.name} into {folder}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", str(wanted)]
        subprocess.run(install, check=True, stdout=sys.stderr)
        shutil.copyfile(wanted, installed)  # written last, so its presence means complete
    return python


def transformers_model(manifest: Manifest) -> Path:
    """Return a folder with the champion's encoder as transformers' own classifier, written where it is missing.

    Encoder and labels are the champion's base and labels; the head has random weights: they cost the same time as trained ones.
    """
    base, layers = find_base(manifest.base_model.name), manifest.config["model"].get("layers") or None
    depth = "all" if layers is None else "-".join(map(str, layers))
    folder = cache() / f"{base.name}-{base.sha256[:12]}-{depth}-{manifest.max_length}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as place:
            whole = Path(place) / "model"
            _write_classifier(whole, encoder=load_encoder(base, layers=layers), location=base.location, manifest=manifest)
            whole.replace(folder)
    return folder


def _write_classifier(folder: Path, *, encoder: Any, location: str, manifest: Manifest) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(0)
    config = encoder.config
    config.id2label = dict(enumerate(manifest.label_names))
    config.label2id = {label: index for index, label in config.id2label.items()}
    model = AutoModelForSequenceClassification.from_config(config)
    getattr(model, model.base_model_prefix).load_state_dict(encoder.state_dict(), strict=False)  # the pooler, where there is one
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(location, model_max_length=manifest.max_length).save_pretrained(folder)


@contextlib.contextmanager
def running(contender: Contender, *, python: Path, model: Path) -> Iterator[str]:
    """Start a contender's server, wait until it answers rightly, yield its address; then end it and all that it started."""
    port = free_port()
    places = {"python": str(python), "bin": str(python.parent), "model": str(model), "root": str(ROOT), "port": str(port)}
    own = {
        "STANCE_BENCH_MODEL": str(model),
        "PYTHONPATH": str(ROOT),
        "HF_HUB_OFFLINE": "1",
        "DO_NOT_TRACK": "1",
        "BENTOML_DO_NOT_TRACK": "True",
    }
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [part.format(**places) for part in contender.command.split()],
            cwd=ROOT,
            env={**os.environ, **own},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            if not _answers(contender, process, url):
                raise SystemExit(f"{contender.name} does not answer (exit status {process.poll()}):\n{tail(log)}")
            yield url
            if process.poll() is not None:
                raise SystemExit(f"{contender.name} ended under load (exit status {process.poll()}):\n{tail(log)}")
        finally:
            end(process)


def tail(log: IO[bytes]) -> str:
    """Return the end of what a server wrote."""
    log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES))
    return log.read().decode(errors="replace")


def end(process: subprocess.Popen[bytes]) -> None:
    """End a server and all that it started, in groups of their own as well: asked first, killed where they do not heed."""
    with contextlib.suppress(psutil.NoSuchProcess):
        started = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=STOP_LIMIT_S)
        for child in started:
            with contextlib.suppress(psutil.NoSuchProcess):  # which one of another start time is
                child.kill()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(contender: Contender, process: subprocess.Popen[bytes], url: str) -> bool:
    """Return whether the server, once it is ready, gives one prediction a text; False where it ends or the limit passes."""
    deadline = time.monotonic() + START_LIMIT_S
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            urllib.request.urlopen(url + contender.ready, timeout=5).close()
            request = urllib.request.Request(url + contender.path, contender.body(PROBE), {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=30) as answer:
                return predictions(contender, json.load(answer)) == len(PROBE)
        time.sleep(0.2)
    return False


def predictions(contender: Contender, answer: Any) -> int:
    """Return how many texts an answer speaks of."""
    return len(answer if isinstance(answer, list) else answer[contender.answers])
