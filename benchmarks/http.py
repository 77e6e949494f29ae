"""Answers a second and latency over HTTP of this project's service beside other ways to serve, in one run on one machine.

Contenders take turns: each is started alone, measured under every load, and ended. All read the same texts. What serves through
transformers has the champion's encoder in single precision, as it comes, with a head of random weights, which costs the same time
as a trained one; this project's service and BentoML's batching have the champion itself. Every load is closed loop, but for the
overload: requests at three times the service's rate at 32 connections, whether answers come or not. The load generator takes its
part of the same processors; in process, without HTTP, nothing else does.
Example: python -m benchmarks.http --rounds 3 --seconds 10
"""

import argparse
import asyncio
import os
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from benchmarks.contenders import CONTENDERS, SERVICE, Contender, python_of, running, transformers_model
from benchmarks.load import Load, closed_loop, median, open_loop
from benchmarks.machine import describe, save
from benchmarks.texts import corpus_texts
from serving.predictor import Predictor
from serving.settings import settings

TEXTS = 2000
CONNECTIONS = (1, 8, 32, 128)
CAPACITY_AT = 32
"""Connections at which a server is at its best: the rate that the ratios and the overload go by."""
TEXTS_A_REQUEST, REQUEST_CONNECTIONS = 64, 4
REQUESTS = f"{TEXTS_A_REQUEST} texts a request"
SINGLE_TEXTS = 200
OVERLOAD = 3
TIMELY_S = 1 + settings().queue_seconds
WARM_UP_S = 2

Figures = dict[str, float | None]
Round = dict[str, dict[str, Figures]]
"""By contender and load."""


def main() -> None:
    """Measure, print and save."""
    arguments = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # so that the server under measurement is ended as well
    chosen = [contender for contender in CONTENDERS if not arguments.only or contender.name in arguments.only]
    texts = corpus_texts(TEXTS)
    predictor = Predictor.load()
    model = transformers_model(predictor.manifest)
    bench = Bench(texts, predictor, seconds=arguments.seconds)
    pythons = {contender.name: python_of(contender) for contender in chosen}
    for number in range(arguments.rounds):
        bench.in_process()
        shift = number % len(chosen)
        for contender in [*chosen[shift:], *chosen[:shift]]:
            print(f"round {number + 1} of {arguments.rounds}: {contender.name}", file=sys.stderr)
            with running(contender, python=pythons[contender.name], model=model) as url:
                bench.measure(contender, url)
    figures = {**bench.figures(), "rounds": arguments.rounds, "seconds": arguments.seconds}
    print(table(figures))
    if arguments.only:
        print("not saved: it is not every contender", file=sys.stderr)
    else:
        print(f"wrote {save('http', figures)}", file=sys.stderr)


def parse() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.http", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="times that each contender is measured (default 3)")
    parser.add_argument(
        "--seconds", type=float, default=10, metavar="S", help="length of a measurement, the warm-up left out (default 10)"
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=[contender.name for contender in CONTENDERS],
        metavar="NAME",
        help="measure this contender alone, without saving; repeat it for more (" + ", ".join(c.name for c in CONTENDERS) + ")",
    )
    arguments = parser.parse_args()
    if arguments.rounds < 1 or arguments.seconds <= 0:
        parser.error("--rounds and --seconds must be above 0")
    return arguments


class Bench:
    """What was measured so far."""

    def __init__(self, texts: Sequence[str], predictor: Predictor, *, seconds: float) -> None:
        self.texts = texts
        self.predictor = predictor
        self.seconds = seconds
        self.own: list[Figures] = []
        self.found: dict[str, dict[str, list[Figures]]] = {}
        self.overloads: list[dict[str, Any]] = []
        self.failures: dict[str, Counter[str]] = {}

    def in_process(self) -> None:
        """Score all texts at once, and some one by one, without HTTP."""
        self.predictor.predict(self.texts[:SINGLE_TEXTS])
        rate = len(self.texts) / timed(self.predictor, self.texts)
        latencies = [1000 * timed(self.predictor, [text]) for text in self.texts[:SINGLE_TEXTS]]
        self.own.append({"texts_a_second": rate, "p50_ms": statistics.median(latencies)})

    def measure(self, contender: Contender, url: str) -> None:
        """Put a running server under every load."""
        address = url + contender.path
        single = [contender.body([text]) for text in self.texts]
        loads = {f"{n} connections" if n > 1 else "1 connection": (single, n, 1) for n in CONNECTIONS}
        loads[REQUESTS] = (requests(contender, self.texts), REQUEST_CONNECTIONS, TEXTS_A_REQUEST)
        for name, (bodies, connections, texts) in loads.items():
            load = asyncio.run(closed_loop(address, bodies, connections=connections, seconds=self.seconds, warm_up_s=WARM_UP_S))
            figures = summary(load, texts_a_request=texts)
            self.found.setdefault(contender.name, {}).setdefault(name, []).append(figures)
            self._fail(contender.name, load.statuses, fine={"200"})
            print(f"  {name}: {figures['texts_a_second']:.1f} texts/s", file=sys.stderr)
            if not load.statuses["200"]:
                print(f"  no answer with 200, other loads are left out: {dict(load.statuses)}", file=sys.stderr)
                return
        if contender is SERVICE:
            capacity = self.found[contender.name][f"{CAPACITY_AT} connections"][-1]["texts_a_second"] or 0.0
            self._overload(address, single, capacity=capacity)

    def _overload(self, address: str, bodies: Sequence[bytes], *, capacity: float) -> None:
        if not capacity:
            raise SystemExit("the service gave no answer at all under load: there is no capacity to exceed")
        load = asyncio.run(open_loop(address, bodies, rate=OVERLOAD * capacity, seconds=self.seconds))
        self.overloads.append(overload_summary(load, capacity=capacity))
        self._fail("service, overloaded", load.statuses, fine={"200", "429"})

    def _fail(self, name: str, statuses: Mapping[str, int], *, fine: set[str]) -> None:
        failures = Counter({status: count for status, count in statuses.items() if status not in fine})
        if failures:
            self.failures[name] = self.failures.get(name, Counter()) + failures

    def figures(self) -> dict[str, Any]:
        """Return the medians over the rounds, what they come to beside each other, and what failed."""
        medians = {name: {load: middle(rounds) for load, rounds in loads.items()} for name, loads in self.found.items()}
        own = middle(self.own)
        return {
            "model": self.predictor.tag,
            "form": self.predictor.manifest.form,
            "texts": len(self.texts),
            "in_process": own,
            "contenders": medians,
            "texts_a_second_by_round": {
                name: {load: [round(found["texts_a_second"] or 0, 1) for found in rounds] for load, rounds in loads.items()}
                for name, loads in self.found.items()
            },
            "ratios": ratios(medians, own),
            "overload": overload_medians(self.overloads),
            "failures": {name: dict(counts) for name, counts in self.failures.items()},
        }


def timed(predictor: Predictor, texts: Sequence[str]) -> float:
    """Return the seconds that scoring takes."""
    begun = time.perf_counter()
    predictor.predict(texts)
    return time.perf_counter() - begun


def requests(contender: Contender, texts: Sequence[str]) -> list[bytes]:
    """Return bodies of 64 texts each; texts that do not fill a body are left out."""
    starts = range(0, len(texts) - TEXTS_A_REQUEST + 1, TEXTS_A_REQUEST)
    return [contender.body(texts[start : start + TEXTS_A_REQUEST]) for start in starts]


def summary(load: Load, *, texts_a_request: int) -> Figures:
    """Return answers (requests) and texts a second, and the latency of a request in milliseconds."""
    return {
        "answers_a_second": load.answers_a_second,
        "texts_a_second": load.answers_a_second * texts_a_request,
        "p50_ms": load.latency_ms(50),
        "p99_ms": load.latency_ms(99),
    }


def overload_summary(load: Load, *, capacity: float) -> dict[str, Any]:
    """Return the share of ``capacity`` (answers a second) that was answered with 200 in time while requests were sent."""
    over = min(found.begun for found in load.exchanges) + load.seconds
    timely = sum(found.status == "200" and found.latency_s <= TIMELY_S and found.ended <= over for found in load.exchanges)
    return {
        "capacity_a_second": capacity,
        "sent_a_second": len(load.exchanges) / load.seconds,
        "share_of_capacity": timely / load.seconds / capacity,
        "p99_ms": load.latency_ms(99),
        "statuses": dict(load.statuses),
    }


def middle(rounds: Sequence[Figures]) -> Figures:
    """Return the median over the rounds of each figure, to two decimals."""
    found = {key: median([figures[key] for figures in rounds]) for key in rounds[0]}
    return {key: None if value is None else round(value, 2) for key, value in found.items()}


def overload_medians(rounds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return medians of the figures and sums of the statuses; nothing where the service was not measured."""
    if not rounds:
        return {}
    counts = sum((Counter(found["statuses"]) for found in rounds), Counter())
    return {
        **middle([{key: value for key, value in found.items() if key != "statuses"} for found in rounds]),
        "statuses": dict(counts),
    }


def ratios(medians: Round, own: Figures) -> Figures:
    """Return how the service stands beside the others and the predictor in process; None where one was not measured."""
    service = medians.get(SERVICE.name, {})
    at_capacity = f"{CAPACITY_AT} connections"
    rate = service.get(at_capacity, {}).get("texts_a_second")
    beside = {
        f"{at_capacity}, texts/s against {name}": ratio(rate, loads[at_capacity]["texts_a_second"])
        for name, loads in medians.items()
        if name != SERVICE.name
    }
    return {
        **beside,
        f"{at_capacity}, texts/s against in process": ratio(rate, own["texts_a_second"]),
        f"{REQUESTS}, texts/s against in process": ratio(service.get(REQUESTS, {}).get("texts_a_second"), own["texts_a_second"]),
        "1 connection, p50 against in process": ratio(service.get("1 connection", {}).get("p50_ms"), own["p50_ms"]),
    }


def ratio(value: float | None, other: float | None) -> float | None:
    """Return ``value / other`` to two decimals; None where either is missing or the other is 0."""
    return round(value / other, 2) if value is not None and other else None


def table(figures: Mapping[str, Any]) -> str:
    """Return all figures for a person to read."""
    titles = {contender.name: contender.title for contender in CONTENDERS}
    lines = [f"{key}: {value}" for key, value in {**describe(), "model": figures["model"]}.items()]
    lines.append(f"{'':36}{'':20}{'texts/s':>10}{'p50 ms':>10}{'p99 ms':>10}")
    own = figures["in_process"]
    lines.append(f"{'in process':36}{'all at once, single':20}{shown(own['texts_a_second'])}{shown(own['p50_ms'])}")
    for name, loads in figures["contenders"].items():
        for load, found in loads.items():
            cells = "".join(shown(found[key]) for key in ("texts_a_second", "p50_ms", "p99_ms"))
            lines.append(f"{titles[name]:36}{load:20}{cells}")
    parts = ("ratios", "overload", "failures")
    return "\n".join([*lines, *(f"{part}: {key}: {value}" for part in parts for key, value in figures[part].items())])


def shown(value: float | None) -> str:
    """Return a figure as a cell."""
    return f"{'-' if value is None else format(value, '.1f'):>10}"


if __name__ == "__main__":
    main()
