"""Batch scoring: a file of rows in, the same rows in the same order out, with the stance beside each."""

import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from serving.errors import DataError
from serving.predictor import DECIMALS, Prediction, Predictor
from serving.tables import Cell, Chunk, format_of, json_line, open_table, open_writer

ROWS_PER_CHUNK = 2048


@dataclass(slots=True)
class Summary:
    """What a scoring run did."""

    rows: int = 0
    rejected: int = 0
    stances: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Job:
    """What to score and how."""

    source: Path
    target: Path
    text_column: str = "text"
    on_error: Literal["reject", "stop"] = "reject"

    @property
    def rejects(self) -> Path:
        """Where rows that could not be scored are told."""
        return self.target.with_name(f"{self.target.name}.rejects.jsonl")


def score(job: Job, *, predictor: Predictor, progress: Callable[[int], None] = lambda _: None) -> Summary:
    """Score a file; ``progress`` is told the rows done after each chunk.

    The output and the rejects appear under their names only when complete; a failure leaves neither.

    Raises:
        DataError: the input cannot be read, the output cannot be written, or a row is bad and ``on_error`` is ``stop``.
    """
    kind = format_of(job.source)
    if format_of(job.target) != kind:
        raise DataError(f"{job.target}: expected the input's format ({kind}), found {format_of(job.target)}.")
    for path in (job.target, job.rejects):
        if path.resolve() == job.source.resolve():
            raise DataError(f"{path}: this run would overwrite its input; name another output.")
    partial = {path: path.with_name(f".{path.name}.{os.getpid()}.partial") for path in (job.target, job.rejects)}
    try:
        summary = _stream(job, kind=kind, predictor=predictor, partial=partial, progress=progress)
        if summary.rejected:
            partial[job.rejects].replace(job.rejects)
        else:
            job.rejects.unlink(missing_ok=True)  # of an earlier run: it would speak of rows that this one scored
        partial[job.target].replace(job.target)  # last: the output's presence means that all is there
    except OSError as error:
        raise DataError(f"{error.filename or job.target}: cannot be written ({error.strerror or error}).") from None
    finally:
        for path in partial.values():
            with suppress(OSError):
                path.unlink(missing_ok=True)
    return summary


def _stream(job: Job, *, kind: str, predictor: Predictor, partial: dict[Path, Path], progress: Callable[[int], None]) -> Summary:
    summary = Summary()
    types: dict[str, type] = {
        "stance": str,
        "stance_confidence": float,
        **{f"stance_p_{label}": float for label in predictor.labels},
        "stance_abstain": bool,
        "stance_model": str,
    }
    with (
        open_table(job.source, text_column=job.text_column) as reader,
        partial[job.rejects].open("w", encoding="utf-8") as rejects,
    ):
        writer = open_writer(partial[job.target], kind=kind, reader=reader, added=types)
        try:
            for chunk in reader.chunks(ROWS_PER_CHUNK):
                predictions = _score_chunk(chunk, predictor=predictor)
                _reject(chunk, job=job, rejects=rejects)
                writer.write(chunk, _columns(predictions, predictor=predictor))
                summary.rows += len(chunk.texts)
                summary.rejected += sum(map(bool, chunk.faults))
                summary.stances.update(p.label for p in predictions if p)
                progress(summary.rows)
        finally:
            writer.close()
    return summary


def _score_chunk(chunk: Chunk, *, predictor: Predictor) -> list[Prediction | None]:
    """Return a prediction a row, None where there is none; adds a fault for every text that is blank."""
    for index, text in enumerate(chunk.texts):
        if text is not None and not text.strip():
            chunk.faults[index] = "the text is empty"
    good = [i for i, fault in enumerate(chunk.faults) if not fault]
    predictions: list[Prediction | None] = [None] * len(chunk.texts)
    for index, prediction in zip(good, predictor.predict([chunk.texts[i] or "" for i in good]), strict=True):
        predictions[index] = prediction
    return predictions


def _reject(chunk: Chunk, *, job: Job, rejects: IO[str]) -> None:
    for number, fault, raw in zip(chunk.numbers, chunk.faults, chunk.raw, strict=True):
        if not fault:
            continue
        if job.on_error == "stop":
            raise DataError(f"{job.source}:{number}: {fault}. `--on-error reject` sets such rows aside instead.")
        rejects.write(json_line({"line": number, "reason": fault, "row": raw}))


def _columns(predictions: list[Prediction | None], *, predictor: Predictor) -> dict[str, list[Cell]]:
    def column(value: Callable[[Prediction], Any]) -> list[Cell]:
        return [None if prediction is None else value(prediction) for prediction in predictions]

    probabilities = {
        f"stance_p_{label}": column(lambda p, label=label: round(p.probabilities[label], DECIMALS))  # type: ignore[misc]
        for label in predictor.labels
    }
    return {
        "stance": column(lambda p: p.label),
        "stance_confidence": column(lambda p: round(p.confidence, DECIMALS)),
        **probabilities,
        "stance_abstain": column(lambda p: p.abstain),
        "stance_model": column(lambda _: predictor.tag),
    }
