"""The rows that made a model: kept in it, so that the next one can be refitted on all of them and nothing is forgotten.

A model trained on other rows than the task's corpus would else be the last to know them, and nobody could say later what it was
tested on.
"""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

from serving.artifact import ROWS
from serving.errors import ArtifactError
from training.config import read_config
from training.rows import LabelledRow, Unique
from training.sets import Reserved, own_corpus
from training.task import Task


def write_rows(folder: Path, rows: Sequence[LabelledRow], *, guards: Sequence[LabelledRow], teacher: str) -> None:
    """Write the rows, in their order, into an artifact that takes shape; the column ``teacher`` is kept beside them."""
    lines = [_line(row, teacher=teacher) for row in rows] + [{**_line(row, teacher=teacher), "guard": True} for row in guards]
    content = "".join(json.dumps(line) + "\n" for line in lines).encode("utf-8")
    (folder / ROWS).write_bytes(gzip.compress(content, mtime=0))  # the same rows give the same bytes


def _line(row: LabelledRow, *, teacher: str) -> dict[str, object]:
    kept = {teacher: row.extra[teacher]} if row.extra.get(teacher) is not None else {}
    return {"text": row.text, "label": row.label, **kept}


def read_rows_of(folder: Path) -> Unique | None:
    """Return the rows in a stored model, guards as contradictions; None where it holds none, as one for serving only.

    Raises:
        ArtifactError: the file is damaged.
    """
    path = folder / ROWS
    if not path.is_file():
        return None
    rows: list[LabelledRow] = []
    guards: list[LabelledRow] = []
    try:
        for number, line in enumerate(gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")[:-1], 1):
            cells = json.loads(line)
            kept = guards if cells.pop("guard", False) else rows
            text, label = cells.pop("text"), cells.pop("label")
            kept.append(LabelledRow(text=text, label=label, where=f"{ROWS}:{number}", extra=cells))
    except (OSError, EOFError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise ArtifactError(f"{path}: expected the rows that made the model, found something else ({error!r}).") from None
    return Unique(rows=rows, repeats=[], contradictions=guards)


def rows_behind(folder: Path, task: Task) -> tuple[Unique, Reserved]:
    """Return the rows that made a model, or the task's corpus where it does not hold them, and what the task reserves.

    Raises:
        ArtifactError: the rows that the model holds are damaged.
        DataError: it holds none and the task names no corpus, or a file cannot be read.
    """
    found = read_rows_of(folder)
    if found is None:
        return own_corpus(task, labels=task.label_names)
    reserved = Reserved.of(task, labels=task.label_names)
    kept, _ = reserved.apart(found.rows, near_duplicate=read_config().split.near_duplicate)  # of what is reserved now
    return Unique(rows=kept, repeats=[], contradictions=found.contradictions), reserved
