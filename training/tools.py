"""The exports of labelling tools: told from their shape, read into annotations.

Only what a person submitted is a vote. Model suggestions (Label Studio predictions, Argilla suggestions), drafts, cancelled,
rejected, ignored and skipped work is none.

Sources: label-studio-sdk ``converter`` (JSON, JSON-MIN, CSV), Argilla ``records/_io`` (``to_json``, ``to_datasets``), Prodigy's
annotation interfaces (``db-out``), doccano ``data_export`` (JSONL; a zip with a file per user).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from serving.errors import DataError
from training.annotations import Export, Item, Vote

_LABEL_STUDIO_COLUMNS = {"annotation_id", "annotator", "created_at", "lead_time", "updated_at"}
_ANSWERS = {"accept", "reject", "ignore"}
_RESPONSES = ".responses"


@dataclass(frozen=True, slots=True)
class Numbered:
    """An object of a file and its place there: a line, row or position, counted from 1, after the name of the file in a zip."""

    where: str
    cells: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Names:
    """Where the person says that text and label are, the known labels, and the file for error messages."""

    file: str
    text: str
    label: str
    labels: frozenset[str]


def read_export(objects: Sequence[Numbered], names: Names, *, kind: str) -> Export | None:
    """Return the export that these objects of a ``kind`` of file (its suffix) are, or None where they are of no known tool.

    Raises:
        DataError: it is an export from which text or label cannot be told; says what to name.
    """
    first = objects[0].cells if objects else {}
    if isinstance(first.get("data"), dict) and not first.keys().isdisjoint(("annotations", "completions", "predictions")):
        return _label_studio(objects, names)
    if first.keys() >= _LABEL_STUDIO_COLUMNS:
        return _label_studio_table(objects, names, tool=f"Label Studio {'JSON-MIN' if kind == 'json' else kind.upper()}")
    if isinstance(first.get("fields"), dict) and isinstance(first.get("responses"), dict):
        return _argilla(objects, names)
    if any(key.endswith(_RESPONSES) for key in first):
        if kind in ("csv", "tsv"):
            raise DataError(
                f"{names.file}: an Argilla dataset in {kind.upper()}, where lists cannot be told apart: write it"
                " with to_parquet or to_json."
            )
        return _argilla_flat(objects, names)
    if str(first.get("answer")) in _ANSWERS and kind == "jsonl":
        return _prodigy(objects, names)
    if isinstance(first.get(names.label), list) and "id" in first:
        return _doccano(objects, names, kind=kind)
    return None


def _label_studio(objects: Sequence[Numbered], names: Names) -> Export:
    """Read full JSON: tasks with their annotations; ``predictions`` and ``drafts`` stand beside those and are never read."""
    submitted = [(o, [a for a in o.cells.get("annotations", o.cells.get("completions")) or [] if _stands(a)]) for o in objects]
    questions = {r["from_name"] for _, annotations in submitted for a in annotations for r in _choices(a)}
    question = _one(questions, asked=names.label, names=names, what="choices")
    items = []
    for o, annotations in submitted:
        chosen = [(a, tuple(c for r in _choices(a) if r["from_name"] == question for c in _strings(r))) for a in annotations]
        votes = tuple(Vote(_person(a.get("completed_by")), labels) for a, labels in chosen if labels)
        items.append(Item(o.where, _text(o.cells["data"], names), votes))
    return Export("Label Studio JSON", "task", items)


def _stands(annotation: Mapping[str, Any]) -> bool:
    """Whether the annotation was submitted and not turned down in review (Enterprise), whose last word counts."""
    reviews = annotation.get("reviews") or []
    rejected = bool(reviews) and isinstance(reviews[-1], dict) and reviews[-1].get("accepted") is False
    return not (annotation.get("was_cancelled") or annotation.get("skipped") or rejected)


def _choices(annotation: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [result for result in annotation.get("result") or [] if result.get("type") == "choices"]


def _strings(result: Mapping[str, Any]) -> list[str]:
    return [str(choice) for choice in result["value"].get("choices") or []]


def _person(annotator: object) -> str:
    """Return the email or id of an annotator, or an empty string."""
    if isinstance(annotator, dict):
        annotator = annotator.get("email") or annotator.get("id")
    return "" if annotator is None else str(annotator)


def _label_studio_table(objects: Sequence[Numbered], names: Names, *, tool: str) -> Export:
    """Read JSON-MIN and CSV: a row an annotation, its choice in a column named by the control.

    Cancelled ones are not there; neither is what a review said, so that a rejected one cannot be told.
    """
    column = _label_column(objects, names)
    by_task: dict[object, list[Numbered]] = {}
    for o in objects:
        by_task.setdefault(o.cells.get("id") or o.where, []).append(o)
    items = []
    for rows in by_task.values():
        votes = [Vote(_person(o.cells.get("annotator")), _cell(o.cells.get(column))) for o in rows]
        items.append(Item(rows[0].where, _text(rows[0].cells, names), tuple(vote for vote in votes if vote.labels)))
    return Export(tool, "task", items)


def _label_column(objects: Sequence[Numbered], names: Names) -> str:
    """Return the column of that name, or else the one that holds more known labels than any other."""
    found = {key for o in objects for key in o.cells} - _LABEL_STUDIO_COLUMNS - {names.text, "id", "agreement", "history"}
    if names.label in found:
        return names.label
    known = {key: sum(str(o.cells.get(key)) in names.labels for o in objects) for key in sorted(found)}
    best = max(known, key=lambda key: known[key], default=None)
    if best is None or not known[best] or list(known.values()).count(known[best]) > 1:
        raise DataError(_unclear(names, "a column with labels", sorted(found)))
    return best


def _cell(value: object) -> tuple[str, ...]:
    """Return the choices in a cell: one as it is, several as JSON that lists them."""
    if isinstance(value, str) and value.startswith('[{"choices"'):
        value = json.loads(value)
    if isinstance(value, list):
        return tuple(choice for part in value if isinstance(part, dict) for choice in _listed(part.get("choices") or []))
    return (str(value),) if value not in (None, "") else ()


def _argilla(objects: Sequence[Numbered], names: Names) -> Export:
    """Read ``to_json``: fields, and responses by question; ``suggestions`` are never read.

    Since a response does not say there whether it was submitted, only records that are completed count, which have at least one
    that was; where their responses differ, it cannot be told which are drafts, so none is a vote.
    """
    questions = {question for o in objects for question in o.cells["responses"]}
    question = _one(questions, asked=names.label, names=names, what="questions")
    items = []
    for o in objects:
        responses = o.cells["responses"].get(question) or []
        text, users = _text(o.cells["fields"], names), [_person(r.get("user_id")) for r in responses]
        values, statuses = [r.get("value") for r in responses], [r.get("status") for r in responses]
        if any(statuses):
            items.append(Item(o.where, text, _submitted(values, users, statuses)))
        elif "status" not in o.cells and responses:
            raise DataError(
                f"{names.file}:{o.where}: expected a status of the record or of its responses, found neither, so drafts cannot be"
                " told from submitted ones: export the dataset with to_datasets instead."
            )
        else:
            votes = _submitted(values, users, ["submitted"] * len(values)) if o.cells.get("status") == "completed" else ()
            unclear = "responses differ, and records JSON does not say which were submitted: export with to_datasets"
            differ = len({vote.labels for vote in votes}) > 1
            items.append(Item(o.where, text, () if differ else votes, unclear if differ else ""))
    return Export("Argilla records", "record", items)


def _argilla_flat(objects: Sequence[Numbered], names: Names) -> Export:
    """Read ``to_datasets``: QUESTION.responses, QUESTION.responses.users and QUESTION.responses.status are lists side by side."""
    questions = {key.removesuffix(_RESPONSES) for o in objects for key in o.cells if key.endswith(_RESPONSES)}
    question = _one(questions, asked=names.label, names=names, what="questions")
    items = []
    for o in objects:
        values, users, statuses = (o.cells.get(f"{question}{_RESPONSES}{end}") or [] for end in ("", ".users", ".status"))
        items.append(Item(o.where, o.cells.get(names.text), _submitted(values, [_person(u) for u in users], statuses)))
    return Export("Argilla dataset", "record", items)


def _submitted(values: Sequence[Any], users: Sequence[str], statuses: Sequence[Any]) -> tuple[Vote, ...]:
    found = zip(values, users, statuses, strict=True)
    return tuple(Vote(user, _listed(value)) for value, user, status in found if status == "submitted" and value)


def _listed(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else (str(value),)


def _prodigy(objects: Sequence[Numbered], names: Names) -> Export:
    """Read ``db-out``: binary (a ``label`` that was accepted) and choice (``accept`` lists options); a line an annotation.

    A rejected label says what a text is not, which is no label to train on.
    """
    by_text: dict[object, list[Numbered]] = {}
    for o in objects:
        by_text.setdefault(o.cells.get("_input_hash") or o.cells.get(names.text), []).append(o)
    items = []
    for rows in by_text.values():
        accepted = [o.cells for o in rows if o.cells.get("answer") == "accept"]
        votes = [Vote(_person(c.get("_annotator_id") or c.get("_session_id")), _accepted(c, names)) for c in accepted]
        items.append(Item(rows[0].where, rows[0].cells.get(names.text), tuple(vote for vote in votes if vote.labels)))
    return Export("Prodigy JSONL", "task", items)


def _accepted(cells: Mapping[str, Any], names: Names) -> tuple[str, ...]:
    """Return the ids of the chosen options (the text of one whose id is a number), or the label of a binary task."""
    if "options" not in cells:
        label = cells.get(names.label)
        return (str(label),) if label else ()
    shown = {o["id"]: o["id"] if isinstance(o["id"], str) else o.get("text", o["id"]) for o in cells["options"]}
    return tuple(str(shown.get(choice, choice)) for choice in cells.get("accept") or [])


def _doccano(objects: Sequence[Numbered], names: Names, *, kind: str) -> Export:
    """Read JSONL: ``label`` lists what was chosen; a file of a zip is a user's, and the same id in several is the same text."""
    by_id: dict[object, list[Numbered]] = {}
    for o in objects:
        by_id.setdefault(o.cells.get("id"), []).append(o)
    items = []
    for rows in by_id.values():
        chosen = [(o.where.rpartition(".jsonl:")[0], _listed(o.cells.get(names.label) or [])) for o in rows]
        votes = tuple(Vote(user, labels) for user, labels in chosen if labels)
        items.append(Item(rows[0].where, rows[0].cells.get(names.text), votes))
    return Export(f"doccano {kind.upper()}", "example", items)


def _text(data: Mapping[str, Any], names: Names) -> object:
    """Return what stands under the text's name, or else the only string there is."""
    if names.text in data:
        return data[names.text]
    strings = [value for value in data.values() if isinstance(value, str)]
    if len(strings) != 1:
        raise DataError(_unclear(names, f"a text under {names.text!r}", sorted(data), option="--text-column"))
    return strings[0]


def _one(found: Iterable[str], *, asked: str, names: Names, what: str) -> str:
    """Return the one that was asked for, or the only one."""
    several = sorted(set(found))
    if asked in several or not several:
        return asked
    if len(several) > 1:
        raise DataError(_unclear(names, f"{what} named {asked!r}", several))
    return several[0]


def _unclear(names: Names, expected: str, found: Sequence[str], *, option: str = "--label-column") -> str:
    return f"{names.file}: expected {expected}, found {', '.join(map(repr, found)) or 'none'}; name yours with {option}."
