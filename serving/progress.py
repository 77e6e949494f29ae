"""Progress on stderr: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def rows_progress() -> Iterator[Callable[[int, int | None], None]]:
    """Yield a function that takes the number of rows done so far and of all rows, None where it is not known."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = (TextColumn("scored"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("rows", total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return
    started = told = time.monotonic()
    first: int | None = None  # what a run that is resumed did before does not count for its speed

    def tell(done: int, total: int | None) -> None:
        nonlocal told, first
        now = time.monotonic()
        first = done if first is None else first
        if now - told >= SECONDS_BETWEEN_LINES:
            told = now
            of = "" if total is None else f" of {total}"
            print(f"{done}{of} rows, {(done - first) / (now - started):.0f} a second", file=sys.stderr, flush=True)  # noqa: T201

    yield tell
