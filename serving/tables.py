"""Files of rows, read as streams: CSV, TSV, JSON Lines, plain lines and Parquet.

CSV and JSON Lines go through the standard library, which keeps the exact text of every cell
and survives ragged rows; Parquet goes through pyarrow, which keeps every type.
"""

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from serving.chunks import Chunk, Reader, ReadOptions
from serving.errors import DataError
from serving.formats import PIPE, ByteStream, Dialect, format_of, open_text, shown, tell_dialect

CHARACTERS_PER_CHUNK = 4_000_000
"""A chunk ends early after so many characters, so that long rows take no more memory than short ones."""

_JSON_SPACE = " \t\r\n"
_QUOTES = "expected a cell with a quote to stand in quotes, and each quote in it twice; found something else"


@contextmanager
def open_table(path: Path, *, text_column: str, options: ReadOptions | None = None) -> Iterator[Reader]:
    """Open a table, or stdin, for reading and read its header; ``text_column`` names the column that holds the text.

    Raises:
        DataError: the file is missing, of no known format, not of its encoding, has no such column, or has a reserved one.
    """
    options = options or ReadOptions()
    form = options.format or format_of(path)
    try:
        if form.kind == "parquet":
            with _open_parquet(path) as file:
                parquet = _ParquetReader(file, path=path, text_column=text_column)
                _check_reserved(parquet.columns, options, path=path)
                yield parquet
        else:
            with closing(ByteStream(path, compression=form.compression)) as stream:
                yield _text_reader(stream, path=path, kind=form.kind, text_column=text_column, options=options)
    except UnicodeError as error:
        found = f"byte 0x{error.object[error.start]:02x}" if isinstance(error, UnicodeDecodeError) else str(error)
        raise DataError(
            f"{shown(path)}: expected {options.encoding or 'UTF-8'}, found {found}; name another with --encoding,"
            " or convert the file first, for example with `iconv -t utf-8`."
        ) from None
    except pa.ArrowException as error:
        raise DataError(f"{shown(path)}: not a Parquet file that can be read ({str(error).splitlines()[0]}).") from None


def _text_reader(stream: ByteStream, *, path: Path, kind: str, text_column: str, options: ReadOptions) -> Reader:
    dialect, guesses = tell_dialect(
        stream.head if options.guess else b"",
        kind=kind,
        text_column=text_column,
        encoding=options.encoding,
        delimiter=options.delimiter,
    )
    newline = "" if kind in ("csv", "tsv") else "\n"
    file = open_text(stream, dialect=dialect, newline=newline, errors="surrogateescape" if options.lenient else "strict")
    if kind == "jsonl":
        return _JsonLinesReader(
            file, path=path, text_column=text_column, dialect=dialect, guesses=guesses, reserved=options.reserved
        )
    if kind == "lines":
        return _LinesReader(file, text_column=text_column, dialect=dialect, guesses=guesses)
    delimited = _DelimitedReader(
        file, path=path, text_column=text_column, dialect=dialect, guesses=guesses, lenient=options.lenient
    )
    _check_reserved(delimited.columns, options, path=path)
    return delimited


def _check_reserved(columns: Iterable[str], options: ReadOptions, *, path: Path) -> None:
    clash = sorted(options.reserved & set(columns))
    if clash:
        raise DataError(f"{shown(path)}: the input already has a column {clash[0]!r}: rename it, nothing is overwritten.")


def _open_parquet(path: Path) -> Any:
    try:
        file: IO[bytes] = open(0, "rb", closefd=False) if path == PIPE else path.open("rb")  # noqa: SIM115
    except OSError as error:
        raise DataError(f"{shown(path)}: cannot be read ({error.strerror}).") from None
    if not file.seekable():
        raise DataError(f"{shown(path)}: expected a file, found a pipe: Parquet is read from its end.")
    return file


def _parts(rows: Iterable[tuple[int, Any, int]], size: int) -> Iterator[list[tuple[int, Any]]]:
    """Yield numbered rows, ``size`` at a time or as many as make :data:`CHARACTERS_PER_CHUNK`; each comes with its length."""
    part, characters = [], 0
    for number, row, length in rows:
        part.append((number, row))
        characters += length
        if len(part) == size or characters >= CHARACTERS_PER_CHUNK:
            yield part
            part, characters = [], 0
    if part:
        yield part


class _DelimitedReader:
    def __init__(
        self, file: IO[str], *, path: Path, text_column: str, dialect: Dialect, guesses: list[str], lenient: bool
    ) -> None:
        csv.field_size_limit(sys.maxsize)
        self._name, self._lenient = shown(path), lenient
        self.dialect, self.guesses, self.schema = dialect, guesses, None
        self._rows = csv.reader(file, delimiter=dialect.delimiter, strict=True)  # a lenient one joins rows at a stray quote
        header = next(self._lines(), None)
        self.columns: list[str] = header or []
        self._text = _position(self.columns, text_column, path=path)

    def chunks(self, size: int) -> Iterator[Chunk]:
        for part in _parts(self._numbered(), size):
            faults = [self._fault(row) for _, row in part]
            rows = [row or [] for _, row in part]
            yield Chunk(
                numbers=[number for number, _ in part],
                texts=[None if fault else row[self._text] for row, fault in zip(rows, faults, strict=True)],
                faults=faults,
                raw=rows,
                payload=[self._squared(row) for row in rows],
            )

    def _numbered(self) -> Iterator[tuple[int, list[str] | None, int]]:
        """Yield every row with the line that it starts on; a row may span lines, and an empty line is a row of one column."""
        start = self._rows.line_num + 1
        for row in self._lines():
            if row or row is None or len(self.columns) == 1:
                yield start, [""] if row == [] else row, sum(map(len, row or []))
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
                    place = f"{self._name}:{self._rows.line_num}"
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


class _LinesReader:
    """Every line is a text, and a row of one column."""

    def __init__(self, file: IO[str], *, text_column: str, dialect: Dialect, guesses: list[str]) -> None:
        self._file, self.columns = file, [text_column]
        self.dialect, self.guesses, self.schema = dialect, guesses, None

    def chunks(self, size: int) -> Iterator[Chunk]:
        for part in _parts(((number, line, len(line)) for number, line in enumerate(self._file, 1)), size):
            texts = [self._text(line) for _, line in part]
            yield Chunk(
                numbers=[number for number, _ in part],
                texts=list(texts),
                faults=[""] * len(part),
                raw=texts,
                payload=[[text] for text in texts],
            )

    def _text(self, line: str) -> str:
        line = line.removesuffix("\n")
        return line.removesuffix("\r") if self.dialect.newline == "\r\n" else line


class _JsonLinesReader:
    def __init__(
        self, file: IO[str], *, path: Path, text_column: str, dialect: Dialect, guesses: list[str], reserved: frozenset[str]
    ) -> None:
        self._file, self._name, self._text, self._reserved = file, shown(path), text_column, reserved
        self.columns: list[str] = []  # each line has its own
        self.dialect, self.guesses, self.schema = dialect, guesses, None

    def chunks(self, size: int) -> Iterator[Chunk]:
        for part in _parts(self._numbered(), size):
            chunk = Chunk(numbers=[], texts=[], faults=[], raw=[], payload=[])
            for number, line in part:
                row, text, fault = self._parse(line)
                if row and not self._reserved.isdisjoint(row):
                    clash = min(self._reserved & row.keys())
                    raise DataError(
                        f"{self._name}:{number}: the input already has a key {clash!r}: rename it, nothing is overwritten."
                    )
                chunk.numbers.append(number)
                chunk.texts.append(text)
                chunk.faults.append(fault)
                chunk.raw.append(line if row is None else row)
                chunk.payload.append((line if row is not None else "{}", row or {}))
            yield chunk

    def _numbered(self) -> Iterator[tuple[int, str, int]]:
        for number, line in enumerate(self._file, 1):
            stripped = line.strip(_JSON_SPACE)
            if stripped:
                yield number, stripped, len(stripped)

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


class _ParquetReader:
    def __init__(self, file: IO[bytes], *, path: Path, text_column: str) -> None:
        self._name = shown(path)
        # Without these two it takes a whole row group into memory.
        self._parquet = self._opened(file, buffer_size=1 << 20, pre_buffer=False)
        self.schema = self._parquet.schema_arrow
        self.columns = list(self.schema.names)
        self.dialect = Dialect()
        self.guesses: list[str] = []
        if len(set(self.columns)) < len(self.columns):
            raise DataError(f"{self._name}: expected columns of different names, found {', '.join(self.columns)}.")
        self._text = self.columns[_position(self.columns, text_column, path=path)]

    def chunks(self, size: int) -> Iterator[Chunk]:
        first = 1
        for batch in self._batches(self._fitting(size)):
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

    def _opened(self, file: IO[bytes], **options: Any) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(file, **options)
        except (OSError, pa.ArrowException) as error:
            raise self._damaged(error) from None

    def _fitting(self, size: int) -> int:
        """Return how many rows of the mean length make a chunk."""
        metadata = self._parquet.metadata
        rows: int = metadata.num_rows
        size_in_bytes: int = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
        return max(1, min(size, CHARACTERS_PER_CHUNK * rows // max(1, size_in_bytes)))

    def _batches(self, size: int) -> Iterator[pa.RecordBatch]:
        try:
            yield from self._parquet.iter_batches(batch_size=size)
        except (OSError, pa.ArrowException) as error:
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> DataError:
        return DataError(f"{self._name}: not a Parquet file that can be read ({str(error).splitlines()[0]}).")


def _position(columns: Sequence[str], text_column: str, *, path: Path) -> int:
    if text_column not in columns:
        names = ", ".join(repr(name) for name in columns) or "none"
        raise DataError(f"{shown(path)}: expected a column {text_column!r}, found {names}; name yours with --text-column.")
    if columns.count(text_column) > 1:
        raise DataError(
            f"{shown(path)}: expected one column {text_column!r}, found {columns.count(text_column)}; rename the others."
        )
    return list(columns).index(text_column)
