"""What a file is: format and compression, told by its name, and what only its beginning tells: encoding, delimiter, line end.

Compressed streams go through pyarrow, which reads files of many members (gzip) or frames (zstd) as one.
"""

import codecs
import csv
import io
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from serving.errors import DataError

FORMATS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".txt": "lines"}
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
DELIMITERS = {"csv": ",", "tsv": "\t"}
PIPE = Path("-")
"""Stands for stdin or stdout."""

HEAD_BYTES = 1 << 20
"""How much of a file's beginning is looked at, in bytes, to tell what its name does not."""

_MARKS = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True)
class Format:
    """One of csv, tsv, jsonl, lines (plain text, one text a line) and parquet; compression is gzip, zstd or None."""

    kind: str
    compression: str | None = None

    def __str__(self) -> str:
        """Return it as messages show it."""
        return f"{self.kind}, {self.compression}" if self.compression else self.kind


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a text file is written; ``mark`` says that it begins with a byte order mark, ``newline`` how its lines end."""

    encoding: str = "utf-8-sig"
    mark: bool = False
    delimiter: str = ","
    newline: str = "\n"


def format_of(path: Path) -> Format:
    """Return the format that a file's name tells.

    Raises:
        DataError: the name tells none, or one that has its own compression.
    """
    suffix = path.suffix.lower()
    compression = COMPRESSIONS.get(suffix)
    suffix = path.with_suffix("").suffix.lower() if compression else suffix
    kind = FORMATS.get(suffix)
    if kind is None:
        names = ", ".join(FORMATS)
        raise DataError(
            f"{path}: expected a name that ends in {names} (and .gz or .zst), found {path.suffix!r}; --format tells it as well."
        )
    if kind == "parquet" and compression:
        raise DataError(f"{path}: expected .parquet, which has its own compression, found it inside {compression}.")
    return Format(kind, compression)


def format_named(name: str) -> Format:
    """Return the format that an ending such as ``csv`` or ``jsonl.gz`` names.

    Raises:
        DataError: it names none.
    """
    try:
        return format_of(Path(f"x.{name.lower().lstrip('.')}"))
    except DataError:
        names = ", ".join(ending[1:] for ending in FORMATS)
        raise DataError(f"--format: expected {names}, all but parquet also with .gz or .zst; found {name!r}.") from None


def shown(path: Path) -> str:
    """Return a path as messages name it."""
    return "stdin" if path == PIPE else str(path)


def compress(content: bytes, *, compression: str | None) -> bytes:
    """Return one member of a compressed file; members that follow each other are a file."""
    return content if compression is None else bytes(pa.compress(content, codec=compression, asbytes=True))


class ByteStream(io.RawIOBase):
    """The bytes of a file or of stdin, decompressed; ``head`` is their beginning, which is still to be read."""

    def __init__(self, path: Path, *, compression: str | None) -> None:
        """Open the file.

        Raises:
            DataError: it cannot be read.
        """
        super().__init__()
        self._path = path
        self._compression = compression
        try:
            # Not sys.stdin: a thread that waits in its buffer would hold up the end of the program.
            self._file: Any = os.fdopen(0, "rb", buffering=0, closefd=False) if path == PIPE else path.open("rb", buffering=0)
        except OSError as error:
            raise DataError(f"{shown(path)}: cannot be read ({error.strerror}).") from None
        self._bytes = pa.CompressedInputStream(pa.PythonFile(self._file, "r"), compression) if compression else self._file
        self.head = self._begin()
        self._left = memoryview(self.head)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what is left of the head, then of the file."""
        if self._left:
            part = self._left[: len(buffer)]
            self._left = self._left[len(part) :]
        else:
            part = memoryview(self._read(len(buffer)))
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def _begin(self) -> bytes:
        head = b""
        while len(head) < HEAD_BYTES and (part := self._read(HEAD_BYTES - len(head))):
            head += part
        return head

    def _read(self, size: int) -> bytes:
        try:
            return bytes(self._bytes.read(size))
        except OSError as error:
            what = f"not a {self._compression} file, or a damaged one: " if self._compression and not error.errno else ""
            raise DataError(f"{shown(self._path)}: cannot be read ({what}{error.strerror or error}).") from None


def open_text(stream: ByteStream, *, dialect: Dialect, newline: str, errors: str = "strict") -> IO[str]:
    """Return the stream's text; ``newline`` and ``errors`` as for :func:`open`."""
    return io.TextIOWrapper(io.BufferedReader(stream, HEAD_BYTES), encoding=dialect.encoding, newline=newline, errors=errors)


def tell_dialect(
    head: bytes, *, kind: str, text_column: str, encoding: str | None, delimiter: str | None
) -> tuple[Dialect, list[str]]:
    """Return how a text file is written and what of it had to be guessed; ``encoding`` and ``delimiter`` where they are known.

    A byte order mark tells the encoding, and UTF-8 is told by being valid. The delimiter is the first one that makes a header
    with the text column.

    Raises:
        DataError: there is no such encoding.
    """
    guesses = []
    marked = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    if encoding is None:
        encoding = marked or _unmarked(head)
        if encoding == "windows-1252":
            guesses.append("the encoding is not UTF-8, guessed windows-1252 (--encoding names another)")
    elif _is_utf8(encoding):
        encoding = "utf-8-sig"
    text = head.decode(encoding, errors="ignore")
    if delimiter is None and kind in DELIMITERS:
        delimiter = _delimiter(text, default=DELIMITERS[kind], text_column=text_column)
        if delimiter != DELIMITERS[kind]:
            guesses.append(f"guessed the delimiter {delimiter!r} from the header (--delimiter names another)")
    first = text.find("\n")
    newline = "\r\n" if first > 0 and text[first - 1] == "\r" else "\n"
    return Dialect(encoding=encoding, mark=marked is not None, delimiter=delimiter or ",", newline=newline), guesses


def _is_utf8(encoding: str) -> bool:
    try:
        return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")
    except LookupError:
        raise DataError(f"--encoding: expected a name such as utf-8 or windows-1252, found {encoding!r}.") from None


def _unmarked(head: bytes) -> str:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        replaced = head.decode("utf-8", errors="replace")
        wrong = replaced.count("\ufffd")
        right = sum(character > "\x7f" for character in replaced) - wrong
        if wrong <= right:  # UTF-8 with some damage, which is told where it stands
            return "utf-8-sig"
        try:
            head.decode("windows-1252")
        except UnicodeDecodeError:
            return "utf-8-sig"
        return "windows-1252"
    return "utf-8-sig"


def _delimiter(text: str, *, default: str, text_column: str) -> str:
    csv.field_size_limit(sys.maxsize)
    for delimiter in (default, *(other for other in ",;\t|" if other != default)):
        try:
            header = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True), [])
        except csv.Error:
            continue
        if text_column in header:
            return delimiter
    return default
