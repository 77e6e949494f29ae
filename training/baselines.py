"""What a model has to beat: the majority class, and TF-IDF with logistic regression."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from training.metrics import bootstrap_interval, macro_f1
from training.rows import LabelledRow, label_ids


def linear_model(*, seed: int = 0) -> Pipeline:
    """Return an unfitted TF-IDF over words and word pairs, with logistic regression."""
    return make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=1),
        LogisticRegression(C=10.0, class_weight="balanced", max_iter=2000, random_state=seed),
    )


class Baselines:
    """Both baselines, fitted on the same training rows as the model."""

    def __init__(self, train: Sequence[LabelledRow], *, labels: Sequence[str], seed: int = 0) -> None:
        """Fit them; ``labels`` fixes the integer ids."""
        self._labels = list(labels)
        truth = label_ids(train, self._labels)
        self._majority = int(np.bincount(truth, minlength=len(labels)).argmax())
        self._linear = linear_model(seed=seed).fit([row.text for row in train], truth)

    def measure(self, rows: Sequence[LabelledRow]) -> dict[str, dict[str, Any]]:
        """Return macro-F1, its interval and accuracy of each baseline on labelled rows."""
        truth = label_ids(rows, self._labels)
        guesses = {
            "majority class": np.full(len(rows), self._majority),
            "TF-IDF + logistic regression": self._linear.predict([row.text for row in rows]),
        }
        return {
            name: {
                "macro_f1": macro_f1(truth, guess),
                "macro_f1_interval": list(bootstrap_interval(truth, guess)),
                "accuracy": float((truth == guess).mean()),
            }
            for name, guess in guesses.items()
        }
