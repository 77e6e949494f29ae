"""What is wrong with labelled files, row by row: everything is told, nothing is changed."""

import csv
import io
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.base import packaged_tokenizer
from training.config import read_config
from training.language import foreign
from training.rows import Defect, Judged, LabelledRow, Place, counts, judge, normal_form, unique_rows
from training.sets import Reserved
from training.sources import Columns, read_source
from training.split import group_near_duplicates
from training.task import Task

MIN_CLASS_ROWS = 20
"""Rows below which a label has hardly two in each of validation and test, so that its recall says nothing."""

_TAIL = "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(0x80, 0xC0))
_MOJIBAKE = re.compile(f"[\u00c2\u00c3][{_TAIL}]|\u00e2[{_TAIL}]{{2}}|\u00f0[{_TAIL}]{{3}}")
"""What the bytes of accented letters, quotes, dashes and emoji look like when UTF-8 is read as Windows-1252."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The defects in file order, the rows that training would take, and how many rows there were.

    ``unusable`` are those of the defects that say that a row has no text or no label that could be trained on. The others speak
    of rows that can be used, or that are to be left out (repeats, reserved texts).
    """

    defects: list[Defect]
    rows: list[LabelledRow]
    places: int
    unusable: list[Defect]


def check_files(files: Sequence[Path], *, task: Task, columns: Columns, tell: Callable[[str], object]) -> Checked:
    """Check every row by itself, then all of them together and against the sets that the task reserves.

    ``tell`` takes a line for each file that is a labelling tool's export.

    Raises:
        DataError: a file cannot be read at all.
    """
    labels, config = task.label_names, read_config()
    found: list[Judged] = []
    defects: list[Defect] = []
    for path in files:
        source = read_source(path, labels=labels, columns=columns)
        if source.export:
            tell(f"{path}: {source.export}")
        found += judge(source.cells, labels=labels, columns=source.columns)
        settle = "Settle it in the labelling tool; until then it is left out."
        for cells in source.undecided:
            value = str(cells.cells["label"])
            defects.append(Place.of(cells.where).defect("label", value=value, problem=cells.fault, suggestion=settle))
    with_text = [judged for judged in found if judged.text.strip()]
    defects += [defect for judged in found for defect in judged.defects]
    repeats = list(_repeats(with_text, near_duplicate=config.split.near_duplicate))
    unusable = [*defects, *(defect for defect in repeats if defect.problem.startswith(_CONFLICT))]
    defects += _texts(with_text, max_length=config.model.max_length)
    defects += repeats
    reserved = Reserved.of(task, labels=labels)
    defects += _reserved(with_text, reserved, near_duplicate=config.split.near_duplicate)
    apart, _ = reserved.apart([judged.row for judged in found if judged.row], near_duplicate=config.split.near_duplicate)
    rows = unique_rows(apart).rows
    order = {str(path): number for number, path in enumerate(files)}
    defects.sort(key=lambda d: (order.get(d.file, len(order)), d.file, d.row or 0))
    return Checked([*defects, *_small_classes(rows, task, files=files)], rows, len(found), unusable)


def _texts(found: Sequence[Judged], *, max_length: int) -> Iterator[Defect]:
    """Yield what is wrong with a text by itself; bytes that are no UTF-8 are told already."""
    encoded = packaged_tokenizer(max_length=10**9).encode([judged.text for judged in found])
    for judged, tokens in zip(found, encoded, strict=True):
        told = {"value": judged.text}
        if damage := _damage(judged.text):
            yield judged.place.defect("text", **told, problem=damage[0], suggestion=damage[1])
        if len(tokens.ids) > max_length:
            problem = f"the model reads {max_length} tokens, found {len(tokens.ids)}"
            yield judged.place.defect("text", **told, problem=problem, suggestion="Label its sentences one by one.")
        if language := foreign(judged.text):
            suggestion = "Take it out, or translate it."
            yield judged.place.defect("text", **told, problem=f"expected English, found {language}", suggestion=suggestion)


def _damage(text: str) -> tuple[str, str] | None:
    """Return what a wrong encoding did to a text before it came into the file, and what to do."""
    if "\ufeff" in text:
        return "a byte order mark within the text", "Take it out; it comes from joining files."
    if "\ufffd" in text:
        return "characters that an earlier conversion lost (U+FFFD)", "Copy the text from where it came from."
    if re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", text):
        return "a control character within the text", "Take it out."
    mended = _MOJIBAKE.sub(lambda found: _mended(found[0]), text)
    return None if mended == text else ("UTF-8 that was read as Windows-1252", f"Meant is {mended[:80]!r}.")


def _mended(text: str) -> str:
    """Return what the characters were before they were read wrongly, or the characters."""
    data = b"".join(letter.encode("cp1252", "ignore") or letter.encode("latin-1", "ignore") for letter in text)
    return data.decode("utf-8", "ignore") or text


_SAME, _CONFLICT, _NEAR = "repeats", "has another label than", "nearly repeats"


def _repeats(found: Sequence[Judged], *, near_duplicate: float) -> Iterator[Defect]:
    """Yield texts that stand there before, whatever their case and punctuation, with other labels, or nearly."""
    same: dict[str, list[Judged]] = defaultdict(list)
    for judged in found:
        same[normal_form(judged.text)].append(judged)
    for group in same.values():
        labels = {judged.row.label for judged in group if judged.row}
        if len(labels) > 1:
            yield from _conflicts(group)
        else:
            for judged in group[1:]:
                yield _against(judged, group[0], problem=_SAME, suggestion="One is enough.")
    first = [group[0] for group in same.values()]
    if not first:
        return
    groups = group_near_duplicates([judged.text for judged in first], threshold=near_duplicate)
    leaders: dict[int, Judged] = {}
    for judged, number in zip(first, groups, strict=True):
        leader = leaders.setdefault(int(number), judged)
        if leader is not judged:
            yield _against(judged, leader, problem=_NEAR, suggestion="Keep the better one, unless both are wanted.")


def _conflicts(group: Sequence[Judged]) -> Iterator[Defect]:
    labelled = [(judged, judged.row.label) for judged in group if judged.row]
    for judged, label in labelled:
        other, its = next((o, its) for o, its in labelled if its != label)
        yield _against(judged, other, problem=_CONFLICT, suggestion=f"Decide: {label} or {its}.", column="label")


def _against(judged: Judged, other: Judged, *, problem: str, suggestion: str, column: str = "text") -> Defect:
    place = f"row {other.place.number}" if other.place.file == judged.place.file else f"{other.place.file}:{other.place.number}"
    what = f"{problem} the same text in {place}" if problem == _CONFLICT else f"{problem} {place}"
    return judged.place.defect(column, value=judged.text, problem=what, suggestion=suggestion)


def _reserved(found: Sequence[Judged], reserved: Reserved, *, near_duplicate: float) -> Iterator[Defect]:
    """Yield texts that are reserved for testing or calibration; near ones of the frozen test set too."""
    known = {normal_form(text): name for name, texts in reversed(reserved.named.items()) for text in texts}
    near = reserved.near_frozen([judged.text for judged in found], near_duplicate=near_duplicate)
    for judged, like in zip(found, near, strict=True):
        name = known.get(normal_form(judged.text))
        problem = f"repeats a text of the {name}" if name else "nearly repeats a text of the frozen test set"
        if name or like:
            yield judged.place.defect("text", value=judged.text, problem=problem, suggestion="It is kept out of training.")


def _small_classes(rows: Sequence[LabelledRow], task: Task, *, files: Sequence[Path]) -> Iterator[Defect]:
    for label, count in counts(rows, task.label_names).items():
        if count < MIN_CLASS_ROWS:
            problem = f"expected at least {MIN_CLASS_ROWS} rows of {label}, found {count}"
            yield Defect(", ".join(map(str, files)), None, "label", label, problem, f"Label {MIN_CLASS_ROWS - count} more.")


def as_csv(defects: Sequence[Defect]) -> str:
    """Return the defects as CSV with a header."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([Defect._fields, *(map(_printable, defect) for defect in defects)])
    return text.getvalue()


def as_json_lines(defects: Sequence[Defect]) -> str:
    """Return the defects as JSON Lines."""
    return "".join(json.dumps(defect._asdict()) + "\n" for defect in defects)


def print_defects(defects: Sequence[Defect]) -> None:
    """Print the defects on stdout as a table: within a terminal's width, else a line each."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not defects:
        return
    table = Table(*Defect._fields)
    for defect in defects:
        table.add_row(*(Text(str(_printable(cell)).replace("\n", " ")) for cell in defect))
    console = Console()
    if not console.is_terminal:
        console = Console(width=100_000)
    console.print(table)


def _printable(cell: object) -> object:
    return cell.encode("utf-8", "replace").decode() if isinstance(cell, str) else "" if cell is None else cell
