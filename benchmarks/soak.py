"""A long run of mixed requests against the service: whether its memory stops growing, and whether anything fails.

Requests hold one to many texts of mixed lengths, some are invalid, and some clients leave before they are answered. The memory is
that of the server and all its workers, sampled every few seconds; it has stopped growing when the last quarter of the run exceeds
the quarter before it by at most five per cent. Example: python -m benchmarks.soak --minutes 10
"""

import argparse
import asyncio
import contextlib
import os
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import aiohttp
import psutil

from benchmarks.contenders import SERVICE, python_of, running
from benchmarks.machine import ROOT, describe, save
from benchmarks.texts import corpus_texts

CONNECTIONS = 16
SIZES = (1, 1, 1, 1, 2, 4, 16)
IMPATIENT_SHARE, INVALID_SHARE = 0.05, 0.05
SECONDS_BETWEEN_SAMPLES = 5.0
GROWTH_ALLOWED = 0.05
FINE = {"200", "422", "429", "left"}


async def soak(url: str, texts: Sequence[str], *, seconds: float) -> tuple[Counter[str], list[float]]:
    """Return how requests ended, and the server's memory in MB at each sample."""
    statuses: Counter[str] = Counter()
    over = time.monotonic() + seconds
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as session:
        clients = [asyncio.create_task(_client(session, url, texts, statuses, over, seed)) for seed in range(CONNECTIONS)]
        samples = []
        while time.monotonic() < over:
            await asyncio.sleep(min(SECONDS_BETWEEN_SAMPLES, max(0.0, over - time.monotonic())))
            samples.append(memory_mb(url))
        await asyncio.gather(*clients)
    return statuses, samples


async def _client(
    session: aiohttp.ClientSession, url: str, texts: Sequence[str], statuses: Counter[str], over: float, seed: int
) -> None:
    drawn = random.Random(seed)
    while time.monotonic() < over:
        chosen = [drawn.choice(texts) * drawn.choice((1, 1, 1, 5)) for _ in range(drawn.choice(SIZES))]
        body = {"texts": chosen if drawn.random() > INVALID_SHARE else ["", 1]}
        patience = aiohttp.ClientTimeout(total=0.01 if drawn.random() < IMPATIENT_SHARE else 120)
        try:
            async with session.post(f"{url}/predict", json=body, timeout=patience) as answer:
                await answer.read()
                statuses[str(answer.status)] += 1
        except TimeoutError:
            statuses["left"] += 1
        except aiohttp.ClientError as error:
            statuses[type(error).__name__] += 1


def memory_mb(url: str) -> float:
    """Return the resident memory of the server that listens at an address, its workers included."""
    port = int(url.rsplit(":", 1)[1])
    found = 0
    for process in psutil.process_iter(["cmdline", "memory_info"]):
        with contextlib.suppress(psutil.NoSuchProcess):
            command = process.info["cmdline"] or []
            if str(port) in command:
                family = [process, *process.children(recursive=True)]
                found = sum(member.memory_info().rss for member in family)
    return found / 1e6


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10, metavar="N", help="length of the run (default 10)")
    minutes = parser.parse_args().minutes
    texts = corpus_texts(5000)
    with running(SERVICE, python=python_of(SERVICE), model=ROOT) as url:
        statuses, samples = asyncio.run(soak(url, texts, seconds=60 * minutes))
    figures: dict[str, Any] = {"minutes": minutes, "statuses": dict(statuses), "memory_mb": [round(mb) for mb in samples]}
    figures["failures"] = {status: count for status, count in statuses.items() if status not in FINE}
    figures["growth"] = growth(samples)
    figures["memory_stopped_growing"] = figures["growth"] <= GROWTH_ALLOWED
    for key, value in {**describe(), **figures}.items():
        print(f"{key}: {value}")
    print(f"wrote {save('soak', figures)}", file=sys.stderr)


def growth(samples: Sequence[float]) -> float:
    """Return by what share the memory of the last quarter of the samples exceeds that of the quarter before it, as medians."""
    quarter = max(1, len(samples) // 4)
    before, last = statistics.median(samples[-2 * quarter : -quarter] or samples), statistics.median(samples[-quarter:])
    return round(last / before - 1, 4)


if __name__ == "__main__":
    main()
