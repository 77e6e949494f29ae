"""Temperature, conformal and abstention thresholds, all from validation logits of the form that is served."""

import math

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from training.config import CalibrationConfig

TEMPERATURE_RANGE = (0.05, 20.0)


def fit_temperature(logits: np.ndarray, truth: np.ndarray) -> float:
    """Return the temperature that minimises the negative log-likelihood of ``logits`` (texts, labels).

    Source: Guo et al. (2017), "On Calibration of Modern Neural Networks".
    """

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logits.astype(np.float64) / math.exp(log_temperature), axis=1)
        return float(-scaled[np.arange(len(truth)), truth].mean())

    low, high = map(math.log, TEMPERATURE_RANGE)
    return float(math.exp(minimize_scalar(loss, bounds=(low, high), method="bounded").x))


def probabilities(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Return temperature-scaled softmax probabilities of shape (texts, labels)."""
    return np.asarray(softmax(logits.astype(np.float64) / temperature, axis=1))


def conformal_threshold(scaled: np.ndarray, truth: np.ndarray, *, alpha: float) -> float:
    """Return the probability from which a label belongs to the prediction set.

    The finite-sample quantile of 1 - p(true label): sets made with it hold the true label for at least 1 - alpha of the texts
    of the same kind. Source: Sadinle, Lei & Wasserman (2019); Vovk, Gammerman & Shafer (2005).
    """
    scores = np.sort(1 - scaled[np.arange(len(truth)), truth])
    rank = math.ceil((len(scores) + 1) * (1 - alpha))
    return 0.0 if rank > len(scores) else float(max(0.0, 1 - scores[rank - 1]))


def abstention_threshold(scaled: np.ndarray, truth: np.ndarray, config: CalibrationConfig) -> float:
    """Return the confidence below which the predictor abstains.

    The smallest one at which the texts that are kept reach the sought accuracy, but never one that keeps less than the
    smallest coverage. Source: Geifman & El-Yaniv (2017), "Selective Classification for Deep Neural Networks".
    """
    confidence = scaled.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    accuracy = np.cumsum(scaled.argmax(axis=1)[order] == truth[order]) / np.arange(1, len(order) + 1)
    fewest = math.ceil(config.abstention_min_coverage * len(order))
    reached = np.flatnonzero(accuracy >= config.abstention_accuracy)
    kept = max(fewest, int(reached[-1]) + 1 if len(reached) else fewest)
    return 0.0 if kept >= len(order) else float(confidence[order[kept - 1]])
