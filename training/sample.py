"""What is most worth labelling next: texts that the model is unsure of and that are unlike one another."""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np

from serving.chunks import ReadOptions
from serving.predictor import Prediction
from serving.tables import open_table
from serving.tokenizer import well_formed
from training.rows import normal_form
from training.sets import Reserved

MOST_CANDIDATES = 10_000
"""Texts that are scored, drawn at random where a file has more."""
VECTOR_SIZE = 100
"""Topics that a text is described by, usual for latent semantic analysis of short texts."""
MOST_NUMBERS = 4000
"""Of a gradient, which has a number a label and topic: 10,000 of them take 160 MB."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A text and where it stands: file and line or row."""

    text: str
    where: str


def read_candidates(path: Path, *, text_column: str, known: Collection[str], seed: int, most: int) -> tuple[list[Candidate], int]:
    """Return up to ``most`` different texts of a file in random order, and how many places were passed over.

    Passed over are texts that are in ``known`` (normal forms), repeats, and rows that hold no text.

    Raises:
        DataError: the file cannot be read.
    """
    drawn: dict[bytes, Candidate] = {}
    passed = 0
    different: set[bytes] = set()
    for candidate in _texts(path, text_column):
        form = normal_form(candidate.text) if candidate else ""
        rank = hashlib.sha256(f"{seed} {form}".encode("utf-8", "replace")).digest()
        if candidate is None or form in known or rank in different:
            passed += 1
            continue
        different.add(rank)
        drawn[rank] = candidate
        if len(drawn) >= 2 * most:
            drawn = {key: drawn[key] for key in sorted(drawn)[:most]}
    return [drawn[key] for key in sorted(drawn)[:most]], passed


def _texts(path: Path, text_column: str) -> Iterator[Candidate | None]:
    with open_table(path, text_column=text_column, options=ReadOptions(guess=True)) as reader:
        for chunk in reader.chunks(4096):
            for number, text in zip(chunk.numbers, chunk.texts, strict=True):
                yield Candidate(well_formed(text), f"{path}:{number}") if text and text.strip() else None


def apart(candidates: Sequence[Candidate], reserved: Reserved, *, near_duplicate: float) -> list[Candidate]:
    """Return the candidates that do not nearly repeat a text of the frozen test set."""
    near = reserved.near_frozen([candidate.text for candidate in candidates], near_duplicate=near_duplicate)
    return [candidate for candidate, like in zip(candidates, near, strict=True) if not like]


def choose(texts: Sequence[str], probabilities: np.ndarray, *, count: int, seed: int) -> list[int]:
    """Return the places of ``count`` texts that are uncertain and diverse; ``probabilities`` has the shape (texts, labels).

    A text stands for the gradient of the loss with respect to a linear head's weights, were its likeliest label the right one:
    (probabilities - one-hot) x its vector. It is long where the model is unsure, and points elsewhere for another topic or
    another confusion, so that k-means++ over these gradients picks both. Fewer are returned where the others add nothing.

    Source: Ash et al. (2020), "Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds" (BADGE).
    """
    from sklearn.cluster import kmeans_plusplus

    if count >= len(texts):
        return list(range(len(texts)))
    residuals = probabilities.copy()
    residuals[np.arange(len(texts)), probabilities.argmax(axis=1)] -= 1.0
    vectors = _vectors(texts, size=max(2, min(VECTOR_SIZE, MOST_NUMBERS // probabilities.shape[1])), seed=seed)
    gradients = (residuals.astype(np.float32)[:, :, None] * vectors[:, None, :]).reshape(len(texts), -1)
    _, chosen = kmeans_plusplus(gradients, n_clusters=count, random_state=seed)
    return sorted({int(place) for place in chosen})


def _vectors(texts: Sequence[str], *, size: int, seed: int) -> np.ndarray:
    """Return unit vectors of latent topics, float32 of shape (texts, up to ``size``): words of one text alone hardly count.

    Source: Deerwester et al. (1990), "Indexing by Latent Semantic Analysis".
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    words = TfidfVectorizer(sublinear_tf=True, analyzer=lambda text: normal_form(text).split()).fit_transform(texts)
    many = min(words.shape) > size
    topics = TruncatedSVD(size, random_state=seed).fit_transform(words) if many else words.toarray()
    return np.asarray(normalize(topics), dtype=np.float32)


def as_label_studio(candidates: Iterable[Candidate], predictions: Iterable[Prediction], *, model: str) -> str:
    """Return Label Studio tasks as JSON, the least sure first, each with the model's label as a pre-annotation.

    Source: Label Studio's guide, "Import pre-annotated data".
    """
    pairs = sorted(zip(candidates, predictions, strict=True), key=lambda pair: pair[1].confidence)
    return json.dumps(
        [_task(candidate, prediction, model=model) for candidate, prediction in pairs], ensure_ascii=False, indent=1
    )


def _task(candidate: Candidate, prediction: Prediction, *, model: str) -> dict[str, object]:
    result = {"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [prediction.label]}}
    suggestion = {"model_version": model, "score": round(prediction.confidence, 6), "result": [result]}
    return {"data": {"text": candidate.text, "where": candidate.where}, "predictions": [suggestion]}


def labelling_interface(labels: Sequence[str]) -> str:
    """Return the labelling configuration that fits the tasks, for the project's settings in Label Studio."""
    choices = "".join(f"<Choice value={quoteattr(label)}/>" for label in labels)
    control = f'<Choices name="label" toName="text" choice="single-radio">{choices}</Choices>'
    return f'<View><Text name="text" value="$text"/>{control}</View>'
