"""What the corpus is like: its spread, its variety, and how near it comes to the frozen test set.

Figures go to benchmarks/results/corpus.json and, between their markers, to data/README.md. Example: python -m benchmarks.corpus
"""

import os
import re
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import itertools

import numpy as np
import torch

from benchmarks.machine import ROOT, save
from serving.tokenizer import pad
from training.base import MINILM, find_base, load_encoder, load_tokenizer
from training.fit import bf16_supported
from training.rows import LabelledRow, normal_form, read_rows
from training.task import read_task

CARD = ROOT / "data" / "README.md"
NEAR_COSINE = 0.9
NEAR_JACCARD = 0.5
TABLES = {"register": "register", "holder": "who speaks", "form": "how", "when": "when", "source": "source"}


def main() -> None:
    """Measure, print, save, and bring the data card up to date."""
    task = read_task()
    labels = list(task.label_names)
    rows = read_rows(task.corpus, labels=labels)
    frozen = read_rows(task.frozen_test, labels=labels)
    figures = {
        "sentences": len(rows),
        "spread": {key: spread(rows, key, labels) for key in TABLES},
        "variety": variety(rows),
        "frozen_test": nearness(rows, frozen),
    }
    print(f"wrote {save('corpus', figures)}", file=sys.stderr)
    text = CARD.read_text(encoding="utf-8")
    block = f"<!-- spread -->\n{tables(figures, labels)}\n<!-- end of spread -->"
    CARD.write_text(re.sub(r"<!-- spread -->.*<!-- end of spread -->", lambda _: block, text, flags=re.DOTALL), encoding="utf-8")


def spread(rows: Sequence[LabelledRow], key: str, labels: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return counts a label for each value of a column, commonest first; rows without the column are left out."""
    found = Counter((str(row.extra[key]), row.label) for row in rows if row.extra.get(key))
    totals = Counter({value: sum(found[value, label] for label in labels) for value, _ in found})
    return {value: {label: found[value, label] for label in labels} for value, _ in totals.most_common()}


def variety(rows: Sequence[LabelledRow]) -> dict[str, float]:
    """Return distinct n-gram shares, and cosine similarities of sentence vectors: of random pairs and of nearest neighbours."""
    words = [normal_form(row.text).split() for row in rows]
    vectors = embed([row.text for row in rows])
    nearest = nearest_cosine(vectors, vectors, own=True)
    generator = np.random.default_rng(0)
    pairs = generator.integers(0, len(rows), size=(2, 20_000))
    return {
        **{f"distinct_{n}_grams": distinct(words, n) for n in (1, 2, 3)},
        "words_a_sentence": float(np.mean([len(found) for found in words])),
        "random_pair_cosine": float((vectors[pairs[0]] * vectors[pairs[1]]).sum(axis=1).mean()),
        "nearest_neighbour_cosine_median": float(np.median(nearest)),
        "nearest_neighbour_cosine_p95": float(np.percentile(nearest, 95)),
        f"share_with_a_neighbour_over_{NEAR_COSINE}": float((nearest > NEAR_COSINE).mean()),
    }


def distinct(words: Sequence[list[str]], size: int) -> float:
    """Return the share of n-grams that are different from all others. Source: Li et al. (2016), "A Diversity-Promoting Objective"."""
    grams = [tuple(found[i : i + size]) for found in words for i in range(len(found) - size + 1)]
    return len(set(grams)) / len(grams)


def nearness(rows: Sequence[LabelledRow], frozen: Sequence[LabelledRow]) -> dict[str, Any]:
    """Return how near any training sentence comes to any frozen test sentence, by words and by meaning."""
    pairs = [word_pairs(row.text) for row in rows]
    words = [max(len(own & other) / len(own | other) for other in pairs) for own in map(word_pairs, (r.text for r in frozen))]
    cosine = nearest_cosine(embed([row.text for row in frozen]), embed([row.text for row in rows]), own=False)
    return {
        "largest_jaccard_of_word_pairs": max(words),
        f"over_jaccard_{NEAR_JACCARD}": sum(value >= NEAR_JACCARD for value in words),
        "largest_cosine": float(cosine.max()),
        "median_of_nearest_cosines": float(np.median(cosine)),
        f"over_cosine_{NEAR_COSINE}": int((cosine >= NEAR_COSINE).sum()),
    }


def word_pairs(text: str) -> set[tuple[str, str]]:
    """Return the set of neighbouring words."""
    words = normal_form(text).split()
    return set(itertools.pairwise(words)) or {(text, "")}


def embed(texts: Sequence[str]) -> np.ndarray:
    """Return unit sentence vectors of the packaged base model, float32 of shape (texts, 384)."""
    base = find_base(MINILM)
    tokenizer, _ = load_tokenizer(base, max_length=128)
    encoder = load_encoder(base).eval()
    encoded = tokenizer.encode(texts)
    order = sorted(range(len(texts)), key=lambda index: len(encoded[index].ids))
    vectors = np.empty((len(texts), encoder.config.hidden_size), dtype=np.float32)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16_supported()):
        for start in range(0, len(order), 64):
            part = order[start : start + 64]
            input_ids, mask = map(torch.from_numpy, pad([encoded[index].ids for index in part]))
            hidden = encoder(input_ids=input_ids, attention_mask=mask).last_hidden_state.float()
            weight = mask.unsqueeze(-1).float()
            vectors[part] = ((hidden * weight).sum(dim=1) / weight.sum(dim=1)).numpy()
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def nearest_cosine(left: np.ndarray, right: np.ndarray, *, own: bool) -> np.ndarray:
    """Return each left vector's largest cosine with a right one; ``own`` leaves a vector's match with itself out."""
    best = np.empty(len(left), dtype=np.float32)
    for start in range(0, len(left), 1000):
        block = left[start : start + 1000] @ right.T
        if own:
            block[np.arange(len(block)), np.arange(start, start + len(block))] = -1
        best[start : start + 1000] = block.max(axis=1)
    return best


def tables(figures: dict[str, Any], labels: Sequence[str]) -> str:
    """Return the figures as Markdown."""
    parts = []
    for key, title in TABLES.items():
        parts += ["", f"| {title} | " + " | ".join(labels) + " | all |", "|---|" + "---|" * (len(labels) + 1)]
        for value, found in figures["spread"][key].items():
            parts.append(f"| {value} | " + " | ".join(str(found[label]) for label in labels) + f" | {sum(found.values())} |")
    parts += ["", "| variety and distance | |", "|---|---|"]
    parts += [f"| {name.replace('_', ' ')} | {value:.3f} |" for name, value in figures["variety"].items()]
    parts += [f"| frozen test: {name.replace('_', ' ')} | {value:.3g} |" for name, value in figures["frozen_test"].items()]
    return "\n".join(parts)


if __name__ == "__main__":
    main()
