"""Annotations: who gave which label to a text, and what the majority says. What labelling tools export is made of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Vote:
    """The labels that one annotator chose for a text; more than one is no vote for any."""

    annotator: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Item:
    """A text that was shown to annotators; ``where`` names its place in the file, ``votes`` holds submitted work alone.

    ``note`` says why it has no vote that can be used although somebody worked on it.
    """

    where: str
    text: object
    votes: tuple[Vote, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Export:
    """What a labelling tool wrote: its name, what it calls an item, the items."""

    tool: str
    unit: str
    items: list[Item]

    def __str__(self) -> str:
        """Say what was found, as "Label Studio JSON, 412 tasks, 9 skipped, 3 annotators"."""
        skipped = sum(not item.votes for item in self.items)
        annotators = {vote.annotator for item in self.items for vote in item.votes if vote.annotator}
        parts = [self.tool, _count(len(self.items), self.unit), f"{skipped} skipped"]
        return ", ".join([*parts, _count(len(annotators), "annotator")] if annotators else parts)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The label of the majority, or None and why there is none; ``counts`` holds the votes for each label, most first."""

    label: str | None
    problem: str = ""
    counts: dict[str, int] = field(default_factory=dict)


def majority(votes: Sequence[Vote]) -> Verdict:
    """Return the label that most annotators chose; each counts once, and one who chose several labels counts for none."""
    chosen: dict[str, set[str]] = {}
    for number, vote in enumerate(votes):
        chosen.setdefault(vote.annotator or f"\0{number}", set()).update(vote.labels)
    counts = Counter(next(iter(labels)) for labels in chosen.values() if len(labels) == 1)
    if not counts:
        found = Counter(label for labels in chosen.values() for label in sorted(labels))
        return Verdict(None, "expected one label a text, found several", dict(found.most_common()))
    ranked = counts.most_common()
    if len(ranked) > 1 and ranked[0][1] == ranked[1][1]:
        return Verdict(None, "a tie between annotators", dict(ranked))
    return Verdict(ranked[0][0], counts=dict(ranked))


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
