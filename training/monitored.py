"""Recorded predictions: what a service with ``--monitor`` wrote, read back as a window of time."""

import datetime
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from serving.errors import DataError


class Record(BaseModel):
    """One recorded prediction; ``timestamp`` is the server's local time."""

    timestamp: datetime.datetime
    label: str
    confidence: float
    characters: int
    model: str
    text_hash: str


@dataclass(frozen=True, slots=True)
class Window:
    """From when to when, both in local time; open where None."""

    since: datetime.datetime | None = None
    until: datetime.datetime | None = None

    def holds(self, moment: datetime.datetime) -> bool:
        """Whether the moment is in it; the end is not."""
        return (self.since is None or moment >= self.since) and (self.until is None or moment < self.until)

    def __str__(self) -> str:
        """Say it."""
        since = f" from {self.since:%Y-%m-%d %H:%M}" if self.since else ""
        until = f" until {self.until:%Y-%m-%d %H:%M}" if self.until else ""
        return f"predictions{since}{until}" if since or until else "all recorded predictions"


def find_logs(paths: Sequence[Path]) -> list[Path]:
    """Return the data files among files and folders, rotated ones too.

    Raises:
        DataError: there are none.
    """
    found: list[Path] = []
    for path in paths:
        found += sorted(path.rglob("data.*.log*")) if path.is_dir() else [path] if path.exists() else []
    if not found:
        places = ", ".join(map(str, paths))
        raise DataError(f"{places}: expected recorded predictions, found none: `stance serve --monitor` writes them.")
    return found


def read_window(logs: Sequence[Path], window: Window, *, model: str) -> tuple[list[Record], int]:
    """Return the records of a model in a window, each text once, as it was predicted first, and how many repeated a text.

    Raises:
        DataError: a file cannot be read, or there are no such records; names the models that there are.
    """
    inside = [record for path in logs for record in _records(path) if window.holds(record.timestamp.replace(tzinfo=None))]
    own = sorted((record for record in inside if record.model == model), key=lambda record: record.timestamp)
    if not own:
        others = ", ".join(f"{name} ({count})" for name, count in Counter(record.model for record in inside).most_common())
        raise DataError(f"{window}: expected those of {model}, found {others or 'none'}; --model names another.")
    first: dict[str, Record] = {}
    for record in own:
        first.setdefault(record.text_hash, record)
    return list(first.values()), len(own) - len(first)


def _records(path: Path) -> Iterator[Record]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or 'not UTF-8'}).") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield Record.model_validate(json.loads(line))
        except (ValueError, ValidationError):
            if number == len(lines):  # being written, or cut off by a kill
                continue
            raise DataError(f"{path}:{number}: expected a recorded prediction, found something else.") from None
