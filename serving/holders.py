"""Who voices each sentence of an article: what a sentence says itself, quotations that run on, and pronouns.

Rules in one pass, in time that grows with the text alone. Where they cannot tell, there is no holder: a wrong one is worse.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from serving import cues
from serving.attribution import Attribution, attribution
from serving.phrases import Span, Token, tokens_of
from serving.quotations import Quotation, paragraphs, quotations
from serving.schema import Cue, Holder

MEMORY_SENTENCES = 4
"""A pronoun does not reach further back than this to where its holder was last meant."""
REMEMBERED = 6


@dataclass(slots=True)
class _Speaker:
    """A holder that pronouns may mean: where it is named, what may stand for it, and in which sentence it was last meant."""

    phrase: Span
    cue: Span
    pronouns: frozenset[str]
    last: int


@dataclass(frozen=True, slots=True)
class _Found:
    """What is known of one sentence: its holder, and whether it is wholly within quotation marks."""

    speaker: _Speaker | None
    cue: Span | None
    quoted: bool
    """At least in part in quotation marks."""
    within: bool
    paragraph: int


def holders(text: str, spans: Sequence[Span]) -> list[Holder | None]:
    """Return who voices each sentence, or none. ``spans`` are the sentences, in order."""
    found = _Reading(text, spans).read()
    return [_holder(text, each) for each in found]


def _holder(text: str, found: _Found) -> Holder | None:
    if found.speaker is None or found.cue is None:
        return None
    (start, end), (begin, stop) = found.speaker.phrase, found.cue
    cue = Cue(text=text[begin:stop], start=begin, end=stop)
    return Holder(name=text[start:end], start=start, end=end, speech="direct" if found.quoted else "indirect", cue=cue)


class _Reading:
    """One article being read, sentence by sentence."""

    def __init__(self, text: str, spans: Sequence[Span]) -> None:
        self._text = text
        self._spans = spans
        self._quotations = quotations(text, spans)
        self._ends = [quotation.end for quotation in self._quotations]
        self._paragraphs = [end for _, end in paragraphs(text, spans)]
        self._speakers: list[_Speaker] = []

    def read(self) -> list[_Found]:
        """Return what is known of each sentence."""
        found: list[_Found] = []
        for index, span in enumerate(self._spans):
            found.append(self._sentence(index, span, found))
        return self._backwards(found)

    def _sentence(self, index: int, span: Span, before: Sequence[_Found]) -> _Found:
        quoted = self._quoted(span)
        paragraph = bisect_left(self._paragraphs, span[1])
        clipped = [(max(span[0], each.start), min(span[1], each.end)) for each in quoted]
        tokens = tokens_of(self._text, span, clipped)
        within = not any(token.is_word for token in tokens) and bool(quoted)
        said = None if within else attribution(tokens)
        speaker = self._speaker(said, index) if said else None
        cue = said.cue if said else None
        if speaker is None and said is None and quoted and before:
            previous = before[-1]
            if self._runs_on(quoted[0], span, previous, paragraph, within=within):
                speaker, cue = previous.speaker, previous.cue
        if speaker is not None:
            speaker.last = index
        elif said is None and not within:
            self._subject(tokens, index)
        return _Found(speaker, cue, bool(quoted) and (within or said is not None or speaker is not None), within, paragraph)

    def _quoted(self, span: Span) -> list[Quotation]:
        """Return the quotations that reach into a sentence."""
        first = bisect_left(self._ends, span[0] + 1)
        found = []
        for quotation in self._quotations[first:]:
            if quotation.start >= span[1]:
                break
            found.append(quotation)
        return found

    def _runs_on(self, quotation: Quotation, span: Span, previous: _Found, paragraph: int, *, within: bool) -> bool:
        """Say whether a sentence goes on with what the sentence before quotes or reports."""
        if previous.speaker is None:
            return False
        if quotation.start < span[0]:  # begun in an earlier sentence
            return True
        if not within:
            return False
        if paragraph == previous.paragraph:
            return True
        return any(each.goes_on and each.paragraph == previous.paragraph for each in self._quotations_ending(quotation))

    def _quotations_ending(self, quotation: Quotation) -> list[Quotation]:
        place = bisect_left(self._ends, quotation.end)
        return self._quotations[max(0, place - 1) : place]

    def _backwards(self, found: list[_Found]) -> list[_Found]:
        """Give a quotation's first sentences the holder that stands behind its end."""
        for index in range(len(found) - 2, -1, -1):
            here, after = found[index], found[index + 1]
            if here.speaker is None and here.within and after.speaker is not None and self._one_quotation(index):
                found[index] = _Found(after.speaker, after.cue, True, True, here.paragraph)
        return found

    def _one_quotation(self, index: int) -> bool:
        """Say whether one quotation holds the end of a sentence and the beginning of the next."""
        end, start = self._spans[index][1], self._spans[index + 1][0]
        return any(each.start < end and each.end > start for each in self._quoted(self._spans[index]))

    def _speaker(self, said: Attribution, index: int) -> _Speaker | None:
        """Return whom an attribution names, or whom its pronoun means."""
        if said.pronoun:
            return self._meant(said.head, index)
        words = self._text[slice(*said.phrase)]
        speaker = _Speaker(said.phrase, said.cue, pronouns_for(words, said.head), index)
        self._remember(speaker)
        return speaker

    def _meant(self, pronoun: str, index: int) -> _Speaker | None:
        for speaker in self._speakers:
            if index - speaker.last > MEMORY_SENTENCES:
                return None
            if pronoun in speaker.pronouns:
                speaker.last = index
                if pronoun in cues.HE | cues.SHE:  # whoever is "she" once is not "he" later
                    speaker.pronouns = frozenset((pronoun,))
                return speaker
        return None

    def _remember(self, speaker: _Speaker) -> None:
        self._speakers = [speaker, *self._speakers[: REMEMBERED - 1]]

    def _subject(self, tokens: Sequence[Token], index: int) -> None:
        """Remember a person whose name a sentence begins with: the next "he" or "she" may mean that person."""
        names = []
        for token in tokens:
            if not token.is_name:
                break
            names.append(token)
        if len(names) > 1 and len(names) < len(tokens) and tokens[len(names)].is_word and names[0].lower not in cues.DETERMINERS:
            phrase = (names[0].start, names[-1].end)
            words = self._text[slice(*phrase)]
            self._remember(_Speaker(phrase, phrase, pronouns_for(words, names[-1].lower), index))


def pronouns_for(words: str, head: str) -> frozenset[str]:
    """Return the pronouns that can stand for a holder."""
    parts = words.replace("’", "'").lower().split()
    core = _core(parts)
    plural = " and " in f" {' '.join(parts)} " or core in cues.PLURALS or (_is_plural(core) and not _is_named(words, core))
    if plural:
        return cues.THEY
    if any(part in cues.MALE for part in parts):
        return frozenset(("he",))
    if any(part in cues.FEMALE for part in parts):
        return frozenset(("she",))
    if core in cues.BODIES:
        return cues.IT
    if core in cues.PERSONS or (core.endswith(("er", "or", "ist", "man")) and core.islower()):
        return frozenset(("he", "she"))
    if _is_named(words, core):
        return frozenset(("he", "she")) if len(words.split()) > 1 else frozenset(("he", "she", "it"))
    return frozenset(("he", "she", "it"))


def _core(parts: Sequence[str]) -> str:
    """Return the head of a phrase: the word before its first preposition, else its last."""
    for index, part in enumerate(parts):
        if index and part in cues.PREPOSITIONS:
            return parts[index - 1]
    return parts[-1]


def _is_plural(core: str) -> bool:
    return core.endswith("s") and not core.endswith(("ss", "us", "is", "'s")) and core not in ("press",)


def _is_named(words: str, core: str) -> bool:
    return words.rsplit(maxsplit=1)[-1][:1].isupper() and words.rsplit(maxsplit=1)[-1].lower() == core
