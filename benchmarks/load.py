"""The load that a server is measured under, over HTTP from this machine: closed loop and open loop.

Closed loop: so many connections, each of which sends its next request when its last was answered. Open loop: requests at a
steady rate, whether answers come or not. The load generator shares the processors with the server that it measures.
"""

import asyncio
import itertools
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

ANSWER_LIMIT_S = 60
"""After this a request is given up, and counted as a ``TimeoutError``."""
HEADERS = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer: moments in seconds of the monotonic clock, and the HTTP status or the error's name."""

    begun: float
    ended: float
    status: str

    @property
    def latency_s(self) -> float:
        """Return the seconds from sending the request to the last byte of the answer."""
        return self.ended - self.begun


@dataclass(slots=True)
class Window:
    """The time in which answers count, from one answer to another.

    It opens with the answer by which every connection has had one and ``warm_up_s`` have passed. It closes with the first answer
    after ``seconds`` by which as many have come as there are connections: slow answers that come in bundles are not cut in two.
    """

    connections: int
    seconds: float
    warm_up_s: float
    begun: float = field(default_factory=time.monotonic)
    opened: float | None = None
    closed: float | None = None
    answered: set[int] = field(default_factory=set)
    counted: int = 0

    def note(self, connection: int, moment: float) -> bool:
        """Note an answer; return whether it counts."""
        if self.closed is not None:
            return False
        if self.opened is None:
            self.answered.add(connection)
            if len(self.answered) == self.connections and moment >= self.begun + self.warm_up_s:
                self.opened = moment
            return False
        self.counted += 1
        if moment >= self.opened + self.seconds and self.counted >= self.connections:
            self.closed = moment
        return True


@dataclass(frozen=True, slots=True)
class Load:
    """What a server answered: the exchanges that count, the seconds that they took, and how many others there were."""

    exchanges: tuple[Exchange, ...]
    seconds: float
    uncounted: int = 0

    @property
    def statuses(self) -> Counter[str]:
        """Return the number of answers by status."""
        return Counter(exchange.status for exchange in self.exchanges)

    @property
    def answers_a_second(self) -> float:
        """Return the rate of answers with status 200."""
        return self.statuses["200"] / self.seconds

    def latency_ms(self, percent: int) -> float | None:
        """Return a percentile of the latency of answers with status 200; None where there are none."""
        return percentile([1000 * exchange.latency_s for exchange in self.exchanges if exchange.status == "200"], percent)


def percentile(values: Sequence[float], percent: int) -> float | None:
    """Return the smallest value that at least ``percent`` of 100 values do not exceed; None of no values."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] if ordered else None


def median(values: Sequence[float | None]) -> float | None:
    """Return the median of the values that there are."""
    found = [value for value in values if value is not None]
    return statistics.median(found) if found else None


async def closed_loop(url: str, bodies: Sequence[bytes], *, connections: int, seconds: float, warm_up_s: float = 0) -> Load:
    """Return what comes back in about ``seconds`` after the warm-up; bodies are sent in turn, over and over."""
    window = Window(connections=connections, seconds=seconds, warm_up_s=warm_up_s)
    exchanges: dict[bool, list[Exchange]] = {True: [], False: []}
    following = itertools.cycle(bodies)

    async def connection(number: int) -> None:
        while window.closed is None:
            found = await exchange(session, url, next(following))
            exchanges[window.note(number, found.ended)].append(found)

    async with client(connections) as session:
        await asyncio.gather(*(connection(number) for number in range(connections)))
    assert window.opened is not None and window.closed is not None
    return Load(tuple(exchanges[True]), seconds=window.closed - window.opened, uncounted=len(exchanges[False]))


async def open_loop(url: str, bodies: Sequence[bytes], *, rate: float, seconds: float) -> Load:
    """Return what becomes of requests sent at ``rate`` a second for ``seconds``; every one counts, however late its answer."""
    async with client(0) as session:
        begun = time.monotonic()
        tasks = []
        for number, body in zip(itertools.count(), itertools.cycle(bodies)):
            await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
            if time.monotonic() >= begun + seconds:
                break
            tasks.append(asyncio.create_task(exchange(session, url, body)))
        return Load(tuple(await asyncio.gather(*tasks)), seconds=seconds)


@asynccontextmanager
async def client(connections: int) -> AsyncIterator[aiohttp.ClientSession]:
    """Yield a session of at most so many connections; 0 means any number."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections), timeout=aiohttp.ClientTimeout(total=ANSWER_LIMIT_S), headers=HEADERS
    ) as session:
        yield session


async def exchange(session: aiohttp.ClientSession, url: str, body: bytes) -> Exchange:
    """Send one request and read its answer."""
    begun = time.monotonic()
    try:
        async with session.post(url, data=body) as answer:
            await answer.read()
            status = str(answer.status)
    except (aiohttp.ClientError, TimeoutError) as error:
        status = type(error).__name__
    return Exchange(begun=begun, ended=time.monotonic(), status=status)
