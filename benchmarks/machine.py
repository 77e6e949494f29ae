"""What a figure was measured on, and where results are kept."""

import datetime
import json
import platform
import subprocess
from pathlib import Path
from typing import Any

from serving.settings import processors

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"


INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8")
"""Sets of instructions that speed depends on, as /proc/cpuinfo names them."""


def describe() -> dict[str, str]:
    """Return machine, its instructions, date and commit."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    told = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    cpu, flags = told.get("model name", platform.processor()), told.get("flags", "").split()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return {
        "machine": f"{processors()} cores of {cpu}",
        "instructions": " ".join(name for name in INSTRUCTIONS if name in flags),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": commit.stdout.strip(),
    }


def save(name: str, figures: dict[str, Any]) -> Path:
    """Write a result file and return its path."""
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({**describe(), **figures}, indent=1) + "\n", encoding="utf-8")
    return path
