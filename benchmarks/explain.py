"""What explaining a text costs beside scoring as many texts of its length: the ratio of the times, texts taken in turn.

Example: python -m benchmarks.explain
"""

import os
import statistics
import sys
from functools import partial

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np

from benchmarks.machine import describe, save
from benchmarks.texts import corpus_texts
from benchmarks.throughput import timed
from serving.explanation import explain
from serving.predictor import Predictor

TEXTS = 20
ROUNDS = 3
LONG = 20_000
"""Characters of the longest text that the service takes; the model reads its beginning."""


def main() -> None:
    """Measure, print and save."""
    corpus = corpus_texts(2000)
    long = [" ".join(corpus[start : start + 200])[:LONG] for start in range(200)]
    predictor = Predictor.load()
    sentences = costs(predictor, corpus[:TEXTS], others=corpus[TEXTS:])
    longest = costs(predictor, long[:1], others=long[1:])
    figures = {
        "model": predictor.tag,
        "texts": TEXTS,
        "words_a_text": round(statistics.mean(words for words, _ in sentences), 1),
        "cost_against_as_many_texts": summary([ratio for _, ratio in sentences]),
        "long_texts": {
            "characters": LONG,
            "words": statistics.median(words for words, _ in longest),
            "cost_against_as_many_texts": summary([ratio for _, ratio in longest]),
        },
    }
    for key, value in {**describe(), **figures}.items():
        print(f"{key}: {value}")
    print(f"wrote {save('explain', figures)}", file=sys.stderr)


def costs(predictor: Predictor, texts: list[str], *, others: list[str]) -> list[tuple[int, float]]:
    """Return of each text its words, and the seconds of its explanation divided by those of scoring so many others, and one, like it."""
    lengths = np.array([len(item.ids) for item in predictor.encode(others)])
    found = []
    for text in texts:
        words = len(explain(predictor, text).words)
        nearest = np.argsort(np.abs(lengths - len(predictor.encode([text])[0].ids)), kind="stable")[: words + 1]
        like = [others[index] for index in nearest]
        explained, scored = [], []
        for _ in range(ROUNDS):
            explained.append(timed(partial(explain, predictor, text)))
            scored.append(timed(partial(predictor.predict, like)))
        found.append((words, statistics.median(explained) / statistics.median(scored)))
        print(f"{len(found)} of {len(texts)}", file=sys.stderr)
    return found


def summary(ratios: list[float]) -> dict[str, float]:
    """Return the median and the largest."""
    return {"median": round(statistics.median(ratios), 2), "largest": round(max(ratios), 2)}


if __name__ == "__main__":
    main()
