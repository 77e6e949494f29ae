"""Everything after the fit: the artifact takes shape in a folder of its own and is then stored whole."""

import datetime
import hashlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import numpy as np

from serving import artifact, registry
from serving.predictor import Predictor
from serving.registry import StoredModel
from serving.tokenizer import Encoded, TextTokenizer
from training.base import BaseModel
from training.baselines import Baselines
from training.behaviour import Case, Outcome, run_cases
from training.calibrate import abstention_threshold, conformal_threshold, fit_temperature, probabilities
from training.card import model_card
from training.config import Config
from training.drift import reference_of
from training.evaluate import evaluate
from training.export import Exported, export, runtime_logits, torch_logits
from training.fit import Fitted
from training.metrics import macro_f1
from training.report import render
from training.rows import LabelledRow, counts, digest, label_ids, normal_form
from training.split import Split
from training.task import Task

REPORT = "report.html"
EVALUATION = "evaluation.json"
CONFIGURATION = "config.json"
PACKAGES = (
    "accelerate",
    "datasets",
    "nncf",
    "numpy",
    "openvino",
    "scikit-learn",
    "tokenizers",
    "torch",
    "transformers",
)
GOLDEN_MARGIN = 0.02
"""Added to the largest difference of a golden probability seen at export: another processor rounds otherwise."""

REFERENCE_TEXTS = 2000
"""Enough to tell a share of one in ten to within 1.3 points."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a training run starts from. ``frozen_test`` and ``behaviour`` are only ever scored.

    ``calibration`` is what temperature and thresholds are fitted on; where it is empty, the validation split is.

    ``guards`` are rows left out of training that still hold their near duplicates in place (see :mod:`training.split`).
    """

    task: Task
    rows: Sequence[LabelledRow]
    config: Config
    calibration: Sequence[LabelledRow] = ()
    frozen_test: Sequence[LabelledRow] = ()
    behaviour: Sequence[Case] = ()
    guards: Sequence[LabelledRow] = ()


@dataclass(frozen=True, slots=True)
class Built:
    """A stored artifact and its figures."""

    model: StoredModel
    figures: dict[str, Any]
    behaviour: dict[str, Outcome]


class Assembly:
    """Turns a fitted model into a stored artifact, once."""

    def __init__(self, run: Run, base: BaseModel, split: Split, tokenizer: TextTokenizer, fitted: Fitted, folder: Path) -> None:
        self.run, self.base, self.split = run, base, split
        self.tokenizer, self.fitted, self.folder = tokenizer, fitted, folder
        self.labels = run.task.label_names
        model = run.config.model.model_copy(update={"base_model": base.name})  # a name; never a path of this machine
        self.config = run.config.model_copy(update={"model": model})

    def finish(self, backend: Any) -> Built:
        """Return the stored artifact."""
        exported = self._export()
        logits, truth = self._calibration_logits(exported)
        temperature = fit_temperature(logits, truth)
        backend.save(str(self.folder / artifact.TOKENIZER))
        tolerance = self._write_golden(exported, temperature=temperature)
        self._write_training_side()
        calibration = self._calibration(probabilities(logits, temperature), truth)
        manifest = self._manifest(exported, calibration={"temperature": temperature, **calibration}, tolerance=tolerance)
        artifact.seal(self.folder, manifest=manifest, names=self._names())
        predictor = Predictor.from_directory(self.folder)
        figures, behaviour = self._evaluate(predictor)
        manifest["reference"] = self._reference(predictor)
        (self.folder / artifact.MANIFEST).unlink()
        tag = self._tag()
        self._write_findings(tag, manifest=manifest, figures=figures, behaviour=behaviour)
        manifest["metrics"] |= _headlines(figures)
        manifest["metrics"]["behaviour"] = {name: outcome.model_dump() for name, outcome in behaviour.items()}
        model = registry.store(tag, self.folder, manifest=manifest, names=self._names())
        return Built(model=model, figures=figures, behaviour=behaviour)

    def _export(self) -> Exported:
        say("exporting for the CPU runtime")
        calibration = _spread(self.split.train, self.config.export.calibration_texts)
        return export(
            self.fitted.model,
            calibration=self._encode(calibration),
            validation=self._encode(self.split.validation),
            truth=label_ids(self.split.validation, self.labels),
            config=self.config.export,
            folder=self.folder,
        )

    def _calibration_logits(self, exported: Exported) -> tuple[np.ndarray, np.ndarray]:
        """Return logits of the served form and true labels to calibrate on."""
        rows = self.run.calibration
        if not rows:
            return exported.logits, label_ids(self.split.validation, self.labels)
        path = self.folder / artifact.RUNTIME_XML
        logits = runtime_logits(path, self._encode(rows), form=exported.form, labels=len(self.labels))
        return logits, label_ids(rows, self.labels)

    def _fidelity(self, exported: Exported) -> dict[str, dict[str, float]]:
        """Return, for each set that is reported on, how the served form compares with fp32: labels alike, macro-F1 of each."""
        found = {}
        for name, rows in (("test", self.split.test), ("frozen test", self.run.frozen_test)):
            if rows:
                encoded, truth = self._encode(rows), label_ids(rows, self.labels)
                path = self.folder / artifact.RUNTIME_XML
                served = runtime_logits(path, encoded, form=exported.form, labels=len(self.labels)).argmax(axis=1)
                reference = torch_logits(self.fitted.model, encoded).argmax(axis=1)
                found[name] = {
                    "label_agreement": float((served == reference).mean()),
                    "macro_f1": macro_f1(truth, served),
                    "macro_f1_fp32": macro_f1(truth, reference),
                }
        return found

    def _calibration(self, scaled: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
        aims = self.config.calibration
        return {
            "conformal": {
                "alpha": aims.conformal_alpha,
                "threshold": conformal_threshold(scaled, truth, alpha=aims.conformal_alpha),
            },
            "abstention": {
                "target_accuracy": aims.abstention_accuracy,
                "threshold": abstention_threshold(scaled, truth, aims),
            },
        }

    def _encode(self, rows: Sequence[LabelledRow]) -> list[Encoded]:
        return self.tokenizer.encode([row.text for row in rows])

    def _write_golden(self, exported: Exported, *, temperature: float) -> float:
        """Write golden texts with fp32 probabilities; return how far the runtime may be from them."""
        chosen = _spread(self.split.validation, self.config.export.golden_texts)
        expected = probabilities(torch_logits(self.fitted.model, self._encode(chosen)), temperature)
        position = {id(row): index for index, row in enumerate(self.split.validation)}
        served = probabilities(exported.logits[[position[id(row)] for row in chosen]], temperature)
        lines = [
            artifact.GoldenRecord(text=row.text, probabilities=tuple(map(float, p))).model_dump_json()
            for row, p in zip(chosen, expected, strict=True)
        ]
        (self.folder / artifact.GOLDEN).write_text("\n".join(lines) + "\n", encoding="utf-8")
        return min(0.99, float(np.abs(served - expected).max()) + GOLDEN_MARGIN)

    def _write_training_side(self) -> None:
        from safetensors.torch import save_file

        # Half precision halves the artifact; fine-tuning starts from it as well as from single precision.
        state = {name: tensor.half().contiguous() for name, tensor in self.fitted.model.state_dict().items()}
        save_file(state, str(self.folder / artifact.WEIGHTS))
        (self.folder / artifact.ENCODER_CONFIG).write_text(self.fitted.model.encoder.config.to_json_string(), encoding="utf-8")
        (self.folder / CONFIGURATION).write_text(self.config.model_dump_json(indent=2) + "\n", encoding="utf-8")

    def _manifest(self, exported: Exported, *, calibration: Mapping[str, Any], tolerance: float) -> dict[str, Any]:
        parts: dict[str, Sequence[LabelledRow]] = {
            "train": self.split.train,
            "validation": self.split.validation,
            "test": self.split.test,
            "calibration": self.run.calibration,
        }
        return {
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "task": self.run.task.name,
            "target": self.run.task.target,
            "labels": [label.model_dump() for label in self.run.task.labels],
            "max_length": self.config.model.max_length,
            "form": exported.form,
            **calibration,
            "golden_tolerance": tolerance,
            "base_model": {"name": self.base.name, "sha256": self.base.sha256},
            "parameters": sum(p.numel() for p in self.fitted.model.parameters()),
            "data": {
                "sha256": digest(self.run.rows),
                "train_sha256": digest(self.split.train),
                "calibration_sha256": digest(self.run.calibration) if self.run.calibration else None,
                "counts": {name: counts(rows, self.labels) for name, rows in parts.items()},
            },
            "config": self.config.model_dump(mode="json"),
            "seed": self.config.fit.seed,
            "packages": {name: version_of(name) for name in PACKAGES},
            "git_commit": _git_commit(),
            "parent": registry.champion(),
            "export": {**exported.record(), "fidelity": self._fidelity(exported)},
            "metrics": {"fit": {"epochs": self.fitted.epochs, "seconds": round(self.fitted.seconds, 1)}},
        }

    def _reference(self, predictor: Predictor) -> dict[str, Any]:
        """Return how the predictions on up to :data:`REFERENCE_TEXTS` texts of the test split are distributed."""
        name, rows = ("test", self.split.test) if self.split.test else ("validation", self.split.validation)
        texts = [row.text for row in sorted(rows, key=_stable_order)[:REFERENCE_TEXTS]]
        source = f"the model's own {name} split"
        return reference_of(predictor.predict(texts), texts, labels=self.labels, source=source).model_dump(mode="json")

    def _evaluate(self, predictor: Predictor) -> tuple[dict[str, Any], dict[str, Outcome]]:
        say("evaluating the artifact as it is served")
        sets: Mapping[str, Sequence[LabelledRow]] = {
            "validation": self.split.validation,
            "test": self.split.test,
            "calibration": self.run.calibration,
            "frozen test": self.run.frozen_test,
        }
        figures = evaluate(predictor, sets, baselines=Baselines(self.split.train, labels=self.labels))
        return figures, run_cases(predictor, self.run.behaviour)

    def _tag(self) -> str:
        """Return a tag that sorts by time and tells weights apart."""
        moment = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dt%H%M%S")
        return f"{registry.NAME}:{moment}-{artifact.sha256_of(self.folder / artifact.WEIGHTS)[:6]}"

    def _write_findings(
        self, tag: str, *, manifest: Mapping[str, Any], figures: Mapping[str, Any], behaviour: Mapping[str, Outcome]
    ) -> None:
        card = model_card(
            self.run.task,
            base=self.base.name,
            parameters=manifest["parameters"],
            form=manifest["form"],
            max_length=manifest["max_length"],
            data=manifest["data"],
            figures=figures,
        )
        page = render(figures, model=tag, target=self.run.task.target, labels=list(self.labels), behaviour=behaviour)
        (self.folder / artifact.MODEL_CARD).write_text(card, encoding="utf-8")
        (self.folder / EVALUATION).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        (self.folder / REPORT).write_text(page, encoding="utf-8")

    def _names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir() if path.is_file())


def _spread(rows: Sequence[LabelledRow], count: int) -> list[LabelledRow]:
    """Return up to ``count`` rows, the labels in turn, chosen by a stable hash of the text."""
    by_hash = sorted(rows, key=_stable_order)
    share = math.ceil(count / max(1, len({row.label for row in rows})))
    taken: dict[str, int] = {}
    chosen = []
    for row in by_hash:
        taken[row.label] = taken.get(row.label, 0) + 1
        if taken[row.label] <= share:
            chosen.append(row)
    return chosen[:count]


def _stable_order(row: LabelledRow) -> bytes:
    return hashlib.sha256(normal_form(row.text).encode("utf-8", "replace")).digest()


def _headlines(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures without the points of their pictures."""
    curves = ("reliability", "risk_coverage")
    return {name: {k: v for k, v in found.items() if k not in curves} for name, found in figures.items()}


def _git_commit() -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def say(line: str) -> None:
    """Print a line of progress on stderr, once for all processes."""
    if int(os.environ.get("RANK", "0")) == 0:
        print(line, file=sys.stderr, flush=True)  # noqa: T201
