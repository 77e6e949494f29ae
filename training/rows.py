"""Labelled rows: reading and checking what a model is trained or tested on."""

import difflib
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from serving.errors import DataError
from serving.tables import Chunk, open_table
from serving.tokenizer import well_formed


@dataclass(frozen=True, slots=True)
class LabelledRow:
    """One labelled text; ``extra`` holds the other columns as they were read."""

    text: str
    label: str
    where: str
    extra: dict[str, object] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a file keeps the text and the label, and which of its labels mean which of the task's."""

    text: str = "text"
    label: str = "label"
    label_map: Mapping[str, str] = field(default_factory=dict)


def read_rows(path: Path, *, labels: Sequence[str], columns: Columns | None = None) -> list[LabelledRow]:
    """Read a labelled CSV, TSV, JSON Lines or Parquet file.

    Raises:
        DataError: the file cannot be read, or a row has no text or no label of the task; names the first such row and counts
            the others.
    """
    columns = columns or Columns()
    rows, faults = [], []
    for where, fault, cells in _cells(path, columns.text):
        text, label = str(cells.get(columns.text) or ""), cells.get(columns.label)
        label = columns.label_map.get(str(label), label)
        fault = fault or _fault(text, label, labels=labels, columns=columns, cells=cells)
        if fault:
            faults.append(f"{where}: {fault}")
        else:
            extra = {key: value for key, value in cells.items() if key not in (columns.text, columns.label)}
            rows.append(LabelledRow(text=well_formed(text), label=str(label), where=where, extra=extra))
    if faults:
        more = f" ({len(faults) - 1} more rows like it)" if len(faults) > 1 else ""
        raise DataError(faults[0] + more)
    if not rows:
        raise DataError(f"{path}: expected labelled rows, found none.")
    return rows


def _cells(path: Path, text_column: str) -> Iterator[tuple[str, str, dict[str, object]]]:
    """Yield where a row stands, its fault if it has one, and its cells by column."""
    with open_table(path, text_column=text_column) as reader:
        for chunk in reader.chunks(4096):
            for number, fault, cells in zip(chunk.numbers, chunk.faults, _by_column(chunk, reader.columns), strict=True):
                yield f"{path}:{number}", fault, cells


def _by_column(chunk: Chunk, columns: Sequence[str]) -> list[dict[str, object]]:
    """Return the cells of each row of a chunk by column, whatever the format."""
    if isinstance(chunk.payload, pa.RecordBatch):
        found: list[dict[str, object]] = chunk.payload.to_pylist()
        return found
    if columns:
        return [dict(zip(columns, row, strict=True)) for row in chunk.payload]
    return [row for _, row in chunk.payload]


def _fault(text: str, label: object, *, labels: Sequence[str], columns: Columns, cells: Mapping[str, object]) -> str:
    if not text.strip():
        return "the text is empty."
    if columns.label not in cells:
        names = ", ".join(map(repr, cells))
        return f"expected a column {columns.label!r}, found {names}; name yours with --label-column."
    if label not in labels:
        near = difflib.get_close_matches(str(label), labels, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else " --label-map OLD=NEW translates other names."
        return f"{columns.label}: expected one of {', '.join(labels)}, found {str(label)[:80]!r}.{hint}"
    return ""


@dataclass(frozen=True, slots=True)
class Unique:
    """Rows whose texts are all different, with those that were left out."""

    rows: list[LabelledRow]
    repeats: list[LabelledRow]
    contradictions: list[LabelledRow]


def unique_rows(rows: Sequence[LabelledRow]) -> Unique:
    """Keep one row a text; texts that stand there with different labels are left out altogether, since neither can be trusted."""
    by_text: dict[str, list[LabelledRow]] = {}
    for row in rows:
        by_text.setdefault(row.text.strip(), []).append(row)
    agreed = {text: len({row.label for row in same}) == 1 for text, same in by_text.items()}
    return Unique(
        rows=[same[0] for text, same in by_text.items() if agreed[text]],
        repeats=[row for text, same in by_text.items() if agreed[text] for row in same[1:]],
        contradictions=[row for text, same in by_text.items() if not agreed[text] for row in same],
    )


def keep_apart(rows: Sequence[LabelledRow], texts: Sequence[str]) -> tuple[list[LabelledRow], list[LabelledRow]]:
    """Return the rows that are none of ``texts``, whatever their case and punctuation, and those that are."""
    kept_out = {normal_form(text) for text in texts}
    found = [normal_form(row.text) in kept_out for row in rows]
    return (
        [row for row, same in zip(rows, found, strict=True) if not same],
        [row for row, same in zip(rows, found, strict=True) if same],
    )


def require_labels(train: Sequence[LabelledRow], *, labels: Sequence[str]) -> None:
    """Check that there is something to tell apart.

    Raises:
        DataError: the training rows have fewer than two labels.
    """
    found = [label for label, count in counts(train, labels).items() if count]
    if len(found) < 2:
        raise DataError(f"expected training rows of at least two labels of {', '.join(labels)}; found {', '.join(found)} alone.")


def normal_form(text: str) -> str:
    """Return the text in lower case with single spaces and no punctuation: what a stable hash may depend on."""
    return " ".join(re.findall(r"\w+", text.lower())) or text


def digest(rows: Sequence[LabelledRow]) -> str:
    """Return the hex SHA-256 of the texts and labels, whatever their order."""
    lines = sorted(json.dumps([row.text, row.label]) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def label_ids(rows: Sequence[LabelledRow], labels: Sequence[str]) -> np.ndarray:
    """Return the label of each row as its place in ``labels``, int of shape (rows,)."""
    return np.array([labels.index(row.label) for row in rows], dtype=int)


def counts(rows: Sequence[LabelledRow], labels: Sequence[str]) -> dict[str, int]:
    """Return how many rows each label has, in label order."""
    found = Counter(row.label for row in rows)
    return {label: found[label] for label in labels}
