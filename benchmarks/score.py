"""How many rows a second `stance score` scores beside the predictor in process, and how much memory 10 times the rows take.

Both score the same different texts, in the same run, chunk by chunk; loading the model counts for neither. The memory is that of the
whole process at its peak, of the real command, with the small and with the large number of rows, whose texts repeat.
Example: python -m benchmarks.score --rows 20000 --memory-rows 100000 1000000
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT, describe, save
from benchmarks.texts import corpus_texts
from serving.predictor import Predictor
from serving.score import ROWS_PER_CHUNK


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000, help="rows scored for the speed")
    parser.add_argument(
        "--memory-rows", type=int, nargs=2, default=None, metavar=("FEW", "MANY"), help="rows scored for the memory"
    )
    parser.add_argument("--memory-words", type=int, default=0, help="words left of a text where memory is measured; 0 leaves all")
    parser.add_argument("--dry", action="store_true", help="do not write the result file")
    arguments = parser.parse_args()
    texts = corpus_texts()
    predictor = Predictor.load()
    with tempfile.TemporaryDirectory() as folder:
        figures = {"model": predictor.tag, **speed(predictor, texts[: arguments.rows], Path(folder))}
        if arguments.memory_rows:
            some = [" ".join(text.split()[: arguments.memory_words or None]) for text in texts[:ROWS_PER_CHUNK]]
            figures["memory"] = memory(some, arguments.memory_rows, Path(folder))
    print(json.dumps({**describe(), **figures}, indent=1))
    if not arguments.dry:
        save("score", figures)


def speed(predictor: Predictor, texts: list[str], folder: Path) -> dict[str, Any]:
    """Return the rates of the command and of the predictor, texts a second, in turns of a chunk before and after."""
    write(folder / "in.csv", texts)
    before = in_process(predictor, texts[: len(texts) // 2])
    summary = folder / "summary.json"
    run("in.csv", "out.csv", folder, "--summary", str(summary))
    scored = json.loads(summary.read_text(encoding="utf-8"))
    after = in_process(predictor, texts[len(texts) // 2 :])
    rate = len(texts) / (before + after)
    return {
        "rows": len(texts),
        "rows_a_second": scored["texts_per_second"],
        "predictor_texts_a_second": round(rate, 1),
        "share": round(scored["texts_per_second"] / rate, 3),
    }


def in_process(predictor: Predictor, texts: list[str]) -> float:
    """Return how many seconds the predictor takes."""
    begun = time.perf_counter()
    for first in range(0, len(texts), ROWS_PER_CHUNK):
        predictor.predict(texts[first : first + ROWS_PER_CHUNK])
    return time.perf_counter() - begun


def memory(texts: list[str], rows: list[int], folder: Path) -> dict[str, Any]:
    """Return the peak of the command's resident memory, in MB, for each number of rows."""
    peaks = {}
    for count in rows:
        write(folder / f"{count}.csv", islice(cycle(texts), count))
        peaks[count] = round(run(f"{count}.csv", f"{count}-out.csv", folder), 1)
    few, many = rows
    return {"peak_mb": peaks, "growth": round(peaks[many] / peaks[few] - 1, 3)}


def write(path: Path, texts: Iterable[str]) -> None:
    """Write a table of numbered texts."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text"])
        writer.writerows(enumerate(texts))


def run(source: str, target: str, folder: Path, *options: str) -> float:
    """Run the real command to its end and return the peak of its resident memory in MB."""
    process = subprocess.Popen([sys.executable, str(ROOT / "stance.py"), "score", source, target, *options], cwd=folder)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"stance score: expected exit status 0, found {process.returncode}")
    return usage.ru_maxrss / 1000


if __name__ == "__main__":
    main()
