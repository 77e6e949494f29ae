"""Labelled files as cells by column: plain tables, and the exports of labelling tools brought to one label a text."""

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa

from serving.chunks import Chunk, ReadOptions
from serving.errors import DataError
from serving.formats import FORMATS as TABLES
from serving.tables import open_table
from training.annotations import Export, majority
from training.tools import Names, Numbered, read_export

FORMATS = {suffix: kind for suffix, kind in TABLES.items() if kind != "lines"}  # plain lines have no label
MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\x00\x00\xfe\xff": "UTF-32"}


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a file keeps the text and the label, and which of its labels mean which of the task's."""

    text: str = "text"
    label: str = "label"
    label_map: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cells:
    """What stands in a row, by column; ``where`` is its file and number, ``fault`` says why it cannot be used."""

    where: str
    cells: Mapping[str, object]
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """The rows of a file. Of a tool's export: with the label of the majority, apart from the texts that have none."""

    cells: list[Cells]
    columns: Columns
    export: Export | None = None
    undecided: list[Cells] = field(default_factory=list)


def read_source(path: Path, *, labels: Sequence[str], columns: Columns | None = None) -> Source:
    """Read a file, told by its name and shape; a damaged row is there with its fault.

    Raises:
        DataError: the file cannot be read, is of no known kind, or does not have the text's column.
    """
    columns = columns or Columns()
    _refuse_marks(path)
    readers = {".json": _json_list, ".zip": _zip}
    kind = path.suffix.lower()
    if kind not in {*FORMATS, *readers}:
        raise DataError(f"{path}: expected a name that ends in {', '.join([*FORMATS, *readers])}, found {path.suffix!r}.")
    found = readers[kind](path) if kind in readers else list(_table(path, columns.text))
    sound = [Numbered(cells.where.removeprefix(f"{path}:"), cells.cells) for cells in found if not cells.fault]
    names = Names(str(path), columns.text, columns.label, frozenset([*labels, *columns.label_map]))
    try:
        export = read_export(sound, names, kind=FORMATS.get(kind, kind[1:]))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: the export of a labelling tool, but not in the shape that it writes ({error!r}).") from None
    if export is not None:
        return _decided(export, path=path, columns=columns, damaged=[cells for cells in found if cells.fault])
    if sound and not any(columns.label in o.cells for o in sound):
        there = ", ".join(map(repr, sound[0].cells))
        raise DataError(f"{path}: expected a column {columns.label!r}, found {there}; name yours with --label-column.")
    return Source(found, columns)


def _decided(export: Export, *, path: Path, columns: Columns, damaged: list[Cells]) -> Source:
    """Return one row a text with the label that most annotators gave it."""
    cells, undecided = [], []
    for item in export.items:
        where = f"{path}:{item.where}"
        votes = [replace(vote, labels=tuple(columns.label_map.get(label, label) for label in vote.labels)) for vote in item.votes]
        verdict = majority(votes)
        if item.note or (item.votes and verdict.label is None):
            problem = item.note or f"{verdict.problem} ({_counted(verdict.counts)})"
            undecided.append(Cells(where, {"text": item.text, "label": _counted(verdict.counts)}, problem))
        elif verdict.label is not None:
            cells.append(Cells(where, {"text": item.text, "label": verdict.label}))
    return Source([*damaged, *cells], Columns(), export, undecided)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{label} {count}" for label, count in counts.items())


def _table(path: Path, text_column: str) -> Iterator[Cells]:
    with open_table(path, text_column=text_column, options=ReadOptions(lenient=True)) as reader:
        for chunk in reader.chunks(4096):
            for number, fault, cells in zip(chunk.numbers, chunk.faults, _by_column(chunk, reader.columns), strict=True):
                yield Cells(f"{path}:{number}", cells, fault)


def _by_column(chunk: Chunk, columns: Sequence[str]) -> list[dict[str, object]]:
    """Return the cells of each row of a chunk by column, whatever the format."""
    if isinstance(chunk.payload, pa.RecordBatch):
        found: list[dict[str, object]] = chunk.payload.to_pylist()
        return found
    if columns:
        return [dict(zip(columns, row, strict=True)) for row in chunk.payload]
    return [row for _, row in chunk.payload]


def _json_list(path: Path) -> list[Cells]:
    """Return the objects of a JSON list, numbered from 1."""
    try:
        found = json.loads(_read(path).decode("utf-8-sig", "surrogateescape"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: expected JSON ({error}).") from None
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise DataError(f"{path}: expected a list of objects, as labelling tools export; JSON Lines go by the name .jsonl.")
    return [Cells(f"{path}:{number}", item) for number, item in enumerate(found, 1)]


def _zip(path: Path) -> list[Cells]:
    """Return the lines of every JSON Lines file of a doccano archive; the name of each is its user's."""
    found = []
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".jsonl")]
            texts = {name: archive.read(name).decode("utf-8-sig", "surrogateescape") for name in names}
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not a zip archive that can be read ({error}).") from None
    if not texts:
        raise DataError(f"{path}: expected doccano's archive of .jsonl files, found none in it: export as JSONL.")
    for name, text in texts.items():
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                found.append(_json_line(f"{path}:{name}:{number}", line))
    return found


def _json_line(where: str, line: str) -> Cells:
    try:
        item = json.loads(line)
    except (ValueError, RecursionError):
        return Cells(where, {}, "not JSON")
    return Cells(where, item) if isinstance(item, dict) else Cells(where, {}, f"expected an object, found {type(item).__name__}")


def _refuse_marks(path: Path) -> None:
    """Refuse what a byte order mark tells to be no UTF-8; the mark of UTF-8 is read past."""
    start = _read(path, 4)
    for mark, encoding in MARKS.items():
        if start.startswith(mark) and path.suffix.lower() not in (".parquet", ".zip"):
            convert = f"convert the file, for example with `iconv -f {encoding.lower()} -t utf-8`"
            raise DataError(f"{path}: expected UTF-8, found {encoding} by its byte order mark; {convert}.")


def _read(path: Path, size: int = -1) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from None
