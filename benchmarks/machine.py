"""What a figure was measured on, and where results are kept."""

import datetime
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"


def describe() -> dict[str, str]:
    """Return machine, date and commit."""
    cpu = next(
        (line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return {
        "machine": f"{len(os.sched_getaffinity(0))} cores of {cpu}",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": commit.stdout.strip(),
    }


def save(name: str, figures: dict[str, Any]) -> Path:
    """Write a result file and return its path."""
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({**describe(), **figures}, indent=1) + "\n", encoding="utf-8")
    return path
