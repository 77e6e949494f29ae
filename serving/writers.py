"""Chunks with their added columns turned into bytes, part by part: parts that follow each other are the output.

Parquet alone keeps its directory at its end: its parts are Arrow streams, which :meth:`ParquetWriter.assemble` makes a file of.
"""

import csv
import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from serving.chunks import Chunk, Reader
from serving.errors import DataError
from serving.formats import DELIMITERS, Format, compress

Cell = str | float | bool | None

ROWS_PER_GROUP = 65_536
BYTES_PER_GROUP = 64_000_000
"""A Parquet row group ends where either is reached: large enough to read fast, small enough to hold in memory."""

_LENGTH = struct.Struct("<Q")


class Writer(Protocol):
    """Turns chunks into parts of a file."""

    def begin(self) -> bytes:
        """Return the part before the first chunk."""
        ...

    def part(self, chunk: Chunk, added: dict[str, list[Cell]]) -> bytes:
        """Return the rows of a chunk with the added columns."""
        ...


def writer_for(form: Format, *, source: Format, reader: Reader, added: dict[str, type]) -> Writer:
    """Return a writer for what ``reader`` reads from a file of format ``source``; ``added`` names new columns and their types."""
    if form.kind == "parquet":
        return ParquetWriter(reader.schema or _texts(reader.columns), added=added)
    if form.kind == "jsonl":
        return _JsonLinesWriter(form, reader=reader)
    if form.kind == "lines":
        return _LinesWriter(form, reader=reader)
    delimiter = reader.dialect.delimiter if form.kind == source.kind else DELIMITERS[form.kind]
    return _DelimitedWriter(form, reader=reader, header=[*reader.columns, *added], delimiter=delimiter)


class _TextWriter:
    """Encodes and compresses; the output is UTF-8, with a byte order mark where the input has one."""

    def __init__(self, form: Format, *, reader: Reader) -> None:
        self._compression = form.compression
        self._newline = reader.dialect.newline
        self._mark = "\ufeff" if reader.dialect.mark else ""

    def begin(self) -> bytes:
        return self._encoded(self._mark)

    def _encoded(self, text: str) -> bytes:
        return compress(text.encode("utf-8"), compression=self._compression)


class _DelimitedWriter(_TextWriter):
    def __init__(self, form: Format, *, reader: Reader, header: Sequence[str], delimiter: str) -> None:
        super().__init__(form, reader=reader)
        self._header, self._delimiter = header, delimiter

    def begin(self) -> bytes:
        return self._encoded(self._mark + self._lines([self._header]))

    def part(self, chunk: Chunk, added: dict[str, list[Cell]]) -> bytes:
        rows = ([*row, *map(_as_text, cells)] for row, *cells in zip(chunk.payload, *added.values(), strict=True))
        return self._encoded(self._lines(rows))

    def _lines(self, rows: Any) -> str:
        lines = _Lines()
        # Told that lines end in both, the module quotes a cell that holds either.
        csv.writer(lines, delimiter=self._delimiter, lineterminator="\r\n").writerows(rows)
        return "".join(line[:-2] + self._newline for line in lines)


class _Lines(list[str]):
    write = list.append


class _JsonLinesWriter(_TextWriter):
    """Adds keys to the end of each line, whose own characters stay as they are."""

    def part(self, chunk: Chunk, added: dict[str, list[Cell]]) -> bytes:
        lines = []
        for (line, row), *cells in zip(chunk.payload, *added.values(), strict=True):
            more = json.dumps(dict(zip(added, cells, strict=True)), ensure_ascii=False)
            lines.append((f"{line[:-1].rstrip()}, {more[1:]}" if row else more) + self._newline)
        return self._encoded("".join(lines))


class _LinesWriter(_TextWriter):
    """Puts the added cells behind each line, each after a tab."""

    def part(self, chunk: Chunk, added: dict[str, list[Cell]]) -> bytes:
        rows = zip(chunk.payload, *added.values(), strict=True)
        return self._encoded("".join("\t".join([row[0], *map(_as_text, cells)]) + self._newline for row, *cells in rows))


class ParquetWriter:
    """Keeps every type of the input; a part is one Arrow stream after its length in bytes."""

    def __init__(self, schema: pa.Schema, *, added: dict[str, type]) -> None:
        """Write columns of ``schema`` and those of ``added``."""
        arrow = {str: pa.string(), float: pa.float64(), bool: pa.bool_()}
        for name, kind in added.items():
            schema = schema.append(pa.field(name, arrow[kind]))
        self._schema = schema

    def begin(self) -> bytes:
        """Return nothing: the schema stands in every part."""
        return b""

    def part(self, chunk: Chunk, added: dict[str, list[Cell]]) -> bytes:
        """Return the rows as a compressed Arrow stream."""
        cells = [pa.array(column, type=self._schema.field(name).type) for name, column in added.items()]
        sink = pa.BufferOutputStream()
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with pa.ipc.new_stream(sink, self._schema, options=options) as stream:
            stream.write_batch(pa.RecordBatch.from_arrays([*_columns(chunk.payload), *cells], schema=self._schema))
        content: bytes = sink.getvalue().to_pybytes()
        return _LENGTH.pack(len(content)) + content

    def assemble(self, parts: Path, target: Path) -> None:
        """Write the Parquet file of a file of parts.

        Raises:
            OSError: the target cannot be written.
        """
        with (
            parts.open("rb") as file,
            target.open("wb") as sink,
            pq.ParquetWriter(sink, self._schema, compression="zstd") as writer,
        ):
            group: list[pa.Table] = []
            while length := file.read(_LENGTH.size):
                group.append(pa.ipc.open_stream(file.read(_LENGTH.unpack(length)[0])).read_all())
                if (
                    sum(part.num_rows for part in group) >= ROWS_PER_GROUP
                    or sum(part.nbytes for part in group) >= BYTES_PER_GROUP
                ):
                    self._write(writer, group)
                    group = []
            if group:
                self._write(writer, group)

    def _write(self, writer: pq.ParquetWriter, group: list[pa.Table]) -> None:
        table = pa.concat_tables(group).unify_dictionaries()
        writer.write_table(table, row_group_size=max(1, table.num_rows))


def _texts(columns: Sequence[str]) -> pa.Schema:
    """Return the schema of a table of text.

    Raises:
        DataError: two columns have one name, which Parquet cannot hold.
    """
    twice = [name for name in columns if columns.count(name) > 1]
    if twice:
        raise DataError(f"a Parquet output: expected columns of different names, found {twice[0]!r} more than once; write CSV.")
    return pa.schema([pa.field(name, pa.string()) for name in columns])


def _columns(payload: Any) -> Sequence[Any]:
    """Return the columns of a batch, or of rows of cells."""
    if isinstance(payload, pa.RecordBatch):
        columns: Sequence[Any] = payload.columns
        return columns
    return [pa.array(column, type=pa.string()) for column in zip(*payload, strict=True)]


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
