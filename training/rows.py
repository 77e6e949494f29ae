"""Labelled rows: what a model is trained or tested on, each checked by one model of what a row is."""

import difflib
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from serving.errors import DataError
from serving.tokenizer import well_formed
from training.sources import Cells, Columns, read_source

_SHOWN = 200  # characters of a value in a report


@dataclass(frozen=True, slots=True)
class LabelledRow:
    """One labelled text; ``extra`` holds the other columns as they were read."""

    text: str
    label: str
    where: str
    extra: dict[str, object] = field(default_factory=dict, compare=False)


class Defect(NamedTuple):
    """What is wrong with a row, and what to do; without a row number, with the file as a whole."""

    file: str
    row: int | None
    column: str
    value: str
    problem: str
    suggestion: str

    def __str__(self) -> str:
        """Say it in one line."""
        place = self.file if self.row is None else f"{self.file}:{self.row}"
        column = f"{self.column}: " if self.column == "label" and self.value else ""
        return f"{place}: {column}{self.problem}. {self.suggestion}".strip()


class Place(NamedTuple):
    """A row of a file."""

    file: str
    number: int

    @classmethod
    def of(cls, where: str) -> "Place":
        """Return what "FILE:NUMBER" names."""
        file, _, number = where.rpartition(":")
        return cls(file, int(number))

    def defect(self, column: str, *, value: str, problem: str, suggestion: str) -> Defect:
        """Return a defect of it; a long value is cut."""
        return Defect(self.file, self.number, column, value[:_SHOWN], problem, suggestion)


class Row(BaseModel):
    """A text with one of the task's labels; validate it with the ``labels`` as context."""

    model_config = ConfigDict(frozen=True, strict=True)

    text: str
    label: str

    @field_validator("text")
    @classmethod
    def _readable(cls, text: str) -> str:
        if not text.strip():
            raise PydanticCustomError("empty", "the text is empty", {"suggestion": "Write the text, or take the row out."})
        if bad := re.search("[\udc80-\udcff]", text):
            byte, plain = ord(bad[0]) - 0xDC00, text.encode("utf-8", "surrogateescape").decode("cp1252", "replace")
            hint = f"Convert the file to UTF-8; in Windows-1252 this reads {plain[max(0, bad.start() - 20) : bad.end() + 20]!r}."
            raise PydanticCustomError(
                "encoding", "expected UTF-8, found byte 0x{byte}", {"byte": f"{byte:02x}", "suggestion": hint}
            )
        return well_formed(text)

    @field_validator("label")
    @classmethod
    def _known(cls, label: str, info: ValidationInfo) -> str:
        labels: Sequence[str] = (info.context or {})["labels"]
        if label in labels:
            return label
        near = difflib.get_close_matches(label.strip().lower(), [known.lower() for known in labels], n=1)
        same = [known for known in labels if near and known.lower() == near[0]]
        hint = f"Did you mean {same[0]!r}?" if same else "--label-map OLD=NEW translates other names."
        found = repr(label[:80]) if label else "none"
        message = "expected one of {expected}, found {found}"
        raise PydanticCustomError("label", message, {"expected": ", ".join(labels), "found": found, "suggestion": hint})


class Judged(NamedTuple):
    """A place of a file with its row, or with what keeps it from being one; ``text`` is what stands there in either case."""

    place: Place
    text: str
    row: LabelledRow | None
    defects: list[Defect]


def read_rows(
    path: Path, *, labels: Sequence[str], columns: Columns | None = None, tell: Callable[[str], object] | None = None
) -> list[LabelledRow]:
    """Read a labelled CSV, TSV, JSON Lines or Parquet file, or the export of a labelling tool.

    ``tell`` takes a line that says which tool, and one that says how many texts have no label by majority and are left out.

    Raises:
        DataError: the file cannot be read, or a row has no text or no label of the task; names the first such row and counts
            the others.
    """
    source = read_source(path, labels=labels, columns=columns)
    if tell and source.export:
        tell(f"{path}: {source.export}")
    if tell and source.undecided:
        first = source.undecided[0]
        tell(f"{path}: {len(source.undecided)} texts without a majority are left out, the first at {first.where}: {first.fault}")
    judged = list(judge(source.cells, labels=labels, columns=source.columns))
    defects = [found.defects[0] for found in judged if found.defects]
    if defects:
        more = f" ({len(defects) - 1} more rows like it)" if len(defects) > 1 else ""
        raise DataError(f"{defects[0]}{more} `stance check {path}` tells them all.")
    rows = [found.row for found in judged if found.row]
    if not rows:
        raise DataError(f"{path}: expected labelled rows, found none.")
    return rows


def judge(found: Sequence[Cells], *, labels: Sequence[str], columns: Columns) -> Iterator[Judged]:
    """Yield for every place of a file its row, or all that is wrong with it."""
    for cells in found:
        raw_text, raw_label = cells.cells.get(columns.text), cells.cells.get(columns.label)
        text = raw_text if isinstance(raw_text, str) else ""
        label = "" if raw_label is None else columns.label_map.get(str(raw_label), str(raw_label))
        place = Place.of(cells.where)
        if cells.fault:
            defects = [place.defect("", value=text, problem=cells.fault, suggestion="Mend the row.")]
            text = ""  # its cells may stand under the wrong columns
        elif columns.label not in cells.cells:
            names = ", ".join(map(repr, cells.cells))
            problem = f"expected a column {columns.label!r}, found {names}"
            defects = [place.defect(columns.label, value="", problem=problem, suggestion="Name yours with --label-column.")]
        else:
            try:
                row = Row.model_validate({"text": text, "label": label}, context={"labels": labels})
            except ValidationError as error:
                defects = [_defect(fault, place=place, columns=columns) for fault in error.errors(include_url=False)]
            else:
                extra = {key: value for key, value in cells.cells.items() if key not in (columns.text, columns.label)}
                labelled = LabelledRow(text=row.text, label=row.label, where=cells.where, extra=extra)
                yield Judged(place, row.text, labelled, [])
                continue
        yield Judged(place, text, None, defects)


def _defect(fault: Mapping[str, Any], *, place: Place, columns: Columns) -> Defect:
    column = columns.text if fault["loc"][0] == "text" else columns.label
    return place.defect(column, value=str(fault["input"]), problem=fault["msg"], suggestion=fault["ctx"]["suggestion"])


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
