"""The sets that a task's own model is scored on."""

from collections.abc import Mapping, Sequence

from serving.artifact import Manifest
from serving.errors import DataError
from training.baselines import Baselines
from training.behaviour import read_cases
from training.config import Config
from training.rows import LabelledRow, digest, keep_apart, read_rows, unique_rows
from training.split import split_rows
from training.task import Task


def own_sets(manifest: Manifest, task: Task) -> tuple[Mapping[str, Sequence[LabelledRow]], Baselines]:
    """Return validation, test and frozen test rows as they were at training, with baselines fitted on its training rows.

    Raises:
        DataError: the task's corpus is not the one that the model was trained on, so its test rows may have been trained on.
    """
    labels = manifest.label_names
    if task.corpus is None:
        raise DataError(f"task {task.name} names no corpus: give the labelled files with --data.")
    frozen = read_rows(task.frozen_test, labels=labels) if task.frozen_test else []
    cases = read_cases(task.behaviour) if task.behaviour else []
    tested = [*(row.text for row in frozen), *(text for case in cases for text in case.texts)]
    apart, _ = keep_apart(read_rows(task.corpus, labels=labels), tested)
    unique = unique_rows(apart)
    rows = unique.rows
    if digest(rows) != manifest.data["sha256"]:
        raise DataError(
            f"{task.corpus}: not the rows that this model was trained with, so some of its test rows may be among them;"
            " give the files to score with --data."
        )
    split = split_rows(rows, Config.model_validate(manifest.config).split, guards=unique.contradictions)
    sets = {"validation": split.validation, "test": split.test, "frozen test": frozen}
    return sets, Baselines(split.train, labels=labels)
