import numpy as np
import pytest
from sklearn import metrics as reference

from training import metrics
from training.calibrate import abstention_threshold, conformal_threshold, fit_temperature, probabilities
from training.config import read_config
from training.fit import class_weights
from training.rows import LabelledRow

RNG = np.random.default_rng(3)
LABELS = ["a", "b", "c"]


@pytest.fixture(scope="module")
def calibrated():
    """Logits of a perfectly calibrated three-class model and labels drawn from them."""
    logits = RNG.normal(0, 2, size=(4000, 3))
    p = probabilities(logits, 1.0)
    truth = (p.cumsum(axis=1) < RNG.random((4000, 1))).sum(axis=1)
    return logits, truth


def test_macro_f1_and_per_class_agree_with_scikit_learn():
    truth, predicted = RNG.integers(0, 3, 200), RNG.integers(0, 3, 200)
    assert metrics.macro_f1(truth, predicted) == pytest.approx(reference.f1_score(truth, predicted, average="macro"))
    precision, recall, f1, support = reference.precision_recall_fscore_support(truth, predicted)
    for index, found in enumerate(metrics.per_class(truth, predicted, LABELS).values()):
        expected = {"precision": precision[index], "recall": recall[index], "f1": f1[index], "support": support[index]}
        assert found == pytest.approx(expected)
    assert metrics.confusion(truth, predicted, 3).tolist() == reference.confusion_matrix(truth, predicted).tolist()


def test_macro_f1_counts_only_classes_that_occur():
    assert metrics.macro_f1(np.array([0, 0, 2]), np.array([0, 0, 2])) == 1.0


def test_a_class_never_predicted_scores_zero_and_divides_by_nothing():
    found = metrics.per_class(np.array([0, 1]), np.array([0, 0]), LABELS)
    assert found["b"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}
    assert found["c"]["support"] == 0


def test_brier_and_likelihood_agree_with_scikit_learn(calibrated):
    logits, truth = calibrated
    p = probabilities(logits, 1.0)
    assert metrics.negative_log_likelihood(truth, p) == pytest.approx(reference.log_loss(truth, p))
    assert metrics.brier(truth, p) == pytest.approx(np.mean(((p - np.eye(3)[truth]) ** 2).sum(axis=1)))


def test_bootstrap_interval_holds_the_value_and_narrows_with_more_texts():
    truth = RNG.integers(0, 2, 1000)
    predicted = np.where(RNG.random(1000) < 0.8, truth, 1 - truth)
    low, high = metrics.bootstrap_interval(truth, predicted)
    assert low < metrics.macro_f1(truth, predicted) < high
    few = metrics.bootstrap_interval(truth[:60], predicted[:60])
    assert high - low < few[1] - few[0]


def test_calibration_error_of_a_calibrated_model_is_within_its_noise_floor(calibrated):
    logits, truth = calibrated
    p = probabilities(logits, 1.0)
    correct, confidence = p.argmax(axis=1) == truth, p.max(axis=1)
    assert metrics.expected_calibration_error(correct, confidence) <= metrics.ece_noise_floor(confidence)["p95"]
    sharp = probabilities(logits, 0.3).max(axis=1)
    assert metrics.expected_calibration_error(correct, sharp) > metrics.ece_noise_floor(sharp)["p95"]


def test_temperature_undoes_a_known_scaling(calibrated):
    logits, truth = calibrated
    assert fit_temperature(3 * logits, truth) == pytest.approx(3, rel=0.1)


def test_conformal_sets_cover_new_texts_at_their_level(calibrated):
    logits, truth = calibrated
    p = probabilities(logits, 1.0)
    threshold = conformal_threshold(p[:2000], truth[:2000], alpha=0.1)
    covered = p[2000:][np.arange(2000), truth[2000:]] >= threshold
    assert covered.mean() == pytest.approx(0.9, abs=0.02)


def test_conformal_threshold_of_too_few_texts_excludes_nothing():
    assert conformal_threshold(np.array([[0.9, 0.1]]), np.array([0]), alpha=0.1) == 0.0


def test_abstention_reaches_its_accuracy_and_never_keeps_too_little(calibrated):
    logits, truth = calibrated
    aims = read_config().calibration.model_copy(update={"abstention_min_coverage": 0.2})
    p = probabilities(logits, 1.0)
    threshold = abstention_threshold(p, truth, aims)
    kept = p.max(axis=1) >= threshold
    assert (p.argmax(axis=1) == truth)[kept].mean() >= aims.abstention_accuracy
    assert 0.2 <= kept.mean() < 1
    hopeless = abstention_threshold(p, 2 - p.argmax(axis=1), aims)
    assert (p.max(axis=1) >= hopeless).mean() == pytest.approx(0.2, abs=0.01)


def test_accuracy_at_coverage_and_risk_coverage_rank_by_confidence():
    correct = np.array([True, True, False, False])
    confidence = np.array([0.9, 0.8, 0.7, 0.6])
    assert metrics.accuracy_at_coverage(correct, confidence)["50%"] == 1.0
    curve = metrics.risk_coverage(correct, confidence)
    assert curve["coverage"] == [0.25, 0.5, 0.75, 1.0]
    assert curve["risk"] == pytest.approx([0, 0, 1 / 3, 1 / 2])


def test_class_weights_lift_rare_classes_and_average_to_one():
    rows = [LabelledRow(text=str(i), label=label, where="") for i, label in enumerate("a" * 90 + "b" * 10)]
    flat = class_weights(rows, labels=["a", "b"], power=0.0)
    lifted = class_weights(rows, labels=["a", "b"], power=0.5)
    assert flat.tolist() == [1.0, 1.0]
    assert lifted[1] / lifted[0] == pytest.approx(3.0)
    assert (90 * lifted[0] + 10 * lifted[1]) / 100 == pytest.approx(1.0)
