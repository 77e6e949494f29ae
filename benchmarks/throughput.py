"""How many texts a second the served champion scores, beside transformers' pipeline and torch, with the same texts and run.

Each contender scores the same texts in turn, several times over; what counts is the ratio of medians. The others have the champion's
encoder in single precision with its base's weights, which cost the same time as its own. Beside it: the share of the
machine's own 8-bit matrix rate that the champion reaches, and what its batches are padded with.
Example: python -m benchmarks.throughput
"""

import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch

from benchmarks.contenders import transformers_model
from benchmarks.machine import describe, save
from benchmarks.texts import corpus_texts
from serving.predictor import Predictor
from training.base import find_base, load_encoder
from training.model import StanceModel

TEXTS = 256
ROUNDS = 4
PIPELINE_BATCHES = (1, 8, 32, 64)
ROOF_ROWS, ROOF_WIDTH, ROOF_INNER, ROOF_BLOCKS = 1024, 768, 3072, 4


def main() -> None:
    """Measure, print and save."""
    texts = corpus_texts(TEXTS)
    predictor = Predictor.load()
    model = load_torch(predictor)
    classify = load_pipeline(predictor)
    roof = compile_roof()
    pipelines: dict[str, Callable[[], Any]] = {
        f"transformers' pipeline, {n} at a time": (lambda n=n: classify(list(texts), batch_size=n)) for n in PIPELINE_BATCHES
    }
    contenders: dict[str, Callable[[], Any]] = {
        "served": lambda: predictor.predict(texts),
        "torch fp32, sorted by length": lambda: torch_sorted(model, predictor, texts),
        **pipelines,
        "roof": roof,
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for round_ in range(ROUNDS + 1):
        for name, score in contenders.items():
            begun = time.perf_counter()
            score()
            if round_:  # the first round warms up
                seconds[name].append(time.perf_counter() - begun)
        print(f"round {round_} of {ROUNDS}", file=sys.stderr)
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    roof_rate = roof_operations() / medians.pop("roof")
    rates = {name: len(texts) / found for name, found in medians.items()}
    best = max(rates[name] for name in pipelines)
    single = sorted(timed(lambda text=text: predictor.predict([text])) for text in texts[:200])
    computed = {"tokens": 0, "padded": 0}
    predictor.on_batch = lambda tokens, padded: computed.update(
        tokens=computed["tokens"] + tokens, padded=computed["padded"] + padded
    )
    predictor.predict(texts)
    figures = {
        "model": predictor.tag,
        "form": predictor.manifest.form,
        "texts": len(texts),
        "tokens_a_text": round(statistics.mean(len(item.ids) for item in predictor.encode(texts)), 1),
        "texts_a_second": {name: round(rate, 1) for name, rate in rates.items()},
        "served_against": {
            "transformers' pipeline at its best batch size": round(rates["served"] / best, 2),
            **{name: round(rates["served"] / rate, 2) for name, rate in rates.items() if name != "served"},
        },
        "padding_share": round(1 - computed["tokens"] / computed["padded"], 3),
        "roof_gop_a_second": round(roof_rate / 1e9, 1),
        "share_of_roof": round(operations(model) * computed["tokens"] / len(texts) * rates["served"] / roof_rate, 3),
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


def load_pipeline(predictor: Predictor) -> Any:
    """Return transformers' text-classification pipeline with the champion's encoder."""
    from transformers import pipeline

    return pipeline("text-classification", model=str(transformers_model(predictor.manifest)), truncation=True)


def operations(model: StanceModel) -> int:
    """Return the operations of the matrix products a token: two a weight of every linear layer, attention left out."""
    layers = [module for module in model.encoder.modules() if isinstance(module, torch.nn.Linear)]
    return 2 * sum(layer.weight.numel() for layer in layers)


def roof_operations() -> int:
    """Return the operations of one run of the roof."""
    return 2 * 2 * ROOF_BLOCKS * ROOF_ROWS * ROOF_WIDTH * ROOF_INNER


def compile_roof() -> Callable[[], Any]:
    """Return a call that multiplies 8-bit matrices of the sizes of a feed-forward block, and does nothing else, at the runtime's best."""
    import openvino
    from openvino import opset13 as ops

    generator = np.random.default_rng(0)

    def quantized(node: Any, bound: float) -> Any:
        limits = [np.float32(-bound), np.float32(bound)]
        return ops.fake_quantize(node, *limits, *limits, levels=255)

    given = ops.parameter([ROOF_ROWS, ROOF_WIDTH], np.float32)
    node = given
    for _ in range(ROOF_BLOCKS):
        for rows, columns in ((ROOF_WIDTH, ROOF_INNER), (ROOF_INNER, ROOF_WIDTH)):
            weights = ops.constant(generator.standard_normal((rows, columns), dtype=np.float32) / rows**0.5)
            node = ops.matmul(quantized(node, 4.0), quantized(weights, 4.0 / rows**0.5), False, False)
    compiled = openvino.Core().compile_model(openvino.Model([node], [given]), "CPU", {"PERFORMANCE_HINT": "LATENCY"})
    request = compiled.create_infer_request()
    rows = generator.standard_normal((ROOF_ROWS, ROOF_WIDTH), dtype=np.float32)
    return lambda: request.infer([rows])


if __name__ == "__main__":
    main()
