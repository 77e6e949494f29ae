"""The task: what the stance is toward, and the ordered labels. ``data/task.toml`` is the one place that names them."""

import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from serving.artifact import LabelDefinition
from serving.errors import ConfigError

DEFAULT_TASK = Path(__file__).parents[1] / "data" / "task.toml"


class Task(BaseModel):
    """A target and its ordered labels; where the task names them, the corpus and the sets that are never trained on.

    ``calibration`` holds labelled texts by writers that training has not seen: temperature and thresholds are fitted on it,
    in place of the validation split. ``frozen_test`` and ``behaviour`` are only ever scored.

    ``data_note`` and ``limits`` go into the model card: where the data comes from, and where models of it fail.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    target: str = Field(min_length=1)
    labels: tuple[LabelDefinition, ...] = Field(min_length=2, max_length=100)
    corpus: Path | None = None
    calibration: Path | None = None
    frozen_test: Path | None = None
    behaviour: Path | None = None
    data_note: str = ""
    limits: str = ""

    @field_validator("labels", mode="before")
    @classmethod
    def _label_forms(cls, value: Any) -> Any:
        """Accept tables with a name and a definition, plain strings, or one table of name = definition."""
        if isinstance(value, dict):
            return [{"name": name, "definition": text} for name, text in value.items()]
        if isinstance(value, list):
            return [{"name": item} if isinstance(item, str) else item for item in value]
        return value

    @field_validator("labels")
    @classmethod
    def _distinct(cls, labels: tuple[LabelDefinition, ...]) -> tuple[LabelDefinition, ...]:
        names = [label.name for label in labels]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"label {repeated[0]!r} is named twice")
        return labels

    @property
    def label_names(self) -> tuple[str, ...]:
        """The labels in order."""
        return tuple(label.name for label in self.labels)


def read_task(path: Path = DEFAULT_TASK) -> Task:
    """Read a task file; its paths are relative to it.

    Raises:
        ConfigError: it is missing, not TOML, or a key is unknown, missing or wrong.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        task = Task.model_validate(content)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {explain(error)}") from None
    located = {
        key: path.parent / value for key in ("corpus", "calibration", "frozen_test", "behaviour") if (value := getattr(task, key))
    }
    return task.model_copy(update=located)


def explain(error: OSError | ValueError) -> str:
    """Return one line that says what is wrong with a file of settings."""
    if isinstance(error, ValidationError):
        fault = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            return f"unknown key {where!r}."
        return f"{where}: {fault['msg'].removeprefix('Value error, ')}, found {fault['input']!r:.80}."
    if isinstance(error, OSError):
        return f"cannot be read ({error.strerror})."
    return f"expected TOML ({error})."
