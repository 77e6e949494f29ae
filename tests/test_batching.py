"""The batcher with a predictor of the test's own: what is computed together, dropped, refused, and never mixed up."""

import asyncio
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.batching import LEAST_TOKENS, Batcher, QueueFull
from serving.errors import DataError
from serving.predictor import BATCH_COST, TOKENS_PER_BATCH, Predictor, plan_batches
from serving.tokenizer import Encoded


class Fake:
    """A predictor whose logits are the text's number, and whose runtime waits until the test lets it go on."""

    labels = ("a", "b")
    check = Predictor.check

    def __init__(self, *, fails_on=None):
        self.batches, self.fails_on = [], fails_on
        self.gate = threading.Event()
        self.gate.set()

    def encode(self, texts):
        return [Encoded(ids=[int(text)] * 10, truncated=False) for text in texts]

    def logits(self, encoded):
        self.gate.wait(10)
        numbers = [item.ids[0] for item in encoded]
        self.batches.append(numbers)
        if self.fails_on in numbers:
            raise RuntimeError("no")
        return np.array([[n, -n] for n in numbers], dtype=np.float32).reshape(-1, 2)

    def predictions(self, logits, encoded):
        return [int(row[0]) for row in logits]


def numbers(start, count):
    return [str(n) for n in range(start, start + count)]


async def until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


def test_concurrent_callers_each_get_their_own_answers_in_order():
    async def run():
        batcher = Batcher(Fake(), queue_seconds=10**6)
        sizes = [1, 7, 64, 3, 1, 200] * 20
        starts = np.cumsum([0, *sizes[:-1]]).tolist()
        calls = (batcher.predict(numbers(start, size)) for start, size in zip(starts, sizes, strict=True))
        found = await asyncio.gather(*calls)
        assert found == [list(range(start, start + size)) for start, size in zip(starts, sizes, strict=True)]

    asyncio.run(run())


def test_what_waits_is_computed_together_within_the_budget():
    async def run():
        fake = Fake()
        fake.gate.clear()
        batcher = Batcher(fake, queue_seconds=10**6)
        calls = [asyncio.ensure_future(batcher.predict([str(n)])) for n in range(1000)]
        await asyncio.sleep(0.05)
        fake.gate.set()
        await asyncio.gather(*calls)
        assert fake.batches[:2] == [[0], [1]]  # at once, without waiting for company
        assert LEAST_TOKENS // 10 <= max(len(batch) for batch in fake.batches) <= TOKENS_PER_BATCH // 10
        assert len(fake.batches) <= 2 + 998 / (LEAST_TOKENS // 10) + 1

    asyncio.run(run())


def test_a_caller_that_gives_up_is_not_computed_and_its_neighbours_are():
    async def run():
        fake = Fake()
        fake.gate.clear()
        batcher = Batcher(fake, queue_seconds=10**6)
        ahead = [asyncio.ensure_future(batcher.predict([str(n)])) for n in (1, 2)]
        await asyncio.sleep(0.05)
        leaving, staying = (asyncio.ensure_future(batcher.predict(numbers(n, 5))) for n in (10, 20))
        await asyncio.sleep(0.05)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        fake.gate.set()
        assert await staying == [20, 21, 22, 23, 24]
        assert await asyncio.gather(*ahead) == [[1], [2]]
        assert sorted(n for batch in fake.batches for n in batch) == [1, 2, 20, 21, 22, 23, 24]
        await asyncio.wait_for(batcher.drained(), 5)

    asyncio.run(run())


def test_a_caller_that_gives_up_after_its_batch_was_handed_over_is_dropped_there():
    async def run():
        fake = Fake()
        fake.gate.clear()
        batcher = Batcher(fake, queue_seconds=10**6)
        first, second = (asyncio.ensure_future(batcher.predict([str(n)])) for n in (1, 2))
        await asyncio.sleep(0.05)  # both are handed over; the second waits behind the first
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        fake.gate.set()
        assert await first == [1]
        await until(lambda: len(fake.batches) == 2)
        assert fake.batches == [[1], []]

    asyncio.run(run())


def test_what_would_wait_too_long_is_refused_at_once_and_taken_later():
    async def run():
        fake = Fake()
        fake.gate.clear()
        batcher = Batcher(fake, queue_seconds=2)
        batcher.tokens_a_second = 100.0
        sizes = (1, 1, 15, 15)  # two are computed; the third waits, as the fourth does: 17 texts of 10 tokens are before it
        taken = [asyncio.ensure_future(batcher.predict(numbers(100 * n, size))) for n, size in enumerate(sizes)]
        await asyncio.sleep(0.05)
        with pytest.raises(QueueFull) as refused:
            await batcher.predict(["900"])
        assert refused.value.retry_after == 2  # 320 tokens are before it: 3.2 seconds
        fake.gate.set()
        await asyncio.gather(*taken)
        assert await batcher.predict(["900"]) == [900]
        assert await batcher.predict(numbers(0, 5000)) == list(range(5000))  # however long: nothing waits before it

    asyncio.run(run())


def test_batches_are_as_long_as_the_runtime_is_fast():
    async def run():
        sizes = []
        for rate in (100.0, 8_000.0, 10**6):
            fake = Fake()
            fake.gate.clear()
            batcher = Batcher(fake, queue_seconds=10**6)
            batcher.tokens_a_second = rate
            calls = [asyncio.ensure_future(batcher.predict([str(n)])) for n in (1, 2)]
            await asyncio.sleep(0.02)
            calls.append(asyncio.ensure_future(batcher.predict(numbers(10, 1000))))
            await asyncio.sleep(0.02)
            sizes.append(len(batcher._take()))
            fake.gate.set()
            await asyncio.gather(*calls[:2])
        assert sizes == [LEAST_TOKENS // 10, 200, TOKENS_PER_BATCH // 10]

    asyncio.run(run())


def test_a_text_that_fails_fails_alone():
    async def run():
        fake = Fake(fails_on=7)
        fake.gate.clear()
        batcher = Batcher(fake, queue_seconds=10**6)
        calls = [asyncio.ensure_future(batcher.predict([str(n)])) for n in range(12)]
        await asyncio.sleep(0.05)
        fake.gate.set()
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(found[7], RuntimeError)
        assert [answer for n, answer in enumerate(found) if n != 7] == [[n] for n in range(12) if n != 7]

    asyncio.run(run())


def test_a_blank_text_is_refused():
    with pytest.raises(DataError):
        asyncio.run(Batcher(Fake(), queue_seconds=1).predict(["1", " "]))


def test_equal_texts_are_computed_once(predictor, monkeypatch):
    computed = []
    monkeypatch.setattr(predictor, "on_batch", lambda tokens, padded: computed.append((tokens, padded)))
    texts = ["The report is a lie.", "It was published.", "The report is a lie."] * 5
    found = predictor.predict(texts)
    alone = predictor.predict(texts[:2])
    assert [p.label for p in found] == [p.label for p in alone + alone[:1]] * 5
    assert computed[0] == computed[1]


LENGTHS = st.lists(st.integers(1, 512), max_size=120)


@given(LENGTHS)
@settings(deadline=None)
def test_a_plan_holds_every_text_once_within_the_budget(lengths):
    batches = plan_batches(lengths)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= TOKENS_PER_BATCH


def cost(lengths, batches):
    return sum(BATCH_COST + len(batch) * max(lengths[index] for index in batch) for batch in batches)


@given(st.lists(st.integers(1, 512), min_size=1, max_size=9))
@settings(deadline=None, max_examples=50)
def test_no_other_cut_of_the_sorted_texts_costs_less(lengths):
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    least = min(
        cost(lengths, parts)
        for cuts in range(2 ** (len(order) - 1))
        for parts in [divided(order, cuts)]
        if all(len(part) == 1 or len(part) * max(lengths[i] for i in part) <= TOKENS_PER_BATCH for part in parts)
    )
    assert cost(lengths, plan_batches(lengths)) == least


def divided(order, cuts):
    """Return the order cut behind each position whose bit is set."""
    parts = [[order[0]]]
    for position, index in enumerate(order[1:]):
        if cuts >> position & 1:
            parts.append([])
        parts[-1].append(index)
    return parts


def test_draining_lets_what_is_under_way_end_before_the_server_is_told(monkeypatch):
    import os
    import signal

    from serving.lifecycle import Lifecycle

    told = []
    monkeypatch.setattr(signal, "getsignal", lambda number: lambda n, frame: told.append(time.monotonic()))
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGTERM, signal.SIGINT)}

    async def run():
        service = Lifecycle()
        service.drain_on_signal(seconds=10)
        service.under_way = 1
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.3)
        assert service.draining
        assert told == []
        service.under_way = 0
        await until(lambda: told)
        os.kill(os.getpid(), signal.SIGTERM)  # asked twice: at once
        await until(lambda: len(told) == 2)

    try:
        asyncio.run(run())
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.parametrize(
    ("cpu_max", "affinity", "expected"),
    [("max 100000", 4, 4), ("200000 100000", 4, 2), ("50000 100000", 4, 1), ("900000 100000", 2, 2)],
)
def test_processors_are_those_that_the_process_may_use(monkeypatch, cpu_max, affinity, expected):
    import os
    from pathlib import Path

    from serving.settings import processors

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(affinity)), raising=False)
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: cpu_max)
    assert processors() == expected


def test_the_metrics_tell_what_was_computed():
    from serving import metrics

    before = metrics.TOKENS._value.get(), metrics.PADDING._value.get()
    metrics.count_batch(30, 40)
    assert (metrics.TOKENS._value.get() - before[0], metrics.PADDING._value.get() - before[1]) == (30, 10)
