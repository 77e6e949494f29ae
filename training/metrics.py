"""How good predictions are. All functions are pure; ``truth`` and ``predicted`` are int arrays of shape (texts,)."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

BOOTSTRAP_SAMPLES = 2000
ECE_BINS = 10
COVERAGES = (1.0, 0.9, 0.8, 0.5)


def macro_f1(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Return the mean F1 over the classes that occur in ``truth`` or ``predicted``."""
    size = int(max(truth.max(), predicted.max())) + 1
    # Thousands of resamples are scored, so counted in one pass.
    matrix = np.bincount(truth * size + predicted, minlength=size * size).reshape(size, size)
    total = matrix.sum(axis=0) + matrix.sum(axis=1)
    return float(np.mean(2 * matrix.diagonal()[total > 0] / total[total > 0]))


def _f1(truth: np.ndarray, predicted: np.ndarray, label: int) -> float:
    hits = np.sum((truth == label) & (predicted == label))
    total = np.sum(truth == label) + np.sum(predicted == label)
    return float(2 * hits / total) if total else 0.0


def per_class(truth: np.ndarray, predicted: np.ndarray, labels: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return precision, recall, F1 and support a label."""
    table = {}
    for index, label in enumerate(labels):
        hits = int(np.sum((truth == index) & (predicted == index)))
        support, named = int(np.sum(truth == index)), int(np.sum(predicted == index))
        table[label] = {
            "precision": hits / named if named else 0.0,
            "recall": hits / support if support else 0.0,
            "f1": _f1(truth, predicted, index),
            "support": support,
        }
    return table


def confusion(truth: np.ndarray, predicted: np.ndarray, size: int) -> np.ndarray:
    """Return counts, int of shape (size, size): rows are true labels, columns predicted ones."""
    matrix = np.zeros((size, size), dtype=int)
    np.add.at(matrix, (truth, predicted), 1)
    return matrix


def bootstrap_interval(
    truth: np.ndarray,
    predicted: np.ndarray,
    *,
    statistic: Callable[[np.ndarray, np.ndarray], float] = macro_f1,
    samples: int = BOOTSTRAP_SAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the 95 % percentile interval of a statistic over resampled texts.

    Source: Efron & Tibshirani (1993), "An Introduction to the Bootstrap", chapter 13.
    """
    generator = np.random.default_rng(seed)
    drawn = generator.integers(0, len(truth), size=(samples, len(truth)))
    values = [statistic(truth[index], predicted[index]) for index in drawn]
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def brier(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the multi-class Brier score, 0 to 2. Source: Brier (1950)."""
    return float(np.mean(np.sum((probabilities - np.eye(probabilities.shape[1])[truth]) ** 2, axis=1)))


def negative_log_likelihood(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the mean negative log probability of the true labels, in nats."""
    return float(-np.mean(np.log(np.maximum(probabilities[np.arange(len(truth)), truth], 1e-12))))


def reliability(correct: np.ndarray, confidence: np.ndarray, bins: int = ECE_BINS) -> list[dict[str, float]]:
    """Return mean confidence, accuracy and count of each of ``bins`` equally filled bins of confidence."""
    parts = _bins(confidence, bins)
    return [{"confidence": float(confidence[p].mean()), "accuracy": float(correct[p].mean()), "count": len(p)} for p in parts]


def _bins(confidence: np.ndarray, bins: int = ECE_BINS) -> list[np.ndarray]:
    """Return the places of the texts of each bin, by rising confidence."""
    return np.array_split(np.argsort(confidence, kind="stable"), min(bins, len(confidence)))


def expected_calibration_error(correct: np.ndarray, confidence: np.ndarray) -> float:
    """Return the ECE over equally filled bins. Source: Nixon et al. (2019), "Measuring Calibration in Deep Learning"."""
    parts = reliability(correct, confidence)
    return sum(p["count"] * abs(p["confidence"] - p["accuracy"]) for p in parts) / len(correct)


def ece_noise_floor(confidence: np.ndarray, *, samples: int = 1000, seed: int = 0) -> dict[str, float]:
    """Return mean and 95th percentile of the ECE that a perfectly calibrated model would show on this many texts.

    Correctness is drawn from the confidences themselves. Source: Vaicenavicius et al. (2019), "Evaluating model calibration
    in classification".
    """
    generator = np.random.default_rng(seed)
    drawn = generator.random((samples, len(confidence))) < confidence
    values = sum(np.abs(drawn[:, p].sum(axis=1) - confidence[p].sum()) for p in _bins(confidence)) / len(confidence)
    return {"mean": float(np.mean(values)), "p95": float(np.percentile(values, 95))}


def accuracy_at_coverage(correct: np.ndarray, confidence: np.ndarray) -> dict[str, float]:
    """Return the accuracy on the most confident share of the texts, a share of :data:`COVERAGES`."""
    ranked = correct[np.argsort(-confidence, kind="stable")]
    return {f"{share:.0%}": float(ranked[: max(1, round(share * len(ranked)))].mean()) for share in COVERAGES}


def risk_coverage(correct: np.ndarray, confidence: np.ndarray, *, points: int = 200) -> dict[str, list[float]]:
    """Return coverage and error rate with the most confident texts kept, at up to ``points`` coverages.

    Source: El-Yaniv & Wiener (2010), "On the Foundations of Noise-free Selective Classification".
    """
    ranked = correct[np.argsort(-confidence, kind="stable")]
    kept = np.unique(np.linspace(1, len(ranked), min(points, len(ranked))).round().astype(int))
    risk = 1 - np.cumsum(ranked)[kept - 1] / kept
    return {"coverage": (kept / len(ranked)).tolist(), "risk": risk.tolist()}


def measure(
    truth: np.ndarray,
    probabilities: np.ndarray,
    *,
    labels: Sequence[str],
    sets: Sequence[Sequence[str]] | None = None,
    abstain: np.ndarray | None = None,
) -> dict[str, Any]:
    """Return every figure of one set of texts; ``probabilities`` has shape (texts, labels)."""
    predicted = probabilities.argmax(axis=1)
    correct, confidence = predicted == truth, probabilities.max(axis=1)
    low, high = bootstrap_interval(truth, predicted)
    figures: dict[str, Any] = {
        "texts": len(truth),
        "macro_f1": macro_f1(truth, predicted),
        "macro_f1_interval": [low, high],
        "accuracy": float(correct.mean()),
        "per_class": per_class(truth, predicted, labels),
        "confusion": confusion(truth, predicted, len(labels)).tolist(),
        "brier": brier(truth, probabilities),
        "nll": negative_log_likelihood(truth, probabilities),
        "ece": expected_calibration_error(correct, confidence),
        "ece_noise_floor": ece_noise_floor(confidence),
        "accuracy_at_coverage": accuracy_at_coverage(correct, confidence),
        "reliability": reliability(correct, confidence),
        "risk_coverage": risk_coverage(correct, confidence),
    }
    if sets is not None:
        held = [labels[t] in chosen for t, chosen in zip(truth, sets, strict=True)]
        figures["prediction_sets"] = {"coverage": float(np.mean(held)), "size": float(np.mean([len(s) for s in sets]))}
    if abstain is not None:
        kept = ~abstain
        accuracy = float(correct[kept].mean()) if kept.any() else None
        figures["abstention"] = {"coverage": float(kept.mean()), "accuracy": accuracy}
    return figures
