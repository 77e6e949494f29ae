"""Server time of an article of 40 sentences: `POST /analyze` of the ready champion on a server of its own, one article at a time.

Each article is of other sentences of the corpus, five a paragraph, so that nothing is computed twice. The time is what the client sees
over loopback, the answer's JSON included.
Example: python -m benchmarks.article
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx

from benchmarks.machine import save
from benchmarks.screenshots import home_of
from tests.server import SERVE, running
from training.rows import read_rows
from training.task import read_task

SENTENCES, PARAGRAPH = 40, 5
WARM_UP = 3


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.article", description=__doc__.splitlines()[0])
    parser.add_argument("--articles", type=int, default=50, metavar="N", help="articles that are timed (default 50)")
    arguments = parser.parse_args()
    task = read_task()
    rows = read_rows(task.corpus, labels=task.label_names)
    texts = [row.text for row in rows][: SENTENCES * (WARM_UP + arguments.articles)]
    articles = [article(texts[start : start + SENTENCES]) for start in range(0, len(texts), SENTENCES)]
    with tempfile.TemporaryDirectory() as place:
        home = home_of(Path(place))
        with running(SERVE, log=Path(place) / "log", cwd=place, env=home) as client:
            found = [timed(client, text) for text in articles][WARM_UP:]
    milliseconds = sorted(1000 * seconds for seconds, _ in found)
    figures = {
        "articles": len(found),
        "sentences": statistics.mean(sentences for _, sentences in found),
        "characters": statistics.mean(map(len, articles[WARM_UP:])),
        "latency_ms": {
            "median": statistics.median(milliseconds),
            "p95": milliseconds[int(0.95 * len(milliseconds))],
            "max": milliseconds[-1],
        },
    }
    print(figures)
    print(f"wrote {save('article', figures)}", file=sys.stderr)


def article(texts: list[str]) -> str:
    """Return sentences as paragraphs."""
    return "\n\n".join(" ".join(texts[start : start + PARAGRAPH]) for start in range(0, len(texts), PARAGRAPH))


def timed(client: httpx.Client, text: str) -> tuple[float, int]:
    """Return the seconds that the analysis took, and how many sentences it has."""
    begun = time.perf_counter()
    answer = client.post("/analyze", json={"text": text})
    seconds = time.perf_counter() - begun
    return seconds, len(answer.raise_for_status().json()["sentences"])


if __name__ == "__main__":
    main()
