"""What the service counts, for Prometheus, beside what BentoML itself tells. No label holds what a client can choose freely."""

from collections.abc import Iterable

from prometheus_client import Counter, Gauge, Histogram

from serving.predictor import Prediction

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

REQUESTS = Counter("stance_requests_total", "Requests answered, by path of the contract and status", ["path", "status"])
REQUEST_SECONDS = Histogram("stance_request_seconds", "From the request's first byte to its answer", ["path"], buckets=_SECONDS)
REJECTIONS = Counter("stance_rejections_total", "Requests refused before they were computed, by reason", ["reason"])
QUEUE_TOKENS = Gauge("stance_queue_tokens", "Tokens that wait to be computed", multiprocess_mode="livesum")
QUEUE_SECONDS = Histogram("stance_queue_seconds", "How long a request waits before its first text is computed", buckets=_SECONDS)
BATCH_TOKENS = Histogram("stance_batch_tokens", "Tokens computed together", buckets=[2.0**n for n in range(3, 14)])
PADDING = Counter("stance_padding_tokens_total", "Tokens computed that only fill a batch up")
TOKENS = Counter("stance_tokens_total", "Tokens computed, padding left out")
COMPUTE_SECONDS = Histogram("stance_compute_seconds", "How long a batch is computed", buckets=_SECONDS)
DROPPED_TEXTS = Counter("stance_dropped_texts_total", "Texts that were not computed because their caller had given up")
PREDICTIONS = Counter("stance_predictions_total", "Predictions, by label", ["label"])
ABSTENTIONS = Counter("stance_abstentions_total", "Predictions that are too unsure to be relied on")

CORRECTIONS = Counter("stance_corrections_total", "Corrections stored, repeats among them")

UNRECORDED = Counter("stance_unrecorded_predictions_total", "Predictions that the monitor could not record")


def count_batch(tokens: int, padded: int) -> None:
    """Count a computed batch: its tokens, and those that it was padded to."""
    TOKENS.inc(tokens)
    PADDING.inc(padded - tokens)


def count_predictions(predictions: Iterable[Prediction]) -> None:
    """Count what was answered: labels and abstentions."""
    for prediction in predictions:
        PREDICTIONS.labels(prediction.label).inc()
        ABSTENTIONS.inc(prediction.abstain)
