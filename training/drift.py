"""Drift: how the predictions of a window differ from a reference, and how sure that is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2, chi2_contingency

from serving.artifact import Histogram, Reference
from serving.errors import DataError
from serving.predictor import Prediction
from training.monitored import Record

BINS = 10
FEWEST = 100
"""Predictions below which a decile has fewer than ten, so that neither test nor index says much."""
SMALL, LARGE = 0.1, 0.25
"""Population stability indices from which a change counts as one, and as a large one. Source: Siddiqi (2006), "Credit Risk
Scorecards"."""
LEVEL = 0.05
"""The chance of telling any change, of all that are compared, where there is none (Holm's correction)."""
_DRAWS = 2000
_HALF = 0.5  # a count added to each bin, so that an empty one has a logarithm


@dataclass(frozen=True, slots=True)
class Change:
    """How one quantity differs; ``index`` is the population stability index beyond what chance alone adds, with its interval.

    ``p`` is the chance of so great a difference or a greater one where nothing moved, corrected for the number of comparisons.
    """

    name: str
    index: float
    interval: tuple[float, float]
    p: float
    detail: str

    @property
    def verdict(self) -> str:
        """What it amounts to, in words."""
        if self.p >= LEVEL:
            return "no change that can be told from chance"
        if self.index < SMALL:
            return "moved a little"
        return "moved" if self.index < LARGE else "moved a lot"

    def __str__(self) -> str:
        """Say what moved and how sure that is."""
        chance = "less than 1 in 1,000" if self.p < 0.001 else f"{self.p:.3f}"
        low, high = self.interval
        sure = f"chance of such a difference without a change: {chance}"
        return f"{self.name}: {self.verdict}. {self.detail} (stability index {self.index:.2f}, {low:.2f} to {high:.2f}; {sure})"


def reference_of(predictions: Sequence[Prediction], texts: Sequence[str], *, labels: Sequence[str], source: str) -> Reference:
    """Return how predictions are distributed: labels, and tenths of confidence and of length in characters."""
    found = [prediction.label for prediction in predictions]
    return _reference(
        found,
        confidence=[prediction.confidence for prediction in predictions],
        characters=[len(text) for text in texts],
        labels=labels,
        source=source,
    )


def reference_of_window(records: Sequence[Record], *, labels: Sequence[str], source: str) -> Reference:
    """Return the same of recorded predictions."""
    return _reference(
        [record.label for record in records],
        confidence=[record.confidence for record in records],
        characters=[record.characters for record in records],
        labels=labels,
        source=source,
    )


def _reference(
    found: Sequence[str], *, confidence: Sequence[float], characters: Sequence[float], labels: Sequence[str], source: str
) -> Reference:
    return Reference(
        source=source,
        texts=len(found),
        labels={label: found.count(label) for label in labels},
        confidence=_histogram(np.asarray(confidence, dtype=float)),
        characters=_histogram(np.asarray(characters, dtype=float)),
    )


def _histogram(values: np.ndarray) -> Histogram:
    """Return counts between the values' own tenths; fewer bins where many values are equal."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]))
    return Histogram(edges=tuple(map(float, edges)), counts=tuple(map(int, _counted(values, edges))))


def _counted(values: np.ndarray, edges: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return how many values are at most the first edge, above it and at most the second, and so on: (edges + 1,)."""
    return np.bincount(np.searchsorted(np.asarray(edges), values), minlength=len(edges) + 1)


def compare(records: Sequence[Record], reference: Reference) -> list[Change]:
    """Return how labels, confidence and length of a window differ from the reference.

    Raises:
        DataError: the window or the reference is too small to tell anything.
    """
    if (fewest := min(len(records), reference.texts)) < FEWEST:
        raise DataError(f"expected at least {FEWEST} predictions of different texts on either side, found {fewest}.")
    labels = list(reference.labels)
    before = np.array(list(reference.labels.values()))
    after = np.array([sum(record.label == label for record in records) for label in labels])
    raw = [("labels", before, after, _shares(labels, before, after))]
    for name, more, histogram, values in (
        ("confidence", "surer", reference.confidence, [record.confidence for record in records]),
        ("length", "longer", reference.characters, [float(record.characters) for record in records]),
    ):
        counts = np.array(histogram.counts), _counted(np.asarray(values), histogram.edges)
        raw.append((name, *counts, _greater(*counts, more=more)))
    chances = _holm([_chance(old, new) for _, old, new, _ in raw])
    return [
        Change(name, *stability(old, new), p=p, detail=detail) for (name, old, new, detail), p in zip(raw, chances, strict=True)
    ]


def _chance(before: np.ndarray, after: np.ndarray) -> float:
    """Return the p-value of Pearson's chi-square test of homogeneity; bins that are empty on both sides say nothing."""
    table = np.stack([before, after])[:, before + after > 0]
    return float(chi2_contingency(table, correction=False).pvalue) if table.shape[1] > 1 else 1.0


def _holm(chances: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number. Source: Holm (1979)."""
    order = np.argsort(chances)
    scaled = np.maximum.accumulate([chances[place] * (len(chances) - rank) for rank, place in enumerate(order)])
    corrected = np.empty(len(chances))
    corrected[order] = np.minimum(scaled, 1.0)
    return [float(each) for each in corrected]


def stability(before: np.ndarray, after: np.ndarray) -> tuple[float, tuple[float, float]]:
    """Return the population stability index of two histograms, without the bias of chance, and its 95 % bootstrap interval.

    Where nothing moved the index is about (1/n + 1/m) times a chi-square variable with bins - 1 degrees of freedom; its mean is
    subtracted, twice from the bootstrap's draws, which have it twice.

    Source: Yurdakul (2018), "Statistical Properties of Population Stability Index".
    """
    generator = np.random.default_rng(0)
    n, m = int(before.sum()), int(after.sum())
    drawn = _index(generator.multinomial(n, before / n, _DRAWS), generator.multinomial(m, after / m, _DRAWS))
    bias = float(chi2.mean((before + after > 0).sum() - 1)) * (1 / n + 1 / m)
    low, high = np.maximum(np.quantile(drawn, [0.025, 0.975]) - 2 * bias, 0.0)
    return max(0.0, float(_index(before, after)) - bias), (float(low), float(high))


def _index(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return the sum over the last axis of (new - old share) x log(new / old share)."""
    old = (before + _HALF) / (before + _HALF).sum(axis=-1, keepdims=True)
    new = (after + _HALF) / (after + _HALF).sum(axis=-1, keepdims=True)
    return np.asarray(((new - old) * np.log(new / old)).sum(axis=-1))


def _shares(labels: Sequence[str], before: np.ndarray, after: np.ndarray) -> str:
    """Say which label's share changed most, with the 95 % interval of Agresti and Caffo (2000)."""
    n, m = int(before.sum()), int(after.sum())
    most = int(np.abs(after / m - before / n).argmax())
    old, new = (before[most] + 1) / (n + 2), (after[most] + 1) / (m + 2)
    margin = 1.96 * np.sqrt(old * (1 - old) / (n + 2) + new * (1 - new) / (m + 2))
    low, high = 100 * (new - old - margin), 100 * (new - old + margin)
    share = f"{labels[most]} {before[most] / n:.0%} before, {after[most] / m:.0%} now"
    return f"Most: {share}, a change of {low:+.0f} to {high:+.0f} points"


def _greater(before: np.ndarray, after: np.ndarray, *, more: str) -> str:
    """Say how often a value of the window is greater than one of the reference; equal bins count half.

    Source: McGraw and Wong (1992), the common language effect size.
    """
    below = np.concatenate([[0], np.cumsum(before)[:-1]])
    share = float(((below + before / 2) * after).sum() / (before.sum() * after.sum()))
    return f"A prediction of the window is {more} than one of the reference {100 * share:.0f} times of 100"
