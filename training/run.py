"""What a training run starts from, and what comes out of it."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from serving import artifact, runs
from serving.predictor import Predictor
from serving.registry import StoredModel
from training.behaviour import Case, Outcome
from training.config import Config
from training.rows import LabelledRow
from training.split import Split
from training.task import Task
from training.verdict import Judgement

EVALUATION = "evaluation.json"

Tracker = Literal["mlflow"]
"""Services that transformers reports to by itself."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a training run starts from. ``frozen_test`` and ``behaviour`` are only ever scored.

    ``calibration`` is what temperature and thresholds are fitted on; where it is empty, the validation split is.

    ``guards`` are rows left out of training that still hold their near duplicates in place (see :mod:`training.split`). ``added``
    are those of ``rows`` that no earlier model had; the manifest tells them. ``track`` names a service that is told the progress.
    """

    task: Task
    rows: Sequence[LabelledRow]
    config: Config
    calibration: Sequence[LabelledRow] = ()
    frozen_test: Sequence[LabelledRow] = ()
    behaviour: Sequence[Case] = ()
    guards: Sequence[LabelledRow] = ()
    added: Sequence[LabelledRow] = ()
    track: Tracker | None = None


@dataclass(frozen=True, slots=True)
class Built:
    """A stored artifact with its figures and, where it was judged, the judgement.

    ``resumed`` says that this process did not build it from the start, so that its time says nothing.
    """

    model: StoredModel
    figures: dict[str, Any]
    behaviour: dict[str, Outcome]
    judgement: Judgement | None = None
    resumed: bool = False

    @classmethod
    def of(cls, model: StoredModel) -> "Built":
        """Return what a model that an earlier process stored says of itself."""
        behaviour = artifact.read_manifest(model.path).metrics["behaviour"]
        verdict = model.path / artifact.VERDICT
        return cls(
            model=model,
            figures=json.loads((model.path / EVALUATION).read_text(encoding="utf-8")),
            behaviour={name: Outcome.model_validate(found) for name, found in behaviour.items()},
            judgement=Judgement.model_validate_json(verdict.read_bytes()) if verdict.is_file() else None,
            resumed=True,
        )


Judge = Callable[[Predictor, Split], Judgement]
"""Judges the artifact, loaded as it is served, before it is stored; the split is the one that it was trained with."""


def record_run(built: Built, *, command: str, seconds: float, **more: Any) -> None:
    """Add this run's line to the store's diary, once, whatever it was killed at; ``seconds`` are those of this process."""
    tag, manifest = built.model.tag, artifact.read_manifest(built.model.path)
    if any(line.get("model") == tag and line.get("command") == command for line in runs.recorded()):
        return
    fitted = manifest.metrics["fit"]
    runs.record(
        {
            "command": command,
            "model": tag,
            "parent": manifest.parent,
            "task": manifest.task,
            "data_sha256": manifest.data["sha256"],
            "rows": sum(sum(found.values()) for part, found in manifest.data["counts"].items() if part != "calibration"),
            "base_model": manifest.base_model.name,
            "seed": manifest.seed,
            "git_commit": manifest.git_commit,
            "macro_f1": {name: round(found["macro_f1"], 4) for name, found in built.figures.items()},
            "steps": fitted["steps"],
            "seconds": round(seconds, 1),
            "resumed": built.resumed,
            **more,
        }
    )
