"""The monitor: a record of each prediction, without its text, through BentoML's monitoring, written by a thread of its own.

A record holds label, confidence, whether the model abstained, the text's length in characters, the model's tag and a keyed
hash of the text. With ``STANCE_MONITOR_KEY`` the same text always has the same hash; without it, only while a process lives.
BentoML's configuration may send the records elsewhere than into files (``monitoring: type: otlp``).
"""

import contextvars
import hashlib
import hmac
import logging
import secrets
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import bentoml
from bentoml._internal.configuration.containers import BentoMLContainer

from serving import metrics, registry
from serving.predictor import DECIMALS, Prediction
from serving.settings import settings

NAME = "stance_predictions"
MOST_WAITING = 20_000
"""Predictions that wait to be written; those beyond are not recorded, only counted."""
COLUMNS = {
    "label": ("prediction", "categorical"),
    "confidence": ("prediction", "numerical"),
    "abstain": ("prediction", "categorical"),
    "characters": ("feature", "numerical"),
    "model": ("feature", "categorical"),
    "text_hash": ("feature", "categorical"),
}

logger = logging.getLogger("bentoml.stance")


def folder() -> Path:
    """Return where the files are written: ``$STANCE_MONITOR_FOLDER``, or ``monitoring`` in BentoML's home."""
    return settings().monitor_folder or registry.home() / "monitoring"


class Monitor:
    """Records predictions. To be used from one event loop; a record that cannot be written harms nothing else."""

    def __init__(self) -> None:
        key = settings().monitor_key
        self._key = key.get_secret_value().encode() if key else secrets.token_bytes(32)
        self._thread = ThreadPoolExecutor(1, "stance-monitor")
        self._waiting = 0
        self._lock = threading.Lock()
        self._failed = False

    def record(self, texts: Sequence[str], predictions: Sequence[Prediction], *, model: str) -> None:
        """Take what was predicted, and return at once."""
        with self._lock:
            full = self._waiting + len(predictions) > MOST_WAITING
            self._waiting += 0 if full else len(predictions)
        if full:
            metrics.UNRECORDED.inc(len(predictions))
            return
        self._thread.submit(self._write, list(texts), list(predictions), model)

    def close(self) -> None:
        """Write what waits, and end the thread."""
        self._thread.shutdown(wait=True)

    def _write(self, texts: Sequence[str], predictions: Sequence[Prediction], model: str) -> None:
        try:
            for text, prediction in zip(texts, predictions, strict=True):
                # A context of its own: BentoML leaves one in which a record failed unusable for the next.
                contextvars.Context().run(_log, self._record(text, prediction, model))
        except Exception as error:  # whatever exporter is configured
            metrics.UNRECORDED.inc(len(predictions))
            if not self._failed:
                logger.error("predictions cannot be recorded: %s", type(error).__name__)
            self._failed = True
        else:
            self._failed = False
        finally:
            with self._lock:
                self._waiting -= len(predictions)

    def _record(self, text: str, prediction: Prediction, model: str) -> dict[str, Any]:
        return {
            "label": prediction.label,
            "confidence": round(prediction.confidence, DECIMALS),
            "abstain": prediction.abstain,
            "characters": len(text),
            "model": model,
            "text_hash": hmac.new(self._key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:32],
        }


def _log(record: dict[str, Any]) -> None:
    options = dict(BentoMLContainer.config.monitoring.options.get() or {})
    if options.get("log_path") == "monitoring":  # BentoML's default, a folder wherever the server is started
        options["log_path"] = str(folder())
    with bentoml.monitor(NAME, monitor_options=options) as monitor:
        for name, value in record.items():
            role, kind = COLUMNS[name]
            monitor.log(value, name=name, role=role, data_type=kind)
