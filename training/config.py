"""The training configuration: one TOML, every value in it, an unknown key is an error."""

import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from serving.artifact import Form
from serving.errors import ConfigError
from training.task import explain

DEFAULT_CONFIG = Path(__file__).with_name("default.toml")

Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelConfig(_Section):
    """The encoder and the head on it."""

    base_model: str = Field(min_length=1)
    layers: tuple[Annotated[int, Field(ge=0)], ...] = Field(description="indices of those that are kept; none: all")
    max_length: int = Field(ge=8, le=512)
    dropout: Fraction


class SplitConfig(_Section):
    """How rows are divided."""

    test_fraction: Fraction
    validation_fraction: Annotated[float, Field(gt=0, lt=1)]
    near_duplicate: Annotated[float, Field(gt=0, le=1)]


class FitConfig(_Section):
    """Optimisation."""

    seed: int = Field(ge=0, lt=2**32)
    epochs: int = Field(ge=1)
    min_steps: int = Field(ge=0)
    evaluations: int = Field(ge=1)
    early_stopping_patience: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    learning_rate: Positive
    reference_width: int = Field(ge=1)
    head_learning_rate: Positive
    weight_decay: float = Field(ge=0)
    warmup_fraction: Fraction
    label_smoothing: Fraction
    class_weight_power: float = Field(ge=0, le=1)
    max_grad_norm: Positive

    def steps_for(self, rows: int) -> int:
        """Return how many steps a run over that many rows has: ``epochs`` times over, but at least ``min_steps``."""
        return max(self.epochs * math.ceil(rows / self.batch_size), self.min_steps)


class DistillationConfig(_Section):
    """How much rows that carry a teacher's probabilities learn from them instead of from their label."""

    column: str = Field(min_length=1)
    weight: Annotated[float, Field(ge=0, le=1)]
    temperature: Positive


class CalibrationConfig(_Section):
    """What the thresholds aim at."""

    conformal_alpha: Annotated[float, Field(gt=0, lt=1)]
    abstention_accuracy: Annotated[float, Field(gt=0, le=1)]
    abstention_min_coverage: Annotated[float, Field(gt=0, le=1)]


class ExportConfig(_Section):
    """Which forms are tried, and how exact the served one has to be."""

    forms: tuple[Form, ...] = Field(min_length=1)
    calibration_texts: int = Field(ge=1)
    min_label_agreement: Annotated[float, Field(ge=0, le=1)]
    max_macro_f1_drop: Fraction
    golden_texts: int = Field(ge=1, le=1000)


class Config(_Section):
    """Everything that a training run can be told."""

    model: ModelConfig
    split: SplitConfig
    fit: FitConfig
    distillation: DistillationConfig
    calibration: CalibrationConfig
    export: ExportConfig


def read_config(
    path: Path | None = None,
    *,
    values: Mapping[str, Any] | None = None,
    seed: int | None = None,
    base_model: str | None = None,
) -> Config:
    """Return the default configuration with ``values``, those of ``path`` and then the other arguments put over it.

    ``values`` are sections as a file would hold them.

    Raises:
        ConfigError: a file is not TOML, or a key is unknown or its value wrong.
    """
    overlays = [
        dict(values or {}),
        _read(path) if path is not None else {},
        {"fit": {"seed": seed}} if seed is not None else {},
        {"model": {"base_model": base_model}} if base_model is not None else {},
    ]
    content = _read(DEFAULT_CONFIG)
    for above in overlays:
        content = overlay(content, _for_its_base(above))
    try:
        return Config.model_validate(content)
    except ValueError as error:
        raise ConfigError(f"{path or DEFAULT_CONFIG}: {explain(error)}") from None


def _for_its_base(above: dict[str, Any]) -> dict[str, Any]:
    """Return the values with all layers kept where they name a base model and no layers: the default's are of its own base."""
    model = above.get("model")
    if isinstance(model, dict) and "base_model" in model:
        return {**above, "model": {"layers": [], **model}}
    return above


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {explain(error)}") from None


def overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of ``below`` with those of ``above`` over them, table by table."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = overlay(merged[key], value) if both else value
    return merged
