"""Scoring into stdout: rows leave as soon as they are scored; nothing is kept that a later run could go on from."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from serving.checkpoint import Counts, Progress
from serving.writers import ParquetWriter, Writer


class Pipe:
    """What :class:`serving.checkpoint.Checkpoint` is for a file. Parquet, written from its parts, leaves at the end."""

    anything = False

    def __init__(self, *, source: str, warn: Callable[[str], None]) -> None:
        """Tell ``warn`` the rejected rows of ``source``, by line and reason."""
        self.progress = Progress()
        self._source, self._warn = source, warn
        self._stdout = os.fdopen(1, "wb", closefd=False)
        self._writer: Writer | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def begin(self, name: str, writer: Writer) -> None:
        """Write what comes before the first chunk."""
        self._writer = writer
        if isinstance(writer, ParquetWriter):
            self._folder = tempfile.TemporaryDirectory(prefix="stance-score-")
        self._write(writer.begin())

    def commit(self, rows: bytes, *, rejects: list[dict[str, Any]], counts: Counts) -> None:
        """Write a chunk."""
        self._write(rows)
        for reject in rejects:
            self._warn(f"{self._source}:{reject['line']}: rejected, {reject['reason']}")
        self.progress.counts = counts

    def end(self) -> None:
        """Write what comes after the last chunk."""
        if self._folder is not None and isinstance(self._writer, ParquetWriter):
            parts, output = Path(self._folder.name, "parts"), Path(self._folder.name, "output")
            self._writer.assemble(parts, output)
            with output.open("rb") as file:
                shutil.copyfileobj(file, self._stdout)
            self._stdout.flush()

    def finish(self) -> None:
        """Remove the temporary files."""
        self.discard()

    def discard(self) -> None:
        """Remove the temporary files."""
        if self._folder is not None:
            self._folder.cleanup()

    def _write(self, content: bytes) -> None:
        if self._folder is None:
            self._stdout.write(content)
            self._stdout.flush()
            return
        with Path(self._folder.name, "parts").open("ab") as parts:
            parts.write(content)
