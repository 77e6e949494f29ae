"""Finds what stands in quotation marks, over the ends of sentences, in one pass."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

Span = tuple[int, int]

MOST_CHARACTERS = 3000
"""A quotation that is longer was opened by a mark that is none."""
PAIRS = {"“": "”", "„": "“”", "«": "»", "「": "」", "『": "』", "‘": "’", '"': '"', "'": "'", "”": "”"}
SINGLE = "‘'"


@dataclass(frozen=True, slots=True)
class Quotation:
    """What stands in quotation marks; ``start`` and ``end`` include them."""

    start: int
    end: int
    paragraph: int
    goes_on: bool
    """No mark closes it: the next paragraph opens it again."""


def quotations(text: str, spans: Sequence[Span]) -> list[Quotation]:
    """Return the outermost quotations in order. ``spans`` are the sentences; a quotation ends with its paragraph."""
    return [found for number, span in enumerate(paragraphs(text, spans)) for found in _within(text, span, number)]


def paragraphs(text: str, spans: Sequence[Span]) -> list[Span]:
    """Return the paragraphs: sentences with no line break between them."""
    if not spans:
        return []
    starts = [spans[0][0]]
    ends = []
    for (_, end), (start, _) in pairwise(spans):
        if any(character in text[end:start] for character in "\n\r\u2028\u2029"):
            ends.append(end)
            starts.append(start)
    return list(zip(starts, [*ends, spans[-1][1]], strict=True))


def _within(text: str, paragraph: Span, number: int) -> Iterator[Quotation]:
    begun, closing = -1, ""
    start, end = paragraph
    for place in range(start, end):
        character = text[place]
        if begun < 0:
            if character in PAIRS and _opens(text, place, start):
                begun, closing = place, PAIRS[character]
        elif character in closing and _closes(text, place, end):
            yield Quotation(begun, place + 1, number, goes_on=False)
            begun = -1
        elif place - begun > MOST_CHARACTERS:
            begun = -1
    if begun >= 0 and text[begun] not in SINGLE:
        yield Quotation(begun, end, number, goes_on=True)


def _opens(text: str, place: int, start: int) -> bool:
    before = text[place - 1] if place > start else " "
    after = text[place + 1 : place + 2]
    if text[place] == "”":  # some write the closing mark at both ends
        return not (before.isalnum() or before in ".,!?;:…”)]") and after.isalnum()
    if text[place] in SINGLE or text[place] == '"':
        return not before.isalnum() and before not in ".,!?;" and bool(after) and not after.isspace()
    return True


def _closes(text: str, place: int, end: int) -> bool:
    after = text[place + 1] if place + 1 < end else " "
    if text[place] in "’'":  # else it is an apostrophe
        return not after.isalnum()
    return True
