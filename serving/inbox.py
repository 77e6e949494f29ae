"""The inbox: takes the corrections of concurrent requests to the store, in a thread of its own and never too many at once."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING

from serving.errors import StoreError

if TYPE_CHECKING:
    from serving.corrections import Correction, Store

MOST_WAITING = 64
SECONDS = 15
"""How long storing a correction may take before its client is told to come back; posted again, it is still one row."""

logger = logging.getLogger("bentoml.stance")


class Inbox:
    """Stores corrections. A store that is slow or gone holds up nothing else. To be used from one event loop."""

    def __init__(self) -> None:
        self._waiting = 0
        self._thread = ThreadPoolExecutor(1, "stance-corrections")

    async def add(self, correction: "Correction") -> str:
        """Return the id of the correction once it is stored durably.

        Raises:
            StoreError: the store cannot take it now.
        """
        if self._waiting >= MOST_WAITING:
            raise StoreError(f"{MOST_WAITING} corrections wait to be stored already.")
        self._waiting += 1
        try:
            async with asyncio.timeout(SECONDS):
                return await asyncio.get_running_loop().run_in_executor(self._thread, self._add, correction)
        except TimeoutError:
            raise StoreError(f"the corrections' store did not answer in {SECONDS} s.") from None
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """End the thread once what it does is done."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    @cached_property
    def _store(self) -> "Store":
        from serving.corrections import Store  # SQLAlchemy, which a server that gets no corrections never loads

        return Store.configured()

    def _add(self, correction: "Correction") -> str:
        try:
            return self._store.add(correction)
        except StoreError as error:
            logger.error("correction refused: %s", error)
            raise
