"""Files of rows, read and written as streams: CSV, TSV, JSON Lines and Parquet, told by the name.

A :class:`Chunk` carries what the file held next to the texts found in it, so that a writer of the same format can put back every
column as it was and add its own. CSV and JSON Lines go through the standard library, which keeps the exact text of every cell
and survives ragged rows; Parquet goes through pyarrow, which keeps every type.
"""

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from serving.errors import DataError

FORMATS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
DELIMITERS = {"csv": ",", "tsv": "\t"}
Cell = str | float | bool | None
_QUOTES = "expected a cell with a quote to stand in quotes, and each quote in it twice; found something else"


@dataclass(slots=True)
class Chunk:
    """Some rows in input order.

    ``texts[i]`` is the text of row i, or None where ``faults[i]`` says why it has none; ``numbers[i]`` is its line (text
    formats) or row (Parquet) number in the file, counted from 1; ``raw[i]`` what stood there, for the rejects file;
    ``payload`` is the reader's own, for the writer of the same format.
    """

    numbers: list[int]
    texts: list[str | None]
    faults: list[str]
    raw: list[Any]
    payload: Any


class Reader(Protocol):
    """A source of chunks."""

    columns: list[str]
    schema: pa.Schema | None

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Yield the rows, ``size`` at a time."""
        ...


class Writer(Protocol):
    """A sink of chunks."""

    def write(self, chunk: Chunk, added: dict[str, list[Cell]]) -> None:
        """Write the rows of a chunk with the added columns."""
        ...

    def close(self) -> None:
        """Finish the file."""
        ...


def format_of(path: Path) -> str:
    """Return the format that a file's name tells.

    Raises:
        DataError: the name tells none.
    """
    try:
        return FORMATS[path.suffix.lower()]
    except KeyError:
        raise DataError(f"{path}: expected a name that ends in {', '.join(FORMATS)}, found {path.suffix!r}.") from None


@contextmanager
def open_table(path: Path, *, text_column: str, lenient: bool = False) -> Iterator[Reader]:
    """Open a table for reading and read its header; ``text_column`` names the column that holds the text.

    A ``lenient`` reader goes on where a file of text is damaged: bytes that are not UTF-8 stand in the cells as lone surrogates
    (PEP 383), and a line with stray quotes is a row with a fault.

    Raises:
        DataError: the file is missing, of no known format, has no such column or, unless lenient, is damaged.
    """
    kind = format_of(path)
    errors = "surrogateescape" if lenient else "strict"
    try:
        file: IO[Any] = path.open("rb") if kind == "parquet" else path.open(encoding="utf-8-sig", newline="", errors=errors)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from None
    with file:
        try:
            if kind == "parquet":
                yield _ParquetReader(file, path=path, text_column=text_column)
            elif kind == "jsonl":
                yield _JsonLinesReader(file, text_column=text_column)
            else:
                yield _DelimitedReader(file, path=path, text_column=text_column, delimiter=DELIMITERS[kind], lenient=lenient)
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path}: expected UTF-8, found byte 0x{error.object[error.start]:02x}; convert the file first,"
                " for example with `iconv -t utf-8`."
            ) from None
        except pa.ArrowException as error:
            raise DataError(f"{path}: not a Parquet file that can be read ({str(error).splitlines()[0]}).") from None


def open_writer(path: Path, *, kind: str, reader: Reader, added: dict[str, type]) -> Writer:
    """Return a writer of that format for what ``reader`` reads; ``added`` names the new columns and their types."""
    clash = sorted(set(reader.columns) & added.keys())
    if clash:
        raise DataError(f"the input already has a column {clash[0]!r}: rename it, nothing is overwritten.")
    if reader.schema is not None:
        return _ParquetWriter(path, schema=reader.schema, added=added)
    if kind == "jsonl":
        return _JsonLinesWriter(path)
    return _DelimitedWriter(path, header=[*reader.columns, *added], delimiter=DELIMITERS[kind])


class _DelimitedReader:
    def __init__(self, file: IO[str], *, path: Path, text_column: str, delimiter: str, lenient: bool) -> None:
        csv.field_size_limit(sys.maxsize)
        self._path, self._lenient = path, lenient
        self._rows = csv.reader(file, delimiter=delimiter, strict=True)  # a lenient one joins rows at a stray quote
        header = next(self._lines(), None)
        self.columns: list[str] = header or []
        self.schema = None
        self._text = _position(self.columns, text_column, path=path)

    def chunks(self, size: int) -> Iterator[Chunk]:
        numbered = self._numbered()
        while part := list(islice(numbered, size)):
            faults = [self._fault(row) for _, row in part]
            rows = [row or [] for _, row in part]
            yield Chunk(
                numbers=[number for number, _ in part],
                texts=[None if fault else row[self._text] for row, fault in zip(rows, faults, strict=True)],
                faults=faults,
                raw=rows,
                payload=[self._squared(row) for row in rows],
            )

    def _numbered(self) -> Iterator[tuple[int, list[str] | None]]:
        """Yield every row with the line that it starts on; a row may span lines, and an empty line is a row of one column."""
        start = self._rows.line_num + 1
        for row in self._lines():
            if row or row is None or len(self.columns) == 1:
                yield start, [""] if row == [] else row
            start = self._rows.line_num + 1

    def _lines(self) -> Iterator[list[str] | None]:
        """Yield the cells of every row; None in place of a row with stray quotes, where the reader is lenient."""
        while True:
            try:
                yield next(self._rows)
            except StopIteration:
                return
            except csv.Error as error:
                if not self._lenient:
                    place = f"{self._path}:{self._rows.line_num}"
                    raise DataError(f"{place}: {_QUOTES} ({error}). The row may begin on an earlier line.") from None
                yield None

    def _fault(self, row: list[str] | None) -> str:
        if row is None:
            return _QUOTES
        expected, found = len(self.columns), len(row)
        return "" if expected == found else f"expected {expected} cells, found {found}"

    def _squared(self, row: list[str]) -> list[str]:
        width = len(self.columns)
        return [*row[:width], *[""] * (width - len(row))]


class _DelimitedWriter:
    def __init__(self, path: Path, *, header: Sequence[str], delimiter: str) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, delimiter=delimiter, lineterminator="\n")
        self._writer.writerow(header)

    def write(self, chunk: Chunk, added: dict[str, list[Cell]]) -> None:
        for row, *cells in zip(chunk.payload, *added.values(), strict=True):
            self._writer.writerow([*row, *map(_as_text, cells)])

    def close(self) -> None:
        self._file.close()


class _JsonLinesReader:
    def __init__(self, file: IO[str], *, text_column: str) -> None:
        self._file, self._text = file, text_column
        self.columns: list[str] = []  # each line has its own
        self.schema = None

    def chunks(self, size: int) -> Iterator[Chunk]:
        numbered = ((number, line) for number, line in enumerate(self._file, 1) if line.strip())
        while part := list(islice(numbered, size)):
            chunk = Chunk(numbers=[], texts=[], faults=[], raw=[], payload=[])
            for number, line in part:
                row, text, fault = self._parse(line)
                chunk.numbers.append(number)
                chunk.texts.append(text)
                chunk.faults.append(fault)
                chunk.raw.append(line.rstrip("\r\n") if row is None else row)
                chunk.payload.append((line.strip() if row is not None else "{}", row or {}))
            yield chunk

    def _parse(self, line: str) -> tuple[dict[str, Any] | None, str | None, str]:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            return None, None, "not JSON"
        if not isinstance(row, dict):
            return None, None, f"expected an object, found {type(row).__name__}"
        text = row.get(self._text)
        if not isinstance(text, str):
            found = type(text).__name__ if self._text in row else "no such key"
            return row, None, f"{self._text}: expected a string, found {found}"
        return row, text, ""


class _JsonLinesWriter:
    """Adds keys to the end of each line, whose own characters stay as they are."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")

    def write(self, chunk: Chunk, added: dict[str, list[Cell]]) -> None:
        for (line, row), *cells in zip(chunk.payload, *added.values(), strict=True):
            clash = row.keys() & added.keys()
            if clash:
                raise DataError(f"the input already has a key {min(clash)!r}: rename it, nothing is overwritten.")
            more = json_line(dict(zip(added, cells, strict=True)))
            self._file.write(f"{line[:-1].rstrip()}, {more[1:]}" if row else more)

    def close(self) -> None:
        self._file.close()


class _ParquetReader:
    def __init__(self, file: IO[bytes], *, path: Path, text_column: str) -> None:
        self._path = path
        self._parquet = pq.ParquetFile(file)
        self.schema = self._parquet.schema_arrow
        self.columns = list(self.schema.names)
        if len(set(self.columns)) < len(self.columns):
            raise DataError(f"{path}: expected columns of different names, found {', '.join(self.columns)}.")
        self._text = self.columns[_position(self.columns, text_column, path=path)]

    def chunks(self, size: int) -> Iterator[Chunk]:
        first = 1
        for batch in self._batches(size):
            cells = batch.column(self._text).to_pylist()
            faults = ["" if isinstance(c, str) else f"expected a string, found {type(c).__name__}" for c in cells]
            yield Chunk(
                numbers=list(range(first, first + len(cells))),
                texts=[cell if isinstance(cell, str) else None for cell in cells],
                faults=faults,
                raw=[str(cell) for cell in cells],
                payload=batch,
            )
            first += len(cells)

    def _batches(self, size: int) -> Iterator[pa.RecordBatch]:
        try:
            yield from self._parquet.iter_batches(batch_size=size)
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{self._path}: not a Parquet file that can be read ({str(error).splitlines()[0]}).") from None


class _ParquetWriter:
    def __init__(self, path: Path, *, schema: pa.Schema, added: dict[str, type]) -> None:
        arrow = {str: pa.string(), float: pa.float64(), bool: pa.bool_()}
        self._schema = schema
        for name, kind in added.items():
            self._schema = self._schema.append(pa.field(name, arrow[kind]))
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")

    def write(self, chunk: Chunk, added: dict[str, list[Cell]]) -> None:
        cells = [pa.array(column, type=self._schema.field(name).type) for name, column in added.items()]
        self._writer.write_batch(pa.RecordBatch.from_arrays([*chunk.payload.columns, *cells], schema=self._schema))

    def close(self) -> None:
        self._writer.close()


def json_line(row: Any) -> str:
    """Return one line of JSON Lines; text stays readable, and lone surrogates stay escaped so that any file can hold it."""
    line = json.dumps(row, ensure_ascii=False)
    return (line if line.isascii() or _encodable(line) else json.dumps(row)) + "\n"


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _as_text(cell: Cell) -> str:
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return "" if cell is None else str(cell)


def _position(columns: Sequence[str], text_column: str, *, path: Path) -> int:
    if text_column not in columns:
        names = ", ".join(repr(name) for name in columns) or "none"
        raise DataError(f"{path}: expected a column {text_column!r}, found {names}; name yours with --text-column.")
    return list(columns).index(text_column)
