"""Who a sentence says is speaking, by the sentence's own words alone: the cue, and the phrase that names the speaker.

A cue that closes or interrupts what is said ("..., the minister said.") decides before one that opens it, since it covers the
whole sentence; "according to" before either. Of several cues of one kind the first does: who tells, not who is told of.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from serving import cues
from serving.phrases import Kind, Span, Token, following, head, is_plural, name, subject
from serving.verbs import cue_end

MOST_INSERTIONS = 3
MOST_CUES = 12
"""Cues of one sentence that are looked at: a sentence of nothing else must cost no more."""
MOST_ADJUNCT = 8
"""Words behind a closing cue: "..., she told reporters in the capital on Monday"."""
_ADJUNCTS = cues.PREPOSITIONS | cues.ADVERBS | cues.NOT_SPEAKERS | {"reporters", "last", "this"}
_BREAKS = frozenset(",;:()—–-")


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
        elif token.lower in cues.VIEW and follower == "of" and index > 1 and tokens[index - 2].lower in ("in", "by"):
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
            if not words or len(words) != index - (tokens[0].lower in cues.ARTICLES and words[0] is not tokens[0]):
                return None
            last = words[-1].lower
            known = last in cues.PERSONS or last in cues.BODIES - cues.PAPERS or words[-1].text[0] == "@"
            quoted = tokens[index + 1].kind is Kind.QUOTATION
            if (known or (quoted and all(word.is_name for word in words))) and not any(cue_end(tokens, i) for i in range(index)):
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
        if found is None and (end := cue_end(tokens, index)):
            left -= 1
            found = _inverted(tokens, index) or _said(tokens, index, end=end)
        if found is None and token.lower in cues.ADDING:
            found = _adding(tokens, index)
        if found is not None:
            yield found


def _said(tokens: Sequence[Token], index: int, *, end: int) -> Attribution | None:
    """Find the subject before a cue: "X, who was there, has often said"."""
    last = _before_auxiliaries(tokens, index)
    if last is None or last < 0:
        return None
    words = _insertion_subject(tokens, last) if tokens[last].text in (",", ")", "—", "–") else _clause_subject(tokens, last)
    if not words:
        return None
    if tokens[index].lower in cues.FINDING and not _can_find(words):
        return None
    if tokens[index].lower in cues.PLURAL_FORMS and not is_plural(words):
        return None
    first = next(i for i, token in enumerate(tokens) if token is words[0])
    closing = _closes(tokens, index, first)
    behind = tokens[index + 1].text if index + 1 < len(tokens) else "."
    intransitive = tokens[index].lower in cues.AMBIGUOUS | cues.SAYING - cues.THINKING - cues.JUDGING
    if behind and behind in ".!?;" and intransitive and not closing:  # "She sighed." and "publishes a long report."
        return None
    return _made(words, (tokens[index].start, tokens[end - 1].end), closing=closing)


def _can_find(words: Sequence[Token]) -> bool:
    """Say whether a subject is a document or a body that can have found something."""
    return all(word.is_name for word in words) or head(words) in cues.DOCUMENTS | cues.IT


def _before_auxiliaries(tokens: Sequence[Token], index: int) -> int | None:
    """Return the place of the last token before the verb's group; none where the verb is passive, denied or imagined."""
    place = index - 1
    while place >= 0 and tokens[place].is_word:
        lower = tokens[place].lower
        if lower in cues.BE or lower in cues.MODALS or lower in cues.NEGATIONS or lower == "to" or lower.endswith("n't"):
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
    if words[0].lower in cues.HYPOTHETICAL or words[-1].lower in cues.SUBORDINATORS | {"that"}:
        return None
    if any(word.lower in ("if", "whether", "unless") for word in words):
        return None
    return subject(words)


def _insertion_subject(tokens: Sequence[Token], comma: int) -> list[Token] | None:
    """Return the subject of "X, a former envoy, said", where the comma behind the insertion stands at ``comma``."""
    marks = [i for i in range(comma, -1, -1) if tokens[i].text in _BREAKS or tokens[i].kind is Kind.QUOTATION][
        : MOST_INSERTIONS + 2
    ]
    segments = [(left + 1, right) for left, right in zip([*marks[1:], -1], marks, strict=False) if left + 1 < right]
    if len(segments) < 2:
        return None
    best = None
    for start, stop in segments[1:]:
        words = subject(tokens[start:stop])
        if words and words[-1] is tokens[stop - 1] and tokens[start].lower not in cues.HYPOTHETICAL:
            best = words
    if best is None:
        return None
    inserted = list(tokens[segments[0][0] : segments[0][1]])
    role = not best[-1].is_name and len(segments) == 2
    return inserted if role and all(token.is_name for token in inserted) else best


def _closes(tokens: Sequence[Token], index: int, first: int) -> bool:
    """Say whether a cue, whose subject begins at ``first``, closes or interrupts what is said."""
    opener = first - 2 if first > 1 and tokens[first - 1].lower == "as" else first - 1
    if opener < 0 or tokens[opener].is_word or tokens[opener].text == ":":
        return False
    if tokens[index].lower not in cues.SAYING | cues.THINKING:
        return False
    place = index + 1
    while place < len(tokens) and tokens[place].is_word:
        place += 1
    adjunct = tokens[index + 1 : place]
    if not adjunct:
        return True
    if len(adjunct) > MOST_ADJUNCT or adjunct[0].lower == "that":
        return False
    lead = adjunct[0].lower
    return lead in _ADJUNCTS or lead.endswith(("ly", "ing")) or tokens[opener].kind is Kind.QUOTATION


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
    if (
        lower not in cues.CUES
        or index + 2 >= len(tokens)
        or tokens[index + 1].lower != "by"
        or not lower.endswith(("ed", "t", "d"))
    ):
        return None
    before = [token.lower for token in tokens[max(0, index - 3) : index]]
    if not any(word in cues.BE for word in before) or any(
        word in ("being", "be") or word in cues.NEGATIONS or word in cues.MODALS for word in before
    ):
        return None
    words = following(tokens, index + 2)
    if not words or not (words[0].is_name or words[0].lower in cues.DETERMINERS or is_plural(words)):  # "by telephone"
        return None
    return _made(words, (tokens[index].start, tokens[index + 1].end), closing=False)


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
