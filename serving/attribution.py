"""Who a sentence says is speaking, by the sentence's own words alone: the cue, and the phrase that names the speaker.

A cue that closes or interrupts what is said ("..., the minister said.") decides before one that opens it, since it covers the whole
sentence; "according to" before either. Of several cues of one kind the first does: who tells, not who is told of.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from serving import cues
from serving.phrases import Kind, Span, Token, following, name, subject

MOST_INSERTIONS = 3
MOST_CUES = 12
"""Cues of one sentence that are looked at: a sentence of nothing else must cost no more."""
_CLOSERS = frozenset(".!?;:")
_BREAKS = frozenset(",;:()—–-")
_NEEDS_QUOTATION = frozenset("began begin begins continue continues continued read reads went".split())
_NEEDS_THAT = frozenset("held hold holds saw sees see knew know knows understood understand understands felt feel feels".split())
_CALLED_ELSE = frozenset("off up in out upon".split())
_HYPOTHETICAL = frozenset("if whether unless when whenever who which that whom whose what how why where because".split())
_ADDING = frozenset("adding saying asking writing warning arguing insisting declaring exclaiming shouting concluding".split())
_OF_VIEW = frozenset("view views opinion words eyes judgment judgement account".split())


@dataclass(frozen=True, slots=True)
class Attribution:
    """Where a speaker is named or stands as a pronoun (``phrase``), and where the cue stands."""

    phrase: Span
    cue: Span
    head: str
    """The last word of the phrase, in small letters."""
    pronoun: bool
    closing: bool
    """The cue closes or interrupts what is said."""


def attribution(tokens: Sequence[Token]) -> Attribution | None:
    """Return who the sentence says is speaking, or none."""
    found = _according(tokens) or _heading(tokens)
    if found is not None:
        return found
    first = None
    for candidate in _candidates(tokens):
        if candidate.closing:
            return candidate
        first = first or candidate
    return first


def _according(tokens: Sequence[Token]) -> Attribution | None:
    """Find "according to X" and "in the view of X"."""
    for index, token in enumerate(tokens[:-2]):
        follower = tokens[index + 1].lower
        if token.lower == "according" and follower == "to":
            begin = index + 2
        elif token.lower in _OF_VIEW and follower == "of" and index > 1 and tokens[index - 2].lower in ("in", "by"):
            index, begin = index - 2, index + 2
        else:
            continue
        words = following(tokens, begin)
        if words:
            return _made(words, (tokens[index].start, tokens[begin - 1].end), closing=True)
    return None


def _heading(tokens: Sequence[Token]) -> Attribution | None:
    """Find "Minister: ..." at the beginning: a short phrase, then a colon, then a quotation or, after a body, anything."""
    for index, token in enumerate(tokens[:6]):
        if not token.is_word:
            if token.text != ":" or not index or index + 1 >= len(tokens):
                return None
            words = subject(tokens[:index])
            if not words or len(words) != index - (tokens[0].lower in cues.STRIPPED and words[0] is not tokens[0]):
                return None
            last = words[-1].lower
            known = last in cues.PERSONS or last in cues.BODIES or words[-1].text[0] == "@"
            quoted = tokens[index + 1].kind is Kind.QUOTATION
            if (known or (quoted and all(word.is_name for word in words))) and not any(_is_cue(tokens, i) for i in range(index)):
                return _made(words, (token.start, token.end), closing=False)
            return None
    return None


def _candidates(tokens: Sequence[Token]) -> Iterator[Attribution]:
    """Yield what each cue of the sentence says, in order."""
    left = MOST_CUES
    for index, token in enumerate(tokens):
        if not token.is_word or not left:
            continue
        found = _by(tokens, index) or _being(tokens, index)
        if found is None and (end := _is_cue(tokens, index)):
            left -= 1
            found = _inverted(tokens, index) or _said(tokens, index, end=end)
        if found is None and token.lower in _ADDING:
            found = _adding(tokens, index)
        if found is not None:
            yield found


def _is_cue(tokens: Sequence[Token], index: int) -> int:
    """Return where a cue that begins here ends, or 0: none does."""
    lower = tokens[index].lower
    after = tokens[index + 1] if index + 1 < len(tokens) else None
    follower = after.lower if after else ""
    if (lower in ("point", "points", "pointed") and follower == "out") or (
        lower in ("took", "takes", "take") and follower in ("issue", "aim")
    ):
        return index + 2
    if lower in ("make", "makes", "made") and "clear" in (follower, tokens[index + 2].lower if index + 2 < len(tokens) else ""):
        return index + 1
    if lower == "let" and follower == "it":
        return index + 1
    if lower not in cues.CUES or follower == "by":
        return 0
    if lower in ("ask", "asks", "asked") and follower == "for":
        return 0
    if lower.startswith("call") and follower in _CALLED_ELSE:
        return 0
    quoted = after is not None and after.kind is Kind.QUOTATION
    if lower in _NEEDS_QUOTATION:
        return index + 1 if quoted or _beside_quotation(tokens, index) else 0
    if lower in _NEEDS_THAT:
        return index + 1 if follower == "that" else 0
    if lower in ("put", "puts"):
        return index + 1 if follower == "it" else 0
    if lower in ("spoke", "speak", "speaks"):
        return index + 1 if follower == "of" or quoted else 0
    if lower in cues.AMBIGUOUS and not (
        quoted or after is None or follower in cues.DETERMINERS or follower in cues.PRONOUNS or not after.is_word or after.is_name
        or follower in ("on", "for", "to", "both", "whether", "how", "why", "parents") or lower.endswith("ed")
    ):
        return 0
    before = tokens[index - 1].lower if index else ""
    if lower in cues.AMBIGUOUS and (before in cues.DETERMINERS | cues.PREPOSITIONS or before.endswith("'s")):
        return 0
    return index + 1


def _beside_quotation(tokens: Sequence[Token], index: int) -> bool:
    return any(token.kind is Kind.QUOTATION for token in tokens[max(0, index - 6) : index + 3])


def _said(tokens: Sequence[Token], index: int, *, end: int) -> Attribution | None:
    """Find the subject before a cue: "X, who was there, has often said"."""
    last = _before_auxiliaries(tokens, index)
    if last is None or last < 0:
        return None
    words = _insertion_subject(tokens, last) if tokens[last].text in (",", ")", "—", "–") else _clause_subject(tokens, last)
    if not words:
        return None
    if tokens[index].lower in cues.FINDING and words[-1].lower not in cues.DOCUMENTS and not words[-1].is_name:
        if words[-1].lower not in cues.IT:
            return None
    first = next(i for i, token in enumerate(tokens) if token is words[0])
    closing = _closes(tokens, index, first)
    alone = index + 1 == len(tokens) or tokens[index + 1].kind is Kind.MARK
    if alone and not closing and tokens[index].lower in cues.AMBIGUOUS:  # "publishes a long report."
        return None
    return _made(words, (tokens[index].start, tokens[end - 1].end), closing=closing)


def _before_auxiliaries(tokens: Sequence[Token], index: int) -> int | None:
    """Return the place of the last token before the verb's group; none where the verb is passive, denied or imagined."""
    place = index - 1
    while place >= 0 and tokens[place].is_word:
        lower = tokens[place].lower
        if lower in cues.BE or lower in cues.MODALS or lower in cues.NEGATIONS or lower == "to":
            return None
        if not (lower in cues.ADVERBS or lower in cues.HAVE or (lower.endswith("ly") and not tokens[place].is_name)):
            return place
        place -= 1
    return place


def _clause_subject(tokens: Sequence[Token], last: int) -> list[Token] | None:
    """Return the subject that ends at a token."""
    first = last
    while first > 0 and tokens[first - 1].is_word:
        first -= 1
    words = list(tokens[first : last + 1])
    if words[0].lower in _HYPOTHETICAL or words[-1].lower in cues.SUBORDINATORS | {"that"}:
        return None
    if any(word.lower in ("if", "whether", "unless") for word in words):
        return None
    return subject(words)


def _insertion_subject(tokens: Sequence[Token], comma: int) -> list[Token] | None:
    """Return the subject of "X, a former envoy, said", where the comma behind the insertion stands at ``comma``."""
    marks = [i for i in range(comma, -1, -1) if tokens[i].text in _BREAKS or tokens[i].kind is Kind.QUOTATION][: MOST_INSERTIONS + 2]
    segments = [(left + 1, right) for left, right in zip([*marks[1:], -1], marks, strict=False) if left + 1 < right]
    if len(segments) < 2:
        return None
    best = None
    for start, stop in segments[1:]:
        words = subject(tokens[start:stop])
        if words and words[-1] is tokens[stop - 1] and tokens[start].lower not in _HYPOTHETICAL:
            best = words
    if best is None:
        return None
    inserted = list(tokens[segments[0][0] : segments[0][1]])
    role = not best[-1].is_name and len(segments) == 2
    return inserted if role and all(token.is_name for token in inserted) else best


def _closes(tokens: Sequence[Token], index: int, first: int) -> bool:
    """Say whether a cue, whose subject begins at ``first``, closes or interrupts what is said."""
    if first == 0 or tokens[first - 1].is_word or tokens[first - 1].text == ":" or tokens[index].lower not in cues.SAYING | cues.THINKING:
        return False
    place = index + 1
    while place < len(tokens) and tokens[place].is_word:
        if tokens[place].lower in ("that", "to") and place == index + 1 and tokens[place].lower == "that":
            return False
        place += 1
    adjunct = tokens[index + 1 : place]
    if len(adjunct) > 8:
        return False
    return not adjunct or adjunct[0].lower in cues.PREPOSITIONS | cues.ADVERBS | cues.NOT_SPEAKERS | {"reporters", "last", "this"} or (
        adjunct[0].lower.endswith(("ly", "ing"))
    ) or _follows_quotation(tokens, first)


def _follows_quotation(tokens: Sequence[Token], first: int) -> bool:
    return tokens[first - 1].kind is Kind.QUOTATION


def _inverted(tokens: Sequence[Token], index: int) -> Attribution | None:
    """Find the subject behind a cue: a quotation, then "said X"; or "..., said X." at the end."""
    if not index or tokens[index].lower not in cues.SAYING:
        return None
    before = tokens[index - 1]
    quoted = before.kind is Kind.QUOTATION or (before.text == "," and index > 1 and tokens[index - 2].kind is Kind.QUOTATION)
    if not quoted and before.text not in (",", "—", "–"):
        return None
    words = following(tokens, index + 1)
    if not words or not (words[0].is_name or words[0].lower in cues.DETERMINERS or words[0].lower == "one" or quoted):
        return None
    rest = next((i for i, token in enumerate(tokens) if token is words[-1])) + 1
    ends = rest >= len(tokens) or not tokens[rest].is_word
    if not quoted and (not ends or (rest < len(tokens) and tokens[rest].text not in ",.")):
        return None
    return _made(words, (tokens[index].start, tokens[index].end), closing=True)


def _adding(tokens: Sequence[Token], index: int) -> Attribution | None:
    """Find "She paused before adding: ..." with a quotation behind it; the subject is a pronoun or a name."""
    behind = tokens[index + 1 : index + 3]
    if not any(token.kind is Kind.QUOTATION for token in behind) or not tokens[0].is_word:
        return None
    last = next(i for i, token in enumerate(tokens) if not (token.is_name or (i == 0 and token.lower in cues.PRONOUNS)))
    pronoun = tokens[0].lower in cues.PRONOUNS
    if not last or (pronoun and last > 1) or not (pronoun or last > 1) or not tokens[last].is_word:
        return None
    return _made(tokens[:last], (tokens[index].start, tokens[index].end), closing=True)


def _by(tokens: Sequence[Token], index: int) -> Attribution | None:
    """Find "was denounced by X"."""
    lower = tokens[index].lower
    if lower not in cues.CUES or index + 2 >= len(tokens) or tokens[index + 1].lower != "by" or not lower.endswith(("ed", "t", "d")):
        return None
    before = [token.lower for token in tokens[max(0, index - 3) : index]]
    if not any(word in cues.BE for word in before) or any(word in cues.NEGATIONS or word in cues.MODALS for word in before):
        return None
    words = following(tokens, index + 2)
    return _made(words, (tokens[index].start, tokens[index + 1].end), closing=False) if words else None


def _being(tokens: Sequence[Token], index: int) -> Attribution | None:
    """Find "X is convinced that" and "X was quoted as saying"."""
    if tokens[index].lower not in cues.LINKING or not index:
        return None
    place = index + 1
    while place < len(tokens) and (tokens[place].lower in cues.ADVERBS or tokens[place].lower in ("very", "deeply", "so")):
        place += 1
    if place >= len(tokens):
        return None
    lower = tokens[place].lower
    after = [token.lower for token in tokens[place + 1 : place + 3]]
    quoted = lower in ("quoted", "cited", "reported") and after == ["as", "saying"]
    if not quoted and lower not in cues.STATIVE:
        return None
    last = index - 1 if tokens[index - 1].text == "," else _before_auxiliaries(tokens, index)
    if last is None or last < 0:
        return None
    words = _insertion_subject(tokens, last) if tokens[last].text == "," else _clause_subject(tokens, last)
    if not words or (len(words) == 1 and words[0].lower in cues.IT):
        return None
    return _made(words, (tokens[place].start, tokens[place + 2 if quoted else place].end), closing=False)


def _made(words: Sequence[Token], cue: Span, *, closing: bool) -> Attribution:
    phrase = name(words)
    pronoun = len(words) == 1 and words[0].lower in cues.PRONOUNS
    return Attribution(phrase, cue, words[-1].lower, pronoun=pronoun, closing=closing)
