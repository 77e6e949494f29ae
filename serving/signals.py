"""SIGINT and SIGTERM as an exception, so that a run ends as it does on any other failure."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from serving.errors import Stopped

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def raising_stopped() -> Iterator[None]:
    """Raise :class:`Stopped` in the main thread on SIGINT and SIGTERM; a second one ends the process at once."""

    def stop(number: int, frame: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        raise Stopped(f"stopped by {signal.Signals(number).name}")

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
