"""The committed part of a scoring run: a folder beside the output that a killed run leaves and a resumed one goes on from.

::

    OUTPUT.partial/
    |-- lock            held with an operating system's lock, which ends with its process
    |-- manifest.json   what is scored and how: input digests, settings, model digest
    |-- output          the rows so far: the file, or a folder with a file an input
    |-- chunks          for Parquet: the rows so far of the file under way
    |-- rejects.jsonl   the rejected rows so far
    `-- progress.json   how much of all that counts; replaced, as a whole, after each chunk

Bytes beyond what ``progress.json`` counts are of a chunk that was not committed, and are cut off. A folder that is complete holds
both records itself, in a hidden file: a run that finds it under its own name has nothing left to do.
"""

import fcntl
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from serving.durable import open_at, replace_file, sync, sync_folder, unfinished
from serving.errors import DataError
from serving.writers import ParquetWriter, Writer, json_line

MANIFEST, PROGRESS, LOCK, OUTPUT, CHUNKS, REJECTS = "manifest.json", "progress.json", "lock", "output", "chunks", "rejects.jsonl"
COMPLETE = ".stance.json"


@dataclass(slots=True)
class Counts:
    """Rows seen, rejected ones by reason, and scored ones by stance."""

    rows: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    stances: Counter[str] = field(default_factory=Counter)

    def __add__(self, more: "Counts") -> "Counts":
        """Return both together."""
        return Counts(self.rows + more.rows, self.reasons + more.reasons, self.stances + more.stances)


@dataclass(slots=True)
class Progress:
    """What is committed: whole files, whole chunks of the file under way, and the bytes that they take."""

    files: int = 0
    chunks: int = 0
    bytes: int = 0
    reject_bytes: int = 0
    finished: bool = False
    counts: Counts = field(default_factory=Counts)

    def to_json(self) -> str:
        """Return all of it."""
        return json.dumps(self, default=lambda part: {name: getattr(part, name) for name in part.__slots__})

    @classmethod
    def of_json(cls, content: str) -> "Progress":
        """Return what :meth:`to_json` wrote."""
        found = json.loads(content)
        counts = found.pop("counts")
        counts.update({name: Counter(counts[name]) for name in ("reasons", "stances")})
        return cls(**found, counts=Counts(**counts))


class Checkpoint:
    """The committed part of a run in its folder. Every method may be cut short by a kill at any instant."""

    def __init__(self, target: Path, *, whole_folder: bool) -> None:
        """Use :func:`hold`."""
        self.target = target
        self.folder = folder_of(target)
        self.progress = Progress()
        self._whole_folder = whole_folder
        self._rows: IO[bytes] | None = None
        self._rejects: IO[bytes] | None = None
        self._writer: Writer | None = None
        self._output = self.folder / OUTPUT
        self._manifest: dict[str, Any] = {}

    def keep_unless(self, resume: bool) -> None:
        """Check that nothing would be lost.

        Raises:
            DataError: something is committed, and the run is not to go on from it.
        """
        if self.recorded and not resume:
            raise DataError(
                f"{self.folder}: an earlier run was cut short and its work is kept here; --resume goes on from it, deleting this"
                " folder begins anew."
            )

    def start(self, manifest: dict[str, Any]) -> None:
        """Begin anew, or go on from what is committed, which for a folder may be all of it.

        Raises:
            DataError: another input, setting or model made what is committed.
        """
        self._manifest = manifest
        if self.recorded:
            self.progress = Progress.of_json((self.folder / PROGRESS).read_text(encoding="utf-8"))
            if self.progress.finished and not (self.folder / MANIFEST).exists():
                return  # killed while it removed this folder: the output is in its place
            committed = json.loads((self.folder / MANIFEST).read_text(encoding="utf-8"))
            _compare(manifest, committed, where=self.folder)
        elif self._whole_folder and complete(self.target):
            content = json.loads((self.target / COMPLETE).read_text(encoding="utf-8"))
            _compare(manifest, content["manifest"], where=self.target)
            self.progress = Progress.of_json(content["progress"])
        else:
            replace_file(self.folder / MANIFEST, json.dumps(manifest, indent=1))
            self._save()

    @property
    def recorded(self) -> bool:
        """Whether there is a record of an earlier run, or of this one."""
        return recorded(self.target)

    @property
    def anything(self) -> bool:
        """Whether a chunk is committed."""
        return bool(self.progress.files or self.progress.chunks)

    def begin(self, name: str, writer: Writer) -> None:
        """Open the file of that name, and of the input that it is for, where the committed part of it ends."""
        self._writer = writer
        self._output = self.folder / OUTPUT / name if self._whole_folder else self.folder / OUTPUT
        self._output.parent.mkdir(parents=True, exist_ok=True)
        rows = self.folder / CHUNKS if isinstance(writer, ParquetWriter) else self._output
        self._rows = open_at(rows, self.progress.bytes)
        self._rejects = open_at(self.folder / REJECTS, self.progress.reject_bytes)
        if not self.progress.chunks:
            self._rows.truncate(0)
            self._rows.seek(0)
            self._rows.write(writer.begin())

    def commit(self, rows: bytes, *, rejects: list[dict[str, Any]], counts: Counts) -> None:
        """Add a chunk; once this returns, it outlives a kill and a loss of power."""
        assert self._rows is not None and self._rejects is not None
        self._rows.write(rows)
        self._rejects.write("".join(map(json_line, rejects)).encode("utf-8"))
        for file in (self._rows, self._rejects):
            sync(file)
        self.progress.bytes, self.progress.reject_bytes = self._rows.tell(), self._rejects.tell()
        self.progress.chunks += 1
        self.progress.counts = counts
        self._save()

    def end(self) -> None:
        """Complete the file under way."""
        assert self._rows is not None and self._writer is not None
        sync(self._rows)
        self.close()
        if isinstance(self._writer, ParquetWriter):
            self._writer.assemble(self.folder / CHUNKS, self._output)
            with self._output.open("rb") as file:
                os.fsync(file.fileno())
        self.progress.files += 1
        self.progress.chunks = self.progress.bytes = 0
        self._save()

    def finish(self) -> None:
        """Put rejects and output under their names, the output last: its presence means that all is there."""
        if not self.progress.finished:
            self.progress.finished = True
            if self._whole_folder:
                (self.folder / OUTPUT).mkdir(exist_ok=True)
                record = {"manifest": self._manifest, "progress": self.progress.to_json()}
                replace_file(self.folder / OUTPUT / COMPLETE, json.dumps(record))
            self._save()
        if not self.progress.counts.reasons:
            rejects_of(self.target).unlink(missing_ok=True)  # of an earlier run: it would speak of rows that this one scored
        elif (self.folder / REJECTS).exists():
            (self.folder / REJECTS).replace(rejects_of(self.target))
        if (self.folder / OUTPUT).exists():
            (self.folder / OUTPUT).replace(self.target)
        sync_folder(self.target.parent)
        self.discard()

    def close(self) -> None:
        """Close the files; what is not committed does not count."""
        for file in (self._rows, self._rejects):
            if file is not None:
                with suppress(OSError):  # a full disk: these bytes are cut off on resuming
                    file.close()

    def discard(self) -> None:
        """Remove the folder; the record of what is committed goes after all that it speaks of."""
        self.close()
        if self._whole_folder:
            shutil.rmtree(self.folder / OUTPUT, ignore_errors=True)
        for name in (OUTPUT, CHUNKS, REJECTS, unfinished(MANIFEST), unfinished(PROGRESS), MANIFEST, PROGRESS, LOCK):
            with suppress(OSError):
                (self.folder / name).unlink()
        with suppress(OSError):
            self.folder.rmdir()

    def _save(self) -> None:
        replace_file(self.folder / PROGRESS, self.progress.to_json())


@contextmanager
def hold(target: Path, *, whole_folder: bool) -> Iterator[Checkpoint]:
    """Hold the only right to write ``target``.

    Raises:
        DataError: another run holds it.
        OSError: the folder cannot be made.
    """
    folder = folder_of(target)
    while True:
        folder.mkdir(exist_ok=True)
        try:
            lock = (folder / LOCK).open("a")
        except FileNotFoundError:
            if folder.is_dir():  # else its last run removed it between the two calls
                raise
            continue
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DataError(f"{target}: another run is writing this output; wait for it, or name another output.") from None
            if not _still_there(lock, folder / LOCK):
                continue
            checkpoint = Checkpoint(target, whole_folder=whole_folder)
            try:
                yield checkpoint
            finally:
                checkpoint.close()
            return


def folder_of(target: Path) -> Path:
    """Return where the committed part of a run stands."""
    return target.with_name(f"{target.name}.partial")


def recorded(target: Path) -> bool:
    """Say whether a run that was cut short left a record of what is committed."""
    return (folder_of(target) / PROGRESS).exists()


def complete(target: Path) -> bool:
    """Say whether a folder is the complete output of a run."""
    return (target / COMPLETE).is_file()


def rejects_of(target: Path) -> Path:
    """Return where rows that could not be scored are told."""
    return target.with_name(f"{target.name}.rejects.jsonl")


def _still_there(lock: IO[str], path: Path) -> bool:
    """Say whether the file locked is the one of that name, and not one that its last run has removed."""
    try:
        return os.path.samestat(os.fstat(lock.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _compare(manifest: dict[str, Any], committed: dict[str, Any], *, where: Path) -> None:
    for name, value in manifest.items():
        if committed.get(name) != value:
            raise DataError(
                f"{where}: --resume expected the {name} of the earlier run ({_short(committed.get(name))}),"
                f" found another ({_short(value)}); give that one, or delete this folder to begin anew."
            )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 100 else f"{text[:100]}..."
