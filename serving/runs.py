"""The diary of a model store: ``runs.jsonl``, one line a run, in the order in which they ended."""

import datetime
import fcntl
import json
import os
from pathlib import Path
from typing import Any

from serving import registry


def diary() -> Path:
    """Return where it stands: beside the store and the champion pointer."""
    return registry.home() / "runs.jsonl"


def record(line: dict[str, Any]) -> None:
    """Add a line, whole or not at all; once this returns, it outlives a kill and a loss of power."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    content = json.dumps({"ended": now, **line}, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
    diary().parent.mkdir(parents=True, exist_ok=True)
    with diary().open("a+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if _torn(file.fileno()):
            content = b"\n" + content
        file.write(content)  # one call on a file opened for appending: no other line comes between
        os.fsync(file.fileno())


def recorded() -> list[dict[str, Any]]:
    """Return every line, oldest first, but for one that a full disk or a loss of power cut short."""
    try:
        lines = diary().read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return [line for line in found if isinstance(line, dict)]


def _torn(descriptor: int) -> bool:
    """Say whether the file ends within a line."""
    size = os.fstat(descriptor).st_size
    return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
