"""The sets that a task names: those reserved from training, and those that its own model is scored on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from serving.artifact import Manifest
from serving.errors import ArtifactError, DataError
from training.baselines import Baselines
from training.behaviour import Case, read_cases
from training.config import Config, read_config
from training.rows import LabelledRow, Unique, digest, keep_apart, read_rows, unique_rows
from training.split import near_repeats, split_rows
from training.task import Task


@dataclass(frozen=True, slots=True)
class Reserved:
    """What a task names beside its corpus; none of it is ever trained on."""

    calibration: list[LabelledRow]
    frozen_test: list[LabelledRow]
    behaviour: list[Case]

    @classmethod
    def of(cls, task: Task, *, labels: Sequence[str]) -> "Reserved":
        """Read it.

        Raises:
            DataError: a file cannot be read, or a row has none of ``labels``.
        """
        return cls(
            calibration=read_rows(task.calibration, labels=labels) if task.calibration else [],
            frozen_test=read_rows(task.frozen_test, labels=labels) if task.frozen_test else [],
            behaviour=read_cases(task.behaviour) if task.behaviour else [],
        )

    @property
    def texts(self) -> list[str]:
        """Every reserved text."""
        return [text for texts in self.named.values() for text in texts]

    @property
    def named(self) -> dict[str, list[str]]:
        """The reserved texts by what they are reserved for."""
        return {
            "frozen test set": [row.text for row in self.frozen_test],
            "calibration set": [row.text for row in self.calibration],
            "behavioural tests": [text for case in self.behaviour for text in case.texts],
        }

    def apart(self, rows: Sequence[LabelledRow], *, near_duplicate: float) -> tuple[list[LabelledRow], list[LabelledRow]]:
        """Return the rows that may be trained on, and those that repeat a reserved text or nearly repeat a frozen test row.

        ``near_duplicate`` is the word-pair similarity that the split divides by.
        """
        kept, repeated = keep_apart(rows, self.texts)
        near = self.near_frozen([row.text for row in kept], near_duplicate=near_duplicate)
        left_out = [row for row, like in zip(kept, near, strict=True) if like]
        return [row for row, like in zip(kept, near, strict=True) if not like], [*repeated, *left_out]

    def near_frozen(self, texts: Sequence[str], *, near_duplicate: float) -> list[bool]:
        """Say of each text whether it nearly repeats one of the frozen test set."""
        frozen = [row.text for row in self.frozen_test]
        return [like is not None for like in near_repeats(texts, frozen, threshold=near_duplicate)]


def own_corpus(task: Task, *, labels: Sequence[str]) -> tuple[Unique, Reserved]:
    """Return the rows of the task's corpus that may be trained on, and what the task reserves.

    Raises:
        DataError: the task names no corpus, or a file cannot be read.
    """
    if task.corpus is None:
        raise DataError(f"task {task.name} names no corpus: give the labelled files with --data.")
    reserved = Reserved.of(task, labels=labels)
    apart, _ = reserved.apart(read_rows(task.corpus, labels=labels), near_duplicate=read_config().split.near_duplicate)
    return unique_rows(apart), reserved


def own_sets(
    manifest: Manifest, task: Task, *, rows_of_model: Unique | None = None
) -> tuple[Mapping[str, Sequence[LabelledRow]], Baselines]:
    """Return the rows that the model is scored on, as they were at training, with baselines fitted on its training rows.

    ``rows_of_model`` are those that the model itself holds, in place of the task's corpus.

    Raises:
        ArtifactError: the model's configuration cannot be read by this version.
        DataError: the model is of another task, or the task's corpus is not the one that the model was trained on, so its test
            rows may have been trained on.
    """
    labels = manifest.label_names
    if manifest.task != task.name:
        raise DataError(
            f"the model is of the task {manifest.task!r}, the files are of {task.name!r}: name its task file with --task,"
            " or the files to score with --data."
        )
    if rows_of_model is None:
        unique, reserved = own_corpus(task, labels=labels)
    else:
        unique, reserved = rows_of_model, Reserved.of(task, labels=labels)
    rows = unique.rows
    if digest(rows) != manifest.data["sha256"]:
        raise DataError(
            f"{task.corpus}: not the rows that this model was trained with, so some of its test rows may be among them;"
            " give the files to score with --data."
        )
    try:
        config = Config.model_validate(manifest.config)
    except ValidationError:
        raise ArtifactError(
            "the model's configuration is of another version of the program, which divided the rows otherwise; give the files to"
            " score with --data."
        ) from None
    split = split_rows(rows, config.split, guards=unique.contradictions)
    sets = {
        "validation": split.validation,
        "test": split.test,
        "calibration": reserved.calibration,
        "frozen test": reserved.frozen_test,
    }
    return sets, Baselines(split.train, labels=labels)
