"""How many texts a second the served champion scores, beside torch with the same network, texts and run.

Each contender scores the same texts in turn, several times over; what counts is the ratio of medians.
Example: python -m benchmarks.throughput
"""

import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch

from benchmarks.machine import describe, save
from serving.predictor import Predictor
from serving.tokenizer import pad
from training.base import find_base, load_encoder
from training.model import StanceModel
from training.rows import read_rows
from training.task import read_task

TEXTS = 256
ROUNDS = 4
PIPELINE_BATCHES = (1, 8, 32)


def main() -> None:
    """Measure, print and save."""
    task = read_task()
    texts = [row.text for row in read_rows(task.corpus, labels=task.label_names)][:TEXTS]
    predictor = Predictor.load()
    model = load_torch(predictor)
    contenders: dict[str, Callable[[], Any]] = {
        "served": lambda: predictor.predict(texts),
        "torch fp32, sorted by length": lambda: torch_sorted(model, predictor, texts),
        **{
            f"torch fp32, in order, {n} at a time": (lambda n=n: torch_in_order(model, predictor, texts, n))
            for n in PIPELINE_BATCHES
        },
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for round_ in range(ROUNDS + 1):
        for name, score in contenders.items():
            begun = time.perf_counter()
            score()
            if round_:  # the first round warms up
                seconds[name].append(time.perf_counter() - begun)
        print(f"round {round_} of {ROUNDS}", file=sys.stderr)
    rates = {name: len(texts) / statistics.median(found) for name, found in seconds.items()}
    single = sorted(timed(lambda text=text: predictor.predict([text])) for text in texts[:200])
    figures = {
        "model": predictor.tag,
        "form": predictor.manifest.form,
        "texts": len(texts),
        "tokens_a_text": round(statistics.mean(len(item.ids) for item in predictor.encode(texts)), 1),
        "texts_a_second": {name: round(rate, 1) for name, rate in rates.items()},
        "served_against": {name: round(rates["served"] / rate, 2) for name, rate in rates.items() if name != "served"},
        "single_text_latency_ms": {"p50": round(1000 * single[100], 2), "p99": round(1000 * single[198], 2)},
    }
    for key, value in {**describe(), **figures}.items():
        print(f"{key}: {value}")
    print(f"wrote {save('throughput', figures)}", file=sys.stderr)


def timed(call: Callable[[], Any]) -> float:
    """Return the seconds that a call takes."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def load_torch(predictor: Predictor) -> StanceModel:
    """Return the champion's network in torch, in single precision, with its base's weights: they cost the same time as its own."""
    manifest = predictor.manifest
    layers = manifest.config["model"].get("layers") or None
    encoder = load_encoder(find_base(manifest.base_model.name), layers=layers)
    return StanceModel(encoder, labels=len(manifest.labels), dropout=0.0).eval()


def torch_sorted(model: StanceModel, predictor: Predictor, texts: Sequence[str]) -> None:
    """Score in batches of like length."""
    from training.export import torch_logits

    torch_logits(model, predictor.encode(texts))


def torch_in_order(model: StanceModel, predictor: Predictor, texts: Sequence[str], size: int) -> None:
    """Score in batches of ``size`` in the order given, as transformers' pipeline does."""
    with torch.inference_mode():
        for start in range(0, len(texts), size):
            input_ids, attention_mask = pad([item.ids for item in predictor.encode(texts[start : start + size])])
            model(torch.from_numpy(input_ids), torch.from_numpy(attention_mask))


if __name__ == "__main__":
    main()
