"""What `stance score --engine ray` reaches on this machine's processors beside the local engine, and what limits it beyond them.

Both engines score the same different texts in turns, in the same process and run; starting counts for neither. One actor a
processor, and one thread an actor. Beside it: how many rows a second the command itself can read, hand out and commit where the
model costs nothing, which is what no number of machines exceeds; the bytes of a row on each way; and the memory of an actor.
Example: python -m benchmarks.cluster --rows 4096 --rounds 3
"""

import argparse
import json
import pickle
import statistics
import sys
import tempfile
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from benchmarks.machine import describe, save
from benchmarks.score import write
from benchmarks.texts import corpus_texts
from serving.engine import Engine, Piece, Scored, Task, score_chunk
from serving.predictor import Predictor
from serving.ray_engine import ray_engine
from serving.score import ROWS_PER_CHUNK, Job, score
from serving.settings import processors


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4096, help="rows scored by each engine in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--chunk", type=int, default=128, help="rows of a chunk; small, so that the last ones do not count")
    parser.add_argument("--command-rows", type=int, default=200_000, help="rows read and committed without a model")
    parser.add_argument("--dry", action="store_true", help="do not write the result file")
    arguments = parser.parse_args()
    texts = corpus_texts()
    predictor = Predictor.load()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "in.csv", islice(cycle(texts), arguments.rows))
        write(folder / "many.csv", islice(cycle(texts), arguments.command_rows))
        figures = {
            "model": predictor.tag,
            "rows": arguments.rows,
            **engines(predictor, folder, rounds=arguments.rounds, chunk=arguments.chunk),
            **command(predictor, folder, few=arguments.rows, many=arguments.command_rows),
        }
    print(json.dumps({**describe(), **figures}, indent=1))
    if not arguments.dry:
        save("cluster", figures)


def engines(predictor: Predictor, folder: Path, *, rounds: int, chunk: int) -> dict[str, Any]:
    """Return the rates of both engines, texts a second, as medians of their turns, and the memory of an actor in MB."""
    actors = processors()
    rates: dict[str, list[float]] = {"local": [], "ray": []}
    with ray_engine(actors=actors) as engine:
        engine.pool.wait(actors)
        contenders: dict[str, Predictor | Engine] = {"local": predictor, "ray": engine}
        for round_ in range(rounds):
            for name, contender in contenders.items():
                target = folder / f"{name}.parquet"
                rates[name].append(
                    score(Job(source=folder / "in.csv", target=target, chunk=chunk), predictor=contender).texts_per_second
                )
            print(f"round {round_ + 1} of {rounds}", file=sys.stderr)
        memory = max(actor_memory())
    if (folder / "local.parquet").read_bytes() != (folder / "ray.parquet").read_bytes():
        raise SystemExit("expected the same bytes of both engines, found others")
    medians = {name: statistics.median(found) for name, found in rates.items()}
    return {
        "actors": actors,
        "texts_a_second": medians,
        "ray_against_local": round(medians["ray"] / medians["local"], 3),
        "texts_a_second_an_actor": round(medians["ray"] / actors, 1),
        "actor_memory_mb": round(memory),
    }


def actor_memory() -> Iterator[float]:
    """Yield the peak of each actor's resident memory, in MB."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        if path.read_bytes().startswith(b"ray::_Scorer"):
            status = dict(line.split(":", 1) for line in (path.parent / "status").read_text().splitlines())
            yield int(status["VmHWM"].split()[0]) / 1000


class _Free:
    """An engine whose model costs nothing: every chunk is packed for its way out, and the same answer unpacked."""

    def __init__(self, predictor: Predictor) -> None:
        self.tag, self.manifest = predictor.tag, predictor.manifest
        self._predictor = predictor
        self._answer = b""
        self.sent = self.received = 0

    def scored(self, pieces: Iterator[Piece]) -> Iterator[tuple[Task, Scored | None]]:
        for task, chunk in pieces:
            if chunk is None:
                yield task, None
                continue
            out = pickle.dumps(chunk, protocol=5)
            self._answer = self._answer or pickle.dumps(score_chunk(chunk, task=task, predictor=self._predictor), protocol=5)
            self.sent += len(out)
            self.received += len(self._answer)
            yield task, pickle.loads(self._answer)


def command(predictor: Predictor, folder: Path, *, few: int, many: int) -> dict[str, Any]:
    """Return how many rows a second the command reads, twice, hands out and commits, and the bytes of a row on each way."""
    free = _Free(predictor)
    # The first run makes the answer, so that no model is in what is measured.
    score(Job(source=folder / "in.csv", target=folder / "few.csv", chunk=ROWS_PER_CHUNK), predictor=free)
    free.sent = free.received = 0
    job = Job(source=folder / "many.csv", target=folder / "many-out.csv", chunk=ROWS_PER_CHUNK)
    seconds = score(job, predictor=free).seconds
    return {
        "command_rows": many,
        "command_rows_a_second": round(many / seconds),
        "bytes_a_row": {
            "input, CSV": round((folder / "many.csv").stat().st_size / many),
            "output, Parquet": round((folder / "ray.parquet").stat().st_size / few),
            "to an actor": round(free.sent / many),
            "from an actor": round(free.received / many),
        },
    }


if __name__ == "__main__":
    main()
