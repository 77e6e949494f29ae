"""Cuts a text into sentences with exact offsets, in time that grows with its length alone.

The boundaries are those of sentencex: rules for abbreviations, initials and terminators in many scripts. It is given pieces of
bounded length, since it takes the square of a piece's length where quotation marks do not pair, and without those marks, since it
does not cut inside a quotation. What is done about quotation marks, line ends and overlong sentences stands here.
"""

import re
from collections.abc import Iterator

from sentencex import get_sentence_boundaries

Span = tuple[int, int]
"""Start and end, as Python string indices."""

MOST_CHARACTERS = 1000
"""A longer sentence is cut, at white space where it has some: no model reads so much at once."""
PIECE_CHARACTERS = 8000
WRAPPED_WIDTH = 120
"""A line that is longer than this was not broken to fit a page: its end is the end of a paragraph."""

OPENING = "“„‟‘‚‛«‹「『"
CLOSING = "”’»›」』"
QUOTES = f"\"'{OPENING}{CLOSING}＂"

_LINE = re.compile(r"[^\n\r\x0b\x0c\x85\u2028\u2029]+")
_APOSTROPHE = re.compile(r"(?<=\w)['’](?=\w)")
_BREAK = re.compile(r"\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]")
_HIDDEN = str.maketrans(dict.fromkeys(QUOTES, " ") | {chr(code): "?" for code in range(0xD800, 0xE000)})
_BULLET = re.compile(r"[-–—•*·▪]\s|\(?\w{1,3}[.)]\s")
_NUMBER = re.compile(r"[(\[]?(?:\d{1,3}|[A-Za-z])[.)\]]{1,2}")
_ABBREVIATION = re.compile(r"\b(?:approx|ca|est|incl|resp|vs|cf|paras?|refs?|figs?)\.$", re.IGNORECASE)
_SPEAKER = re.compile(r"(?:(?:[A-Z][\w.'’-]*|of|the|for|de|von|van|al|bin)\s+){1,7}(?:said|asked|wrote|added|told|cried)\b(?!:)")
"""Who asked or exclaimed what stands in the quotation marks before."""


def segment(text: str) -> list[Span]:
    """Return the sentences in order: none is blank or overlaps another, and nothing but white space lies between them."""
    return [span for start, end in _blocks(text) for span in _sentences(text, start, end)]


def _blocks(text: str) -> Iterator[Span]:
    """Yield the paragraphs: lines that were broken to fit a width are one paragraph."""
    start, end, width = 0, 0, 0
    for line in _LINE.finditer(text):
        if not line[0].strip():
            continue
        if end and _separate(text, end, line, width=width):
            yield start, end
            start, width = line.start(), 0
        elif not end:
            start = line.start()
        end, width = line.end(), max(width, len(line[0]))
    if end:
        yield start, end


def _separate(text: str, end: int, line: re.Match[str], *, width: int) -> bool:
    """Say whether a new paragraph begins at this line: after a blank one, at a bullet, or with room on the line before.

    A program that breaks lines to a width leaves no room for the next line's first word.
    """
    gap = text[end : line.start()]
    if len(gap) > 2 or gap not in ("\n", "\r\n", "\r"):
        return True
    content = line[0].lstrip()
    if max(width, len(line[0])) > WRAPPED_WIDTH or _BULLET.match(content):
        return True
    begun = max(text.rfind("\n", max(0, end - WRAPPED_WIDTH), end), text.rfind("\r", max(0, end - WRAPPED_WIDTH), end))
    room = max(width, len(line[0])) - (end - begun - 1)
    return len(content.split(None, 1)[0]) < room


def _sentences(text: str, start: int, end: int) -> Iterator[Span]:
    """Yield the sentences of a paragraph."""
    for piece in _cut(text, start, end, most=PIECE_CHARACTERS):
        begun = piece[0]
        for cut in [*_cuts(text, *piece), piece[1]]:
            if text[begun:cut].strip():
                yield from _cut(text, begun, cut, most=MOST_CHARACTERS)
                begun = cut


def _cut(text: str, start: int, end: int, *, most: int) -> Iterator[Span]:
    """Yield parts of at most so many characters, without white space at their ends."""
    while start < end:
        while start < end and text[start].isspace():
            start += 1
        stop = end
        if end - start > most:
            space = max(text.rfind(space, start + most // 2, start + most) for space in " \t\n")
            stop = space if space > start else start + most
        begun, start = start, stop
        while stop > begun and text[stop - 1].isspace():
            stop -= 1
        if stop > begun:
            yield begun, stop


def _cuts(text: str, start: int, end: int) -> Iterator[int]:
    """Yield where sentences end within a piece, in order."""
    piece = text[start:end]
    if len(piece) < 4:
        return
    begun = 0
    shown = _APOSTROPHE.sub("x", piece).translate(_HIDDEN)
    for boundary in get_sentence_boundaries("en", shown):
        cut = _after_closing(piece, min(boundary["end_index"], len(piece)), begun)
        if begun < cut < len(piece) and not _goes_on(piece[max(begun, cut - 12) : cut], piece[cut : cut + 120].lstrip()):
            yield start + cut
            begun = cut


def _after_closing(piece: str, cut: int, begun: int) -> int:
    """Move a cut behind the terminator and the quotation marks and brackets that stand directly at it."""
    while cut > begun and (piece[cut - 1].isspace() or piece[cut - 1] in QUOTES):
        cut -= 1
    if piece[cut : cut + 2] in (" »", "\u00a0»", "\u202f»"):
        return cut + 2
    while cut < len(piece) and piece[cut] in QUOTES + ")]" and piece[cut] not in OPENING:
        cut += 1
    return cut


def _goes_on(before: str, after: str) -> bool:
    """Say whether a cut lies within a sentence: after a list's number, an abbreviation, or a quotation before its speaker.

    ``before`` is the end of what would be the sentence: enough of it to tell.
    """
    before = before.strip()
    if _NUMBER.fullmatch(before) or _ABBREVIATION.search(before[-8:]):
        return True
    if len(before) < 2 or before[-1] not in QUOTES or before[-2] not in "!?.…":
        return False
    return after[:1].islower() or (before[-2] in "!?" and _SPEAKER.match(after) is not None)
