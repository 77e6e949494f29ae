"""Which files a scoring run reads and writes: one file, a folder or a glob of them, or a pipe."""

import glob
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from serving.checkpoint import complete, folder_of, recorded, rejects_of
from serving.errors import DataError
from serving.formats import PIPE, Format, format_named, format_of

_TABLES = {"csv", "tsv", "parquet"}
_WRITTEN_AS = {"csv": _TABLES, "tsv": _TABLES, "lines": {"lines", *_TABLES}}
"""What a format may be written as, where that is not itself alone; the compression may always differ."""


@dataclass(frozen=True, slots=True)
class File:
    """One input, its name within the output, and the formats of both."""

    path: Path
    name: str
    format: Format
    output: Format


def find_files(source: Path, target: Path, *, form: str | None, warn: Callable[[str], None], resume: bool = False) -> list[File]:
    """Return the files to score, in sorted order; ``form`` names their format where the names do not tell it.

    A folder that holds something is no output, unless ``resume`` says that it may be this run's own.

    Raises:
        DataError: there are none, a format is not known or would change, or the run would overwrite what it reads.
    """
    if is_many(source):
        return _many(source, target, form=form, warn=warn, resume=resume)
    named = format_named(form) if form else None
    input_format = named or format_of(target if source == PIPE else source)
    output_format = input_format if target == PIPE else _told(target, otherwise=input_format if form else None)
    allowed = _WRITTEN_AS.get(input_format.kind, {input_format.kind})
    if output_format.kind not in allowed:
        raise DataError(f"{target}: expected the input's format ({input_format.kind}), found {output_format.kind}.")
    if target != PIPE:
        if target.is_dir():
            raise DataError(f"{target}: expected the name of a file, found a folder.")
        for path in (target, rejects_of(target), folder_of(target)):
            if source != PIPE and path.resolve() == source.resolve():
                raise DataError(f"{path}: this run would overwrite its input; name another output.")
    return [File(path=source, name=target.name, format=input_format, output=output_format)]


def is_many(source: Path) -> bool:
    """Say whether a source is a folder or a pattern, whose output is a folder."""
    return source.is_dir() or (not source.exists() and glob.has_magic(str(source)))


def _many(source: Path, target: Path, *, form: str | None, warn: Callable[[str], None], resume: bool) -> list[File]:
    base, paths = _listed(source)
    if target == PIPE:
        raise DataError(f"{source}: expected a folder as the output of many files, found stdout.")
    holds = target.is_file() or (target.is_dir() and any(target.iterdir()))
    own = recorded(target) or (resume and complete(target))  # killed right after it put it there, or later
    if holds and not own:
        raise DataError(
            f"{target}: expected the name of a new folder for the output of many files, found one that holds something."
        )
    inside = target.resolve()
    if source.is_dir() and inside.is_relative_to(source.resolve()):
        raise DataError(f"{target}: expected a folder outside the input, found one in it: the next run would read its output.")
    named = format_named(form) if form else None
    files = []
    for path in paths:
        try:
            found = named or format_of(path)
        except DataError:
            warn(f"{path}: passed over, its name tells no format")
            continue
        files.append(File(path=path, name=path.relative_to(base).as_posix(), format=found, output=found))
    if not files:
        raise DataError(f"{source}: expected files to score, found none.")
    return files


def _listed(source: Path) -> tuple[Path, list[Path]]:
    """Return the folder that the names are relative to, and the files, without hidden ones."""
    if source.is_dir():
        base, found = source, source.rglob("*")
    else:
        parts = source.parts
        fixed = next(index for index, part in enumerate(parts) if glob.has_magic(part))
        base = Path(*parts[:fixed]) if fixed else Path()
        found = base.glob(str(Path(*parts[fixed:])))
    return base, sorted({path for path in found if path.is_file() and not _hidden(path.relative_to(base))})


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts) or path.name.endswith(".rejects.jsonl")


def _told(path: Path, *, otherwise: Format | None) -> Format:
    try:
        return format_of(path)
    except DataError:
        if otherwise is None:
            raise
        return otherwise
