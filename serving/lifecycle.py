"""Starting and stopping: what of the service is under way, and that nothing is lost when it ends."""

import asyncio
import logging
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)
_SECONDS_BETWEEN_LOOKS = 0.05

logger = logging.getLogger("bentoml.stance")


class Lifecycle:
    """Counts the requests under way in this process, and lets them end before the server below is told to stop."""

    def __init__(self) -> None:
        self.under_way = 0
        self.draining = False

    def drain_on_signal(self, *, seconds: float) -> None:
        """Put this in front of the server's own signal handlers.

        Those are called once nothing is under way, or after ``seconds``. To be called in the main thread, with the event loop
        running.
        """
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            stop = signal.getsignal(number)
            if callable(stop):
                signal.signal(number, self._handler(loop, stop, seconds=seconds))

    def _handler(
        self, loop: asyncio.AbstractEventLoop, stop: Callable[[int, FrameType | None], Any], *, seconds: float
    ) -> Callable[[int, FrameType | None], None]:
        def handle(number: int, frame: FrameType | None) -> None:
            if self.draining:  # asked twice: at once
                stop(number, frame)
                return
            self.draining = True
            loop.call_soon_threadsafe(lambda: loop.create_task(self._drain(lambda: stop(number, frame), seconds=seconds)))

        return handle

    async def _drain(self, stop: Callable[[], Any], *, seconds: float) -> None:
        logger.info("stopping: %d requests under way", self.under_way)
        for _ in range(int(seconds / _SECONDS_BETWEEN_LOOKS)):
            if not self.under_way:
                break
            await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)
        stop()


lifecycle = Lifecycle()
