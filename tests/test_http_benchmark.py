"""The pure parts of benchmarks/http.py, and the load generator against a small server of the test's own."""

import asyncio
import json
from collections import Counter
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from benchmarks import http
from benchmarks.contenders import CONTENDERS, RIVALS, SERVICE, predictions
from benchmarks.load import Exchange, Load, Window, closed_loop, median, open_loop, percentile
from tests.conftest import ROOT

BODIES = [json.dumps({"texts": [word]}).encode() for word in ("one", "two", "three")]


@asynccontextmanager
async def answering(handle):
    """Serve a handler on a free port; yield its address."""
    app = web.Application()
    app.router.add_post("/predict", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/predict"
    finally:
        await runner.cleanup()


class Recorder:
    """Answers with the statuses given, in turn, and remembers what it was asked, and how much of it at once."""

    def __init__(self, statuses=(200,), delay_s=0.002):
        self.statuses = statuses
        self.delay_s = delay_s
        self.bodies = []
        self.under_way = self.most = 0

    async def answer(self, request):
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        self.bodies.append(await request.read())
        status = self.statuses[(len(self.bodies) - 1) % len(self.statuses)]
        await asyncio.sleep(self.delay_s)
        self.under_way -= 1
        return web.Response(status=status)


def run(recorder, loop, **arguments):
    async def both():
        async with answering(recorder.answer) as url:
            return await loop(url, BODIES, **arguments)

    return asyncio.run(both())


def test_percentiles_are_values_that_were_measured():
    assert percentile([], 50) is None
    assert percentile([7.0], 99) == 7.0
    assert percentile([3.0, 1.0, 2.0, 4.0], 50) == 2.0
    assert percentile(list(range(1, 101)), 99) == 99
    assert percentile(list(range(1, 101)), 100) == 100


def test_a_median_leaves_out_what_is_missing():
    assert median([None, 3.0, 1.0]) == 2.0
    assert median([None]) is None


def test_a_closed_loop_counts_every_answer_once():
    recorder = Recorder()
    load = run(recorder, closed_loop, connections=3, seconds=0.3)
    assert len(load.exchanges) + load.uncounted == len(recorder.bodies)
    assert load.uncounted >= 3  # the first of each connection warms up
    assert load.statuses == {"200": len(load.exchanges)}
    assert load.answers_a_second == len(load.exchanges) / load.seconds


def test_a_closed_loop_sends_bodies_in_turn_over_as_many_connections_as_told():
    recorder = Recorder()
    run(recorder, closed_loop, connections=3, seconds=0.2)
    assert recorder.most == 3
    counts = Counter(recorder.bodies)
    assert set(counts) == set(BODIES)
    assert max(counts.values()) - min(counts.values()) <= 1


def test_a_closed_loop_counts_answers_by_status_and_only_200_in_the_rate():
    load = run(Recorder(statuses=(200, 429, 200, 500)), closed_loop, connections=1, seconds=0.3)
    assert set(load.statuses) == {"200", "429", "500"}
    assert sum(load.statuses.values()) == len(load.exchanges)
    assert abs(load.statuses["200"] - len(load.exchanges) / 2) <= 1
    assert load.answers_a_second == load.statuses["200"] / load.seconds


def test_a_server_that_is_not_there_is_counted_by_the_errors_name():
    load = asyncio.run(closed_loop("http://127.0.0.1:1/predict", BODIES, connections=2, seconds=0.05))
    assert set(load.statuses) == {"ClientConnectorError"}
    assert load.answers_a_second == 0
    assert load.latency_ms(50) is None


def test_an_open_loop_sends_at_its_rate_and_stops_at_its_deadline():
    recorder = Recorder(delay_s=0.5)  # longer than the loop: no answer is waited for before the next request
    load = run(recorder, open_loop, rate=100, seconds=0.3)
    assert 2 <= len(load.exchanges) <= 30
    assert len(recorder.bodies) == len(load.exchanges)
    assert recorder.most > 1
    first = min(found.begun for found in load.exchanges)
    assert all(found.begun <= first + 0.3 for found in load.exchanges)
    assert load.statuses == {"200": len(load.exchanges)}


def test_a_window_opens_once_every_connection_is_answered_and_the_warm_up_has_passed():
    window = Window(connections=2, seconds=10, warm_up_s=5, begun=100)
    assert not window.note(0, 106)
    assert window.opened is None
    assert not window.note(1, 107)
    assert window.opened == 107
    assert window.note(0, 108)


def test_a_window_closes_with_an_answer_after_its_seconds_once_as_many_came_as_there_are_connections():
    window = Window(connections=2, seconds=10, warm_up_s=0, begun=100)
    window.note(0, 101)
    window.note(1, 101)
    assert window.note(0, 130)
    assert window.closed is None  # one answer only, after 29 seconds
    assert window.note(1, 131)
    assert window.closed == 131
    assert not window.note(0, 131)


def test_a_summary_speaks_of_texts_and_of_requests():
    load = Load((Exchange(0.0, 0.5, "200"), Exchange(0.5, 2.0, "200"), Exchange(0.0, 1.0, "500")), seconds=2.0)
    assert http.summary(load, texts_a_request=64) == {
        "answers_a_second": 1.0,
        "texts_a_second": 64.0,
        "p50_ms": 500.0,
        "p99_ms": 1500.0,
    }


def test_an_overload_counts_200_in_time_and_while_requests_are_sent():
    timely, late = Exchange(0.0, 4.0, "200"), Exchange(0.0, http.TIMELY_S + 0.5, "200")
    after, refused = Exchange(19.0, 21.0, "200"), Exchange(1.0, 1.1, "429")
    found = http.overload_summary(Load((timely, timely, late, after, refused), seconds=20.0), capacity=0.2)
    assert found["share_of_capacity"] == pytest.approx(0.5)
    assert found["sent_a_second"] == 0.25
    assert found["statuses"] == {"200": 4, "429": 1}


def test_overloads_are_summed_by_status_and_otherwise_medians():
    rounds = [{"share_of_capacity": share, "statuses": {"200": 2, "429": 1}} for share in (0.5, 0.9, 0.8)]
    assert http.overload_medians(rounds) == {"share_of_capacity": 0.8, "statuses": {"200": 6, "429": 3}}
    assert http.overload_medians([]) == {}


def test_ratios_say_how_the_service_stands():
    medians = {
        "service": {
            "1 connection": {"texts_a_second": 50.0, "p50_ms": 12.0},
            "32 connections": {"texts_a_second": 150.0},
            "64 texts a request": {"texts_a_second": 180.0},
        },
        "fastapi": {"32 connections": {"texts_a_second": 30.0}},
        "infinity": {"32 connections": {"texts_a_second": 0.0}},
    }
    assert http.ratios(medians, {"texts_a_second": 200.0, "p50_ms": 10.0}) == {
        "32 connections, texts/s against fastapi": 5.0,
        "32 connections, texts/s against infinity": None,
        "32 connections, texts/s against in process": 0.75,
        "64 texts a request, texts/s against in process": 0.9,
        "1 connection, p50 against in process": 1.2,
    }


def test_ratios_of_a_run_without_the_service_are_missing():
    medians = {"fastapi": {"32 connections": {"texts_a_second": 30.0}}}
    assert set(http.ratios(medians, {"texts_a_second": 200.0, "p50_ms": 10.0}).values()) == {None}


def test_requests_of_many_texts_hold_each_text_once_and_are_full():
    found = [json.loads(body)["texts"] for body in http.requests(SERVICE, [str(n) for n in range(150)])]
    assert [len(texts) for texts in found] == [64, 64]
    assert [text for texts in found for text in texts] == [str(n) for n in range(128)]


def test_every_contender_speaks_its_own_form():
    infinity = next(contender for contender in CONTENDERS if contender.name == "infinity")
    assert json.loads(infinity.body(["a"])) == {"input": ["a"]}
    assert predictions(infinity, {"data": [[], []]}) == 2
    assert predictions(SERVICE, [{}, {}, {}]) == 3


def test_rivals_are_pinned_and_only_to_the_torch_of_this_project():
    constraints = (ROOT / "constraints.txt").read_text().splitlines()
    for contender in CONTENDERS:
        if contender.requirements is None:
            continue
        lines = [line for line in (RIVALS / f"{contender.requirements}.txt").read_text().splitlines() if line[:1] != "#"]
        assert all("==" in line for line in lines)
        if contender.name == "bentoml":  # the batching alone differs
            assert set(lines) <= set(constraints)
        else:
            assert next(line for line in constraints if line.startswith("torch==")) in lines
