"""Batch scoring: rows in, the same rows in the same order out, with the stance beside each.

An input is read twice: once to count and check it, so that what cannot be read is told before anything is computed, and once to
score it, chunk by chunk (:mod:`serving.engine`). Chunks are committed (:mod:`serving.checkpoint`) one by one, in their order.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from serving.artifact import sha256_of
from serving.checkpoint import Checkpoint, Counts, hold, rejects_of
from serving.chunks import ReadOptions
from serving.engine import Engine, LocalEngine, Piece, Task, added_columns, find_blanks, rejects
from serving.errors import ClusterError, DataError, Stopped
from serving.formats import PIPE, shown
from serving.pipe import Pipe
from serving.predictor import Predictor
from serving.sources import File, find_files, is_many
from serving.tables import open_table
from serving.writers import writer_for

ROWS_PER_CHUNK = 2048
"""Rows computed and committed at once: enough for batches of like length, little to lose."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to score and how; ``Path("-")`` is stdin or stdout.

    ``source`` may be a folder or a pattern, ``target`` is then a folder. ``format`` is an ending such as ``csv.gz`` where names
    do not tell it, ``columns`` names the added columns (all where empty), ``chunk`` is in rows.
    """

    source: Path
    target: Path
    text_column: str = "text"
    format: str | None = None
    columns: tuple[str, ...] = ()
    chunk: int = ROWS_PER_CHUNK
    resume: bool = False
    on_error: Literal["reject", "stop"] = "reject"
    encoding: str | None = None
    delimiter: str | None = None

    @property
    def rejects(self) -> Path:
        """Where rows that could not be scored are told."""
        return rejects_of(self.target)


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did, that of the runs that it resumed included; ``seconds`` and ``texts_per_second`` are of this one alone."""

    model: str
    rows: int
    rejected: int
    rejected_by_reason: dict[str, int]
    stances: dict[str, int]
    shares: dict[str, float]
    seconds: float
    texts_per_second: float


@dataclass(slots=True)
class _Run:
    job: Job
    engine: Engine
    files: list[File]
    progress: Callable[[int, int | None], None]
    warn: Callable[[str], None]
    added: dict[str, type]
    many: bool
    total: int | None = None
    stats: list[tuple[int, int]] = field(default_factory=list)

    def open(self, file: File) -> AbstractContextManager[Any]:
        options = ReadOptions(
            format=file.format,
            encoding=self.job.encoding,
            delimiter=self.job.delimiter,
            guess=True,
            reserved=frozenset(self.added),
        )
        return open_table(file.path, text_column=self.job.text_column, options=options)


def score(
    job: Job,
    *,
    predictor: Predictor | Engine,
    progress: Callable[[int, int | None], None] = lambda done, total: None,
    warn: Callable[[str], None] = lambda message: None,
) -> Summary:
    """Score a file, a folder or a stream with a predictor, or with an engine that has one elsewhere.

    ``progress`` is told the rows done after each chunk and how many there are (None for stdin), ``warn`` what had to be guessed
    and, where the output is stdout, which rows were rejected. Output and rejects appear under their names only when complete.

    Raises:
        DataError: the input cannot be read, the output cannot be written, or a row is bad and ``on_error`` is ``stop``.
        Stopped: a signal was turned into it; what is committed stays.
    """
    engine = LocalEngine(predictor) if isinstance(predictor, Predictor) else predictor
    added = _added_columns(engine, job.columns)
    if job.resume and PIPE in (job.source, job.target):
        raise DataError("--resume: expected an input and an output that are files, found stdin or stdout, which do not last.")
    files = find_files(job.source, job.target, form=job.format, warn=warn, resume=job.resume)
    run = _Run(job=job, engine=engine, files=files, progress=progress, warn=warn, added=added, many=is_many(job.source))
    begun = time.monotonic()
    if job.target == PIPE:
        work: Pipe | Checkpoint = Pipe(source=shown(job.source), warn=warn)
        return _summary(run, _guarded(run, work), begun=begun, scored_before=0)
    try:
        with hold(job.target, whole_folder=run.many) as work:
            try:
                work.keep_unless(job.resume)
                work.start(_manifest(run))
            except BaseException:
                if not work.recorded:
                    work.discard()
                raise
            before = work.progress.counts.stances.total()
            return _summary(run, _guarded(run, work), begun=begun, scored_before=before)
    except OSError as error:
        raise DataError(f"{error.filename or job.target}: cannot be written ({error.strerror or error}).") from None


def _guarded(run: _Run, work: Pipe | Checkpoint) -> Counts:
    """Run, and on a failure keep or remove what is committed and say which."""
    try:
        _run(run, work)
        work.finish()
    except DataError:
        work.discard()  # of the input: no later run could go on from here
        raise
    except OSError as error:
        where = error.filename or ("stdout" if run.job.target == PIPE else run.job.target)
        raise DataError(f"{where}: cannot be written ({error.strerror or error}){_kept(run, work)}") from None
    except (ClusterError, Stopped) as error:
        raise type(error)(f"{error}{_kept(run, work)}") from None
    return work.progress.counts


def _kept(run: _Run, work: Pipe | Checkpoint) -> str:
    if run.job.source == PIPE or not work.anything:
        work.discard()
        return "; nothing is kept."
    return f"; {work.progress.counts.rows} rows are committed, the same command with --resume goes on from there."


def _run(run: _Run, work: Pipe | Checkpoint) -> None:
    under_way = False
    for task, scored in run.engine.scored(_pieces(run, files=work.progress.files, chunks=work.progress.chunks)):
        if scored is None:
            if under_way:
                work.end()
            work.begin(task.name, task.writer)
            under_way = True
            continue
        _stop_at(run, run.files[task.index], scored.rejects)
        counts = work.progress.counts + scored.counts
        work.commit(scored.rows, rejects=scored.rejects, counts=counts)
        run.progress(counts.rows, run.total)
    if under_way:
        work.end()


def _pieces(run: _Run, *, files: int, chunks: int) -> Iterator[Piece]:
    """Yield what is left to score after so many whole files and chunks of the next one."""
    for index, file in enumerate(run.files[files:], files):
        with run.open(file) as reader:
            if file.path == PIPE:
                _warn_guesses(run, file, reader.guesses)
            writer = writer_for(file.output, source=file.format, reader=reader, added=run.added)
            name = file.name if run.many else None
            task = Task(index=index, name=file.name, writer=writer, added=tuple(run.added), rejects_name=name)
            yield task, None
            for chunk in islice(reader.chunks(run.job.chunk), chunks if index == files else 0, None):
                yield task, chunk
        if run.stats and run.stats[index] != _stat(file.path):
            raise DataError(f"{file.path}: changed while it was read; run again.")


def _manifest(run: _Run) -> dict[str, Any]:
    """Return all that the bytes of the output depend on, after reading every input once."""
    job, engine = run.job, run.engine
    model = {"tag": engine.tag, "sha256": hashlib.sha256(engine.manifest.model_dump_json().encode()).hexdigest()}
    settings = {
        "text_column": job.text_column,
        "columns": list(run.added),
        "chunk": job.chunk,
        "encoding": job.encoding,
        "delimiter": job.delimiter,
        "formats": sorted({f"{file.format} as {file.output}" for file in run.files}),
        "pyarrow": pa.__version__,
    }
    inputs = {}
    if job.source != PIPE:
        run.total = 0
        for file in run.files:
            run.stats.append(_stat(file.path))
            run.total += _survey(run, file)
            inputs[file.name if run.many else "sha256"] = sha256_of(file.path)
    return {"version": 1, "input": inputs, "settings": settings, "model": model}


def _survey(run: _Run, file: File) -> int:
    """Return how many rows a file has, after checking that every one of them can be read."""
    rows = 0
    with run.open(file) as reader:
        _warn_guesses(run, file, reader.guesses)
        for chunk in reader.chunks(run.job.chunk):
            rows += len(chunk.texts)
            if run.job.on_error == "stop":
                find_blanks(chunk)
                _stop_at(run, file, rejects(chunk, file=None))
    return rows


def _warn_guesses(run: _Run, file: File, guesses: list[str]) -> None:
    for guess in guesses:
        run.warn(f"{shown(file.path)}: {guess}")


def _stat(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from None
    return found.st_size, found.st_mtime_ns


def _stop_at(run: _Run, file: File, rejected: list[dict[str, Any]]) -> None:
    if rejected and run.job.on_error == "stop":
        where, fault = f"{shown(file.path)}:{rejected[0]['line']}", rejected[0]["reason"]
        raise DataError(f"{where}: {fault}. `--on-error reject` sets such rows aside instead.")


def _summary(run: _Run, counts: Counts, *, begun: float, scored_before: int) -> Summary:
    seconds = time.monotonic() - begun
    scored = counts.stances.total()
    stances = {label: counts.stances[label] for label in run.engine.manifest.label_names}
    return Summary(
        model=run.engine.tag,
        rows=counts.rows,
        rejected=counts.reasons.total(),
        rejected_by_reason=dict(sorted(counts.reasons.items())),
        stances=stances,
        shares={label: round(count / scored, 6) if scored else 0.0 for label, count in stances.items()},
        seconds=round(seconds, 3),
        texts_per_second=round((scored - scored_before) / max(seconds, 1e-9), 1),
    )


def _added_columns(engine: Engine, names: tuple[str, ...]) -> dict[str, type]:
    """Return the added columns asked for, in their own order, with their types."""
    columns = added_columns(engine.manifest.label_names)
    unknown = [name for name in names if name not in columns]
    if unknown:
        raise DataError(f"--columns: expected some of {','.join(columns)}, found {unknown[0]!r}.")
    return {name: kind for name, kind in columns.items() if not names or name in names}
