"""Likely label errors: rows whose label surprises a model that has not seen them, the most surprising first.

Source: Northcutt, Jiang and Chuang (2021), "Confident Learning: Estimating Uncertainty in Dataset Labels", whose self-confidence
ranking this is.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from serving.errors import DataError
from training.baselines import linear_model
from training.config import read_config
from training.rows import LabelledRow, label_ids
from training.split import group_near_duplicates

FOLDS = 5


@dataclass(frozen=True, slots=True)
class Suspect:
    """A row with its out-of-fold loss (negative log probability of its label, in nats) and the label that was predicted."""

    row: LabelledRow
    loss: float
    predicted: str


def rank(rows: Sequence[LabelledRow], *, labels: Sequence[str], seed: int = 0) -> list[Suspect]:
    """Return every row by falling loss.

    Raises:
        DataError: fewer than two labels have at least two rows each.
    """
    truth = label_ids(rows, labels)
    sizes = np.bincount(truth, minlength=len(labels))
    if (sizes >= 2).sum() < 2:
        raise DataError(f"--label-errors: expected two rows of each of two labels at least, found {sizes.max(initial=0)} of one.")
    probabilities = _out_of_fold(rows, truth, labels=len(labels), seed=seed)
    own = probabilities[np.arange(len(rows)), truth]
    losses = -np.log(np.clip(own, 1e-12, None))
    best = probabilities.argmax(axis=1)
    order = np.argsort(-losses, kind="stable")
    return [Suspect(rows[i], float(losses[i]), labels[best[i]]) for i in order]


def _out_of_fold(rows: Sequence[LabelledRow], truth: np.ndarray, *, labels: int, seed: int) -> np.ndarray:
    """Return the probability of each label for each row by a model that saw neither it nor a near duplicate."""
    texts = [row.text for row in rows]
    groups = group_near_duplicates(texts, threshold=read_config().split.near_duplicate)
    folds = StratifiedGroupKFold(n_splits=min(FOLDS, len(set(groups))), shuffle=True, random_state=seed)
    probabilities = np.full((len(rows), labels), 1 / labels)
    for train, test in folds.split(texts, truth, groups):
        if len(set(truth[train])) < 2:
            continue
        model = linear_model(seed=seed).fit([texts[i] for i in train], truth[train])
        probabilities[test] = 0.0
        probabilities[np.ix_(test, model.classes_)] = model.predict_proba([texts[i] for i in test])
    return probabilities


def as_csv(suspects: Sequence[Suspect]) -> str:
    """Return a labelled CSV, to be corrected in its ``label`` column and read again; ``where`` is the row's file and number."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["text", "label", "predicted", "loss", "where"])
    for s in suspects:
        writer.writerow([s.row.text, s.row.label, s.predicted, f"{s.loss:.3f}", s.row.where])
    return text.getvalue()
