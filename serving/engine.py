"""The work on one chunk, wherever it is done, and the engine of one machine: the predictor in this process.

An :class:`Engine` has a model somewhere and turns pieces, a chunk each, into what is committed, in the order given. What is done
to a chunk stands here alone, so that every engine's bytes are the same.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from serving.artifact import Manifest
from serving.checkpoint import Counts
from serving.chunks import Chunk
from serving.predictor import DECIMALS, Prediction, Predictor
from serving.writers import Cell, Writer


@dataclass(frozen=True, slots=True)
class Task:
    """What is made of the chunks of one file; ``index`` is its place among all, ``rejects_name`` names it in their rejects."""

    index: int
    name: str
    writer: Writer
    added: tuple[str, ...]
    rejects_name: str | None


Piece = tuple[Task, Chunk | None]
"""A chunk to score; None stands where a file begins, and is handed through."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A chunk as it is committed: its rows with the added columns, its rejects, and its counts."""

    rows: bytes
    rejects: list[dict[str, Any]]
    counts: Counts


class Engine(Protocol):
    """A model somewhere."""

    tag: str
    manifest: Manifest

    def scored(self, pieces: Iterator[Piece]) -> Iterator[tuple[Task, Scored | None]]:
        """Yield what becomes of each piece, in order; takes no more pieces than keep it busy."""
        ...


class LocalEngine:
    """The predictor in this process."""

    def __init__(self, predictor: Predictor) -> None:
        """Score with ``predictor``."""
        self.tag, self.manifest = predictor.tag, predictor.manifest
        self._predictor = predictor

    def scored(self, pieces: Iterator[Piece]) -> Iterator[tuple[Task, Scored | None]]:
        """Yield each piece, scored before the next one is taken."""
        for task, chunk in pieces:
            yield task, None if chunk is None else score_chunk(chunk, task=task, predictor=self._predictor)


def score_chunk(chunk: Chunk, *, task: Task, predictor: Predictor) -> Scored:
    """Score the rows that have a text and turn all of them into bytes; adds a fault for every text that is blank."""
    predictions = _predict(chunk, predictor=predictor)
    columns = _columns(predictions, predictor=predictor, names=task.added)
    return Scored(
        rows=task.writer.part(chunk, columns),
        rejects=rejects(chunk, file=task.rejects_name),
        counts=_counts(chunk, predictions),
    )


def find_blanks(chunk: Chunk) -> None:
    """Add a fault for every text that is blank."""
    for index, text in enumerate(chunk.texts):
        if text is not None and not text.strip():
            chunk.faults[index] = "the text is empty"


def rejects(chunk: Chunk, *, file: str | None) -> list[dict[str, Any]]:
    """Return what is told of each row that has a fault."""
    where = {"file": file} if file is not None else {}
    rows = zip(chunk.numbers, chunk.faults, chunk.raw, strict=True)
    return [{**where, "line": number, "reason": fault, "row": raw} for number, fault, raw in rows if fault]


def added_columns(labels: tuple[str, ...]) -> dict[str, type]:
    """Return every column that scoring can add, in order, with its type."""
    return {
        "stance": str,
        "stance_confidence": float,
        **{f"stance_p_{label}": float for label in labels},
        "stance_abstain": bool,
        "stance_model": str,
    }


def _predict(chunk: Chunk, *, predictor: Predictor) -> list[Prediction | None]:
    """Return a prediction a row, None where there is none."""
    find_blanks(chunk)
    good = [i for i, fault in enumerate(chunk.faults) if not fault]
    predictions: list[Prediction | None] = [None] * len(chunk.texts)
    for index, prediction in zip(good, predictor.predict([chunk.texts[i] or "" for i in good]), strict=True):
        predictions[index] = prediction
    return predictions


def _counts(chunk: Chunk, predictions: list[Prediction | None]) -> Counts:
    counts = Counts(rows=len(chunk.texts))
    # Of cells, any number may be found: one reason for all, so that the summary stays small.
    counts.reasons.update(re.sub(r"found \d+$", "found another number", fault) for fault in chunk.faults if fault)
    counts.stances.update(prediction.label for prediction in predictions if prediction)
    return counts


def _columns(predictions: list[Prediction | None], *, predictor: Predictor, names: tuple[str, ...]) -> dict[str, list[Cell]]:
    def column(value: Callable[[Prediction], Any]) -> Iterator[Cell]:
        return (None if prediction is None else value(prediction) for prediction in predictions)

    probabilities = {
        f"stance_p_{label}": column(lambda p, label=label: round(p.probabilities[label], DECIMALS))  # type: ignore[misc]
        for label in predictor.labels
    }
    columns = {
        "stance": column(lambda p: p.label),
        "stance_confidence": column(lambda p: round(p.confidence, DECIMALS)),
        **probabilities,
        "stance_abstain": column(lambda p: p.abstain),
        "stance_model": column(lambda _: predictor.tag),
    }
    return {name: list(columns[name]) for name in names}
