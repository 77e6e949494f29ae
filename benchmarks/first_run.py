"""What the README's two commands cost a stranger: a clean clone, an empty home directory, `make serve`, then `make test`.

Minutes and gigabytes go to benchmarks/results/first_run.json. Example: python -m benchmarks.first_run
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from benchmarks.machine import ROOT, save

LIMIT_S = 1800
WITHOUT_OWN_FIGURES = {"PYTEST_ADDOPTS": "--deselect tests/test_readme.py::test_measured_parts_are_those_of_the_result_files"}
"""The README's figures are what this run makes, so it cannot ask whether they stand there."""
URL = "http://127.0.0.1:3000"


def main() -> None:
    """Clone, serve twice, test, and say what each took."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 3000))  # fails at once where something else listens on the README's port
    folder = Path(tempfile.mkdtemp(prefix="stance-first-run-"))
    try:
        figures = measure(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(figures, indent=1))
    print(f"wrote {save('first_run', figures)}", file=sys.stderr)


def measure(folder: Path) -> dict[str, float]:
    """Return seconds and megabytes."""
    clone, home = folder / "clone", folder / "home"
    home.mkdir()
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    kept = {name: value for name, value in os.environ.items() if name != "BENTOML_HOME"}
    environment = {**kept, "HOME": str(home)}
    first = serve(clone, environment)
    second = serve(clone, environment)
    begun = time.perf_counter()
    subprocess.run(["make", "test"], cwd=clone, env={**environment, **WITHOUT_OWN_FIGURES}, check=True, stdout=sys.stderr)
    return {
        "first_serve_s": round(first, 1),
        "second_serve_s": round(second, 1),
        "test_s": round(time.perf_counter() - begun, 1),
        "disk_mb": round(size_of(clone) + size_of(home)),
    }


def serve(clone: Path, environment: dict[str, str]) -> float:
    """Return the seconds from `make serve` until it answers a prediction; then end it."""
    begun = time.perf_counter()
    process = subprocess.Popen(["make", "serve"], cwd=clone, env=environment, stdout=sys.stderr, start_new_session=True)
    try:
        while not answers():
            if process.poll() is not None or time.perf_counter() - begun > LIMIT_S:
                raise SystemExit(f"make serve did not answer (exit status {process.returncode})")
            time.sleep(0.2)
        return time.perf_counter() - begun
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=60)


def answers() -> bool:
    """Return whether the service gives a prediction."""
    body = json.dumps({"texts": ["It is a lie."]}).encode()
    request = urllib.request.Request(f"{URL}/predict", body, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def size_of(folder: Path) -> float:
    """Return megabytes on disk."""
    return sum(path.lstat().st_size for path in folder.rglob("*")) / 1e6


if __name__ == "__main__":
    main()
