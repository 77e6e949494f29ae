"""Continuous batching: the texts of many requests share the runtime, by a budget of tokens, with no wait when it is idle.

A request's texts wait in one queue, oldest first. Whenever the runtime takes more, what waits is taken up to the budget; what
comes meanwhile goes into the next batch. Two batches are handed over at a time, so that the runtime computes one while the
answers of the other are written. How fast the runtime is, is learned from each batch: batches are kept short enough for nobody to
wait long behind one, and a request that would have to wait too long is refused at once. A request whose caller has given up is
dropped before it is computed. BentoML's own adaptive batching does neither; ``benchmarks/http.py`` compares the two.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import numpy as np

from serving import metrics
from serving.explanation import Explanation, occlude
from serving.predictor import TOKENS_PER_BATCH, Prediction, Predictor
from serving.tokenizer import Encoded

BATCHES_AHEAD = 2
BATCH_SECONDS = 0.25
"""How long a batch may take, as far as the runtime's rate is known."""
LEAST_TOKENS = 256
"""A batch of so few tokens is never made smaller: it would be computed less efficiently."""
FIRST_TOKENS_A_SECOND = 4096.0
"""The rate that is assumed before the first batch."""
INLINE_CHARACTERS = 4000
"""Up to so many characters are turned into tokens in the event loop: the hand-over to a thread would cost more."""
CHARACTERS_A_WORD = 6
RATE_SMOOTHING = 0.2

Given = TypeVar("Given")
Tokens = TypeVar("Tokens")


class QueueFull(Exception):
    """The request would have to wait too long; ``retry_after`` is when to come back, in whole seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"the queue is full; come back in {retry_after} s")
        self.retry_after = retry_after


@dataclass(slots=True, eq=False)
class _Request:
    """The texts of one caller; ``answer`` is cancelled when the caller gives up."""

    encoded: list[Encoded]
    answer: asyncio.Future[np.ndarray]
    logits: np.ndarray
    missing: int
    queued: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class _Item:
    """One text of a request."""

    request: _Request
    index: int

    @property
    def encoded(self) -> Encoded:
        return self.request.encoded[self.index]

    @property
    def tokens(self) -> int:
        return len(self.encoded.ids)


class Batcher:
    """Scores the texts of concurrent callers with one predictor. To be used from one event loop."""

    def __init__(self, predictor: Predictor, *, queue_seconds: float) -> None:
        """Refuse what would have to wait longer than ``queue_seconds``, unless nothing waits."""
        self.predictor = predictor
        self.tokens_a_second = FIRST_TOKENS_A_SECOND
        self._queue_seconds = queue_seconds
        self._queue: deque[_Item] = deque()
        self._waiting = 0
        self._computing = 0
        self._under_way = 0
        self._callers = 0
        self._compute = ThreadPoolExecutor(1, "stance-compute")
        self._tokenise = ThreadPoolExecutor(1, "stance-tokenise")

    @property
    def budget(self) -> float:
        """How many tokens a batch may hold, as fast as the runtime is now."""
        return min(TOKENS_PER_BATCH, max(LEAST_TOKENS, BATCH_SECONDS * self.tokens_a_second))

    async def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """Return one prediction a text, in order. A caller that is cancelled leaves nothing behind to be computed.

        Raises:
            QueueFull: too many tokens wait already.
            DataError: a text is empty or holds nothing but white space.
        """
        self.predictor.check(texts)
        with self._caller():
            encoded = await self._tokenised(self.predictor.encode, texts, characters=sum(map(len, texts)))
            return await self._predictions(encoded)

    async def explain(self, text: str) -> Explanation:
        """Return what each word of a text does to its prediction; waits and is refused like as many texts.

        Raises:
            QueueFull: too many tokens wait already.
            DataError: the text is empty or holds nothing but white space.
        """
        self.predictor.check([text])
        with self._caller():
            characters = len(text) * len(text) // CHARACTERS_A_WORD  # of all the texts without a word
            occlusion = await self._tokenised(partial(occlude, self.predictor), text, characters=characters)
            return occlusion.explanation(await self._predictions(occlusion.encoded))

    def refuse_if_full(self) -> None:
        """Refuse what would have to wait too long behind what is there.

        Raises:
            QueueFull: it would.
        """
        seconds = (self._waiting + self._computing) / self.tokens_a_second
        if self._waiting and seconds > self._queue_seconds:
            raise QueueFull(max(1, math.ceil(seconds - self._queue_seconds)))

    def close(self) -> None:
        """End the threads once what they do is done."""
        self._tokenise.shutdown(wait=False)
        self._compute.shutdown(wait=False)

    async def drained(self) -> None:
        """Return when no caller waits for an answer."""
        while self._callers:
            await asyncio.sleep(0.05)

    @contextmanager
    def _caller(self) -> Iterator[None]:
        self._callers += 1
        try:
            yield
        finally:
            self._callers -= 1

    async def _tokenised(self, tokenise: Callable[[Given], Tokens], given: Given, *, characters: int) -> Tokens:
        if characters <= INLINE_CHARACTERS:
            return tokenise(given)
        return await asyncio.get_running_loop().run_in_executor(self._tokenise, tokenise, given)

    async def _predictions(self, encoded: list[Encoded]) -> list[Prediction]:
        return self.predictor.predictions(await self._answer(self._admit(encoded)), encoded)

    def _admit(self, encoded: list[Encoded]) -> _Request:
        tokens = sum(len(item.ids) for item in encoded)
        self.refuse_if_full()
        logits = np.empty((len(encoded), len(self.predictor.labels)), dtype=np.float32)
        request = _Request(encoded, asyncio.get_running_loop().create_future(), logits, missing=len(encoded))
        self._queue.extend(_Item(request, index) for index in range(len(encoded)))
        self._wait_for(tokens)
        self._pump()
        return request

    async def _answer(self, request: _Request) -> np.ndarray:
        try:
            return await request.answer
        finally:
            if request.answer.cancelled():
                self._forget(request)

    def _wait_for(self, tokens: int) -> None:
        """Count tokens into the queue, or out of it."""
        self._waiting += tokens
        metrics.QUEUE_TOKENS.inc(tokens)

    def _forget(self, request: _Request) -> None:
        """Take what is left of a request out of the queue."""
        gone = [item for item in self._queue if item.request is request]
        if gone:
            self._queue = deque(item for item in self._queue if item.request is not request)
            self._wait_for(-sum(item.tokens for item in gone))
        metrics.DROPPED_TEXTS.inc(len(gone))

    def _pump(self) -> None:
        """Hand batches over while the runtime takes more."""
        while self._queue and self._under_way < BATCHES_AHEAD:
            batch = self._take()
            self._under_way += 1
            computing = asyncio.get_running_loop().run_in_executor(self._compute, self._computed, batch)
            computing.add_done_callback(partial(self._finished, batch))

    def _take(self) -> list[_Item]:
        """Return the oldest items up to the budget of tokens."""
        budget = self.budget
        batch: list[_Item] = []
        tokens = 0
        while self._queue and (not batch or tokens + self._queue[0].tokens <= budget):
            item = self._queue.popleft()
            tokens += item.tokens
            batch.append(item)
        self._wait_for(-tokens)
        self._computing += tokens
        now = time.monotonic()
        for request in {id(item.request): item.request for item in batch}.values():
            metrics.QUEUE_SECONDS.observe(now - request.queued)
        return batch

    def _computed(self, batch: Sequence[_Item]) -> tuple[list[np.ndarray | Exception | None], float]:
        """Return the logits of each item, or why it has none, and the seconds it took; runs in the compute thread."""
        begun = time.monotonic()
        wanted = [not item.request.answer.done() for item in batch]
        encoded = [item.encoded for item, live in zip(batch, wanted, strict=True) if live]
        found = iter(self._logits(encoded))
        return [next(found) if live else None for live in wanted], time.monotonic() - begun

    def _logits(self, encoded: Sequence[Encoded]) -> list[np.ndarray | Exception | None]:
        """Return the logits of each text; where they fail together, each alone, so that none fails for its neighbour."""
        try:
            return list(self.predictor.logits(encoded))
        except Exception as error:
            if len(encoded) == 1:
                return [error]
            return [self._logits([item])[0] for item in encoded]

    def _finished(
        self, batch: Sequence[_Item], computing: "asyncio.Future[tuple[list[np.ndarray | Exception | None], float]]"
    ) -> None:
        self._under_way -= 1
        self._computing -= sum(item.tokens for item in batch)
        rows, seconds = computing.result()
        tokens = sum(item.tokens for item, row in zip(batch, rows, strict=True) if row is not None)
        if tokens and seconds > 0:
            self.tokens_a_second += RATE_SMOOTHING * (tokens / seconds - self.tokens_a_second)
        self._pump()
        metrics.BATCH_TOKENS.observe(tokens)
        metrics.COMPUTE_SECONDS.observe(seconds)
        for item, row in zip(batch, rows, strict=True):
            _deliver(item, row)


def _deliver(item: _Item, row: np.ndarray | Exception | None) -> None:
    """Give an item's row to its request, which is answered with the last of them or with the first failure."""
    request = item.request
    if request.answer.done():
        metrics.DROPPED_TEXTS.inc(row is None)
    elif isinstance(row, Exception):
        request.answer.set_exception(row)
    elif row is not None:
        request.logits[item.index] = row
        request.missing -= 1
        if not request.missing:
            request.answer.set_result(request.logits)
