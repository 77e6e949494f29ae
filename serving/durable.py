"""Files that a kill, or a loss of power, leaves whole."""

import os
from pathlib import Path
from typing import IO, Any

from serving.errors import DataError


def unfinished(name: str) -> str:
    """Return the name that a file has beside its own until it is whole; a kill leaves it, the next write takes it again."""
    return f".{name}.new"


def replace_file(path: Path, content: str) -> None:
    """Write a file so that a reader, and a later run, find the old content or the new, whole.

    Raises:
        OSError: it cannot be written.
    """
    new = path.with_name(unfinished(path.name))
    try:
        with new.open("w", encoding="utf-8") as file:
            file.write(content)
            sync(file)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def open_at(path: Path, size: int) -> IO[bytes]:
    """Open a file for writing behind its first ``size`` bytes, and cut off what is there.

    Raises:
        DataError: it has fewer.
    """
    path.touch()
    file = path.open("r+b")
    if os.fstat(file.fileno()).st_size < size:
        file.close()
        raise DataError(f"{path}: expected at least {size} committed bytes, found fewer; delete {path.parent} to begin anew.")
    file.truncate(size)
    file.seek(size)
    return file


def sync(file: IO[Any]) -> None:
    """Return once all that was written is on the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Return once the names in a folder are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
