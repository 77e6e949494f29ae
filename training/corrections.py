"""Corrections as labelled rows: what the service's store holds, brought to one label a text, apart from what is reserved."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from serving.corrections import Stored
from training.annotations import Vote, majority
from training.config import read_config
from training.rows import LabelledRow
from training.sets import Reserved
from training.task import Task

COLUMNS = ("text", "label", "predicted", "model", "annotators", "received")


@dataclass(frozen=True, slots=True)
class Corrected:
    """The rows that may be trained on, and what is left out: ``ties`` says of each text which labels it has how often.

    ``elsewhere`` counts the corrections of another task or with labels that the task does not have.
    """

    rows: list[LabelledRow]
    ties: list[str]
    reserved: list[LabelledRow]
    elsewhere: int

    def __str__(self) -> str:
        """Say it in one line."""
        left_out = {
            "without a majority": len(self.ties),
            "of reserved texts": len(self.reserved),
            "of another task or label set": self.elsewhere,
        }
        parts = [f"{count} {kind} left out" for kind, count in left_out.items() if count]
        return ", ".join([f"{len(self.rows)} corrected texts", *parts])


def corrected(stored: Iterable[Stored], *, task: Task) -> Corrected:
    """Return one row a text: each annotator's last label counts, and the label that most of them gave.

    Those who gave no name are one annotator. A text that repeats one that the task reserves, or nearly repeats one of its frozen
    test set, is left out. ``stored`` comes in the order in which it was received.

    Raises:
        DataError: a file that the task names cannot be read.
    """
    by_text: dict[str, dict[str, Stored]] = {}
    elsewhere = 0
    for each in stored:
        said = each.correction
        if said.task == task.name and said.label in task.label_names:
            by_text.setdefault(said.text.strip(), {})[said.annotator] = each
        else:
            elsewhere += 1
    rows, ties = [], []
    for votes in by_text.values():
        # A name for those without one: `majority` takes each of them for a person.
        verdict = majority([Vote(name or "(nameless)", (each.correction.label,)) for name, each in votes.items()])
        last = max(votes.values(), key=lambda each: (each.received, each.number))
        if verdict.label is None:
            labels = ", ".join(f"{label} {count}" for label, count in verdict.counts.items())
            ties.append(f"corrections:{last.number}: {verdict.problem} ({labels})")
        else:
            rows.append(_row(last, label=verdict.label, annotators=len(votes)))
    reserved = Reserved.of(task, labels=task.label_names)
    kept, left_out = reserved.apart(rows, near_duplicate=read_config().split.near_duplicate)
    return Corrected(kept, ties, left_out, elsewhere)


def _row(last: Stored, *, label: str, annotators: int) -> LabelledRow:
    said = last.correction
    extra = {"predicted": said.predicted, "model": said.model, "annotators": annotators, "received": last.received}
    return LabelledRow(text=said.text, label=label, where=f"corrections:{last.number}", extra=extra)


def as_csv(rows: Sequence[LabelledRow]) -> str:
    """Return the rows as labelled CSV with a header."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *(_cells(row).values() for row in rows)])
    return text.getvalue()


def as_json_lines(rows: Sequence[LabelledRow]) -> str:
    """Return the rows as labelled JSON Lines."""
    return "".join(json.dumps(_cells(row), ensure_ascii=False) + "\n" for row in rows)


def _cells(row: LabelledRow) -> dict[str, object]:
    return {"text": row.text, "label": row.label, **row.extra}
