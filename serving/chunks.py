"""Rows as they travel: what a reader of any format gives, and how it is told to read.

A :class:`Chunk` carries what the file held next to the texts found in it, so that a writer of the same format can put back every
column as it was and add its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from serving.formats import Dialect, Format


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


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read a table where that is not as its name says.

    ``guess`` allows an encoding or a delimiter other than the format's own; ``reserved`` names columns that it must not have. A
    ``lenient`` reader goes on where a file of text is damaged: bytes that are not of its encoding stand in the cells as lone
    surrogates (PEP 383), and a line with stray quotes is a row with a fault.
    """

    format: Format | None = None
    encoding: str | None = None
    delimiter: str | None = None
    guess: bool = False
    reserved: frozenset[str] = frozenset()
    lenient: bool = False


class Reader(Protocol):
    """A source of chunks; ``guesses`` tells what of its dialect nothing but the content said."""

    columns: list[str]
    schema: pa.Schema | None
    dialect: Dialect
    guesses: list[str]

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Yield the rows, ``size`` at a time, fewer where they are long."""
        ...
