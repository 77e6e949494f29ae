"""Words of a sentence, and the noun phrases among them that can name a speaker."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from serving import cues

Span = tuple[int, int]

_TOKEN = re.compile(r"[@#]?\w+(?:['’.&/-]\w+)*['’]?|[^\w\s]")
_CONTRACTED = ("'m", "'re", "'ve", "'ll", "'d")
MOST_WORDS = 12


class Kind(Enum):
    """What a token is: a word, a punctuation mark, or a whole quotation."""

    WORD = 1
    MARK = 2
    QUOTATION = 3


@dataclass(frozen=True, slots=True)
class Token:
    """A token; ``start`` and ``end`` are places in the whole text."""

    kind: Kind
    text: str
    lower: str
    start: int
    end: int

    @property
    def is_word(self) -> bool:
        """Whether it is a word outside quotation marks."""
        return self.kind is Kind.WORD

    @property
    def is_name(self) -> bool:
        """Whether it begins with a capital letter, or is an account's name."""
        return self.is_word and (self.text[0].isupper() or self.text[0] == "@")


def tokens_of(text: str, span: Span, quoted: Sequence[Span]) -> list[Token]:
    """Return the tokens of a sentence; what stands in quotation marks is one token each. ``quoted`` lies within the sentence."""
    found: list[Token] = []
    place = span[0]
    for start, end in [*quoted, (span[1], span[1])]:
        found += _plain(text, place, start)
        if end > start:
            found.append(Token(Kind.QUOTATION, "", "", start, end))
        place = end
    return found


def _plain(text: str, start: int, end: int) -> list[Token]:
    found: list[Token] = []
    for match in _TOKEN.finditer(text, start, end):
        first = match[0][0]
        if first.isalnum() or (first in "@#_" and len(match[0]) > 1):
            found.append(Token(Kind.WORD, match[0], match[0].lower().replace("’", "'"), match.start(), match.end()))
        elif not (match[0] == "." and found and found[-1].lower in cues.TITLES):
            found.append(Token(Kind.MARK, match[0], match[0], match.start(), match.end()))
    return found


def subject(words: Sequence[Token]) -> list[Token] | None:
    """Return the noun phrase that a clause's words up to its verb begin with, or none that could name a speaker."""
    words = _without_lead(words)
    if not words:
        return None
    words = _coordinated(words)
    words = list(_without_tail(words))
    return words if _can_name(words) else None


def following(tokens: Sequence[Token], start: int) -> list[Token] | None:
    """Return the noun phrase that begins at a token: behind "said", "by" or "according to"."""
    found: list[Token] = []
    for token in tokens[start : start + MOST_WORDS]:
        if not token.is_word or _ends_phrase(token, found):
            break
        found.append(token)
    while found and found[-1].lower in cues.PREPOSITIONS | cues.NAME_LINKS | cues.ADVERBS:
        found.pop()
    return found if _can_name(found) else None


def name(words: Sequence[Token]) -> Span:
    """Return where the name or role of a noun phrase stands: a name alone where it has one, else all but its article."""
    for index, word in enumerate(words[:-1]):
        if index and word.lower in ("named", "called") and words[index + 1].is_name:
            return words[index + 1].start, words[-1].end
    words = words[: _name_end(words)]
    first = _name_begin(words)
    if first == 0:
        while first < len(words) - 1 and words[first].lower in cues.ARTICLES:
            first += 1
    return words[first].start, words[-1].end


def is_plural(words: Sequence[Token]) -> bool:
    """Say whether a phrase means more than one."""
    lower = [word.lower for word in words]
    if "and" in lower or lower[0] in ("they", "many", "several", "both", "most", "some", "all"):
        return True
    noun = head(words)
    return noun in cues.PLURALS or noun.isdigit() or (noun.endswith("s") and not noun.endswith(("ss", "us", "is", "'s")))


def head(words: Sequence[Token]) -> str:
    """Return a phrase's noun in small letters: the word before its first preposition, else its last."""
    ends = (word.lower in cues.PREPOSITIONS or word.lower in ("abroad", "here", "there", "close", "familiar") for word in words)
    return next((words[i - 1].lower for i, ends_it in enumerate(ends) if i and ends_it), words[-1].lower)


def _name_end(words: Sequence[Token]) -> int:
    """Return where the name of a person ends that a phrase begins with: "Ann Lee" of "Ann Lee of the Institute for Law"."""
    first = 1 if words[0].lower in cues.ARTICLES else 0
    last = next((index for index, word in enumerate(words) if index >= first and not word.is_name), 0)
    person = (
        last > first + 1 and words[last].lower in cues.PREPOSITIONS and words[last - 1].lower not in cues.BODIES | cues.PERSONS
    )
    return last if person else len(words)


def _name_begin(words: Sequence[Token]) -> int:
    """Return where a name at a phrase's end begins behind a role in small letters, or 0."""
    if any(word.lower in cues.PREPOSITIONS or word.lower == "and" for word in words):
        return 0
    first = len(words)
    while first and words[first - 1].is_name:
        first -= 1
    roles = [word for word in words[:first] if word.lower not in cues.ARTICLES]
    return first if roles and first < len(words) and not words[first - 1].lower.endswith("'s") else 0


def _ends_phrase(token: Token, before: Sequence[Token]) -> bool:
    lower = token.lower
    if (
        lower in cues.SUBORDINATORS
        or lower in ("that", "but", "or")
        or lower in cues.BE
        or lower in cues.HAVE
        or lower in cues.MODALS
    ):
        return True
    if not before:
        return False
    if lower in cues.PREPOSITIONS:
        return lower not in ("of", "for")
    if lower == "and":
        return not all(word.is_name for word in before)
    if before[-1].is_name and not token.is_name and before[-1].lower not in cues.ARTICLES and lower not in cues.NAME_LINKS:
        return not (lower in cues.PERSONS or lower in cues.BODIES or lower.endswith("s"))  # "the Cuban delegate", "UN experts"
    return (
        lower.endswith("ly") or lower in cues.NOT_SPEAKERS or lower in cues.ADVERBS or (lower.endswith("ing") and len(lower) > 5)
    )


def _without_lead(words: Sequence[Token]) -> Sequence[Token]:
    """Leave out what stands before a subject: "But", "On Monday", "As"."""
    first = 0
    while first < len(words) and (
        words[first].lower in cues.LEADING or words[first].lower in ("as", "while", "although", "though")
    ):
        first += 1
    words = words[first:]
    if len(words) > 1 and words[0].lower.endswith("ly") and words[1].lower in cues.DETERMINERS:
        words = words[1:]
    if not words or words[0].lower not in cues.PREPOSITIONS:
        return words
    for index in range(2, len(words)):
        if words[index - 1].lower not in cues.PREPOSITIONS and (
            words[index].lower in cues.DETERMINERS or words[index].lower in cues.PRONOUNS
        ):
            return words[index:]
    return []


def _coordinated(words: Sequence[Token]) -> Sequence[Token]:
    """Return both parts of "Ann Lee and the union", the last of "it was late and the union", the first of "Ann nodded and"."""
    joints = [index for index, word in enumerate(words) if word.lower in ("and", "but", "or")]
    if not joints:
        return words
    left, right = words[: joints[-1]], words[joints[-1] + 1 :]
    if not right:
        verb = next((i for i, word in enumerate(left) if i and _verb_like(word)), 0)
        return left[:verb]
    if any(_verb_like(word) for word in left[1:]) or left[0].lower in cues.PREPOSITIONS:
        return _without_lead(right)
    return words


def _verb_like(word: Token) -> bool:
    lower = word.lower
    return (
        lower in cues.BE
        or lower in cues.HAVE
        or lower in cues.MODALS
        or (lower in cues.CUES and lower not in cues.AMBIGUOUS)
        or (lower.endswith("ed") and len(lower) > 4 and not word.is_name)
    )


def _without_tail(words: Sequence[Token]) -> Sequence[Token]:
    """Leave out what follows a subject before its verb: "who had seen both", "interviewed in May", "on Monday"."""
    for index, word in enumerate(words):
        follower = words[index + 1].lower if index + 1 < len(words) else ""
        if not index or word.is_name:
            continue
        if word.lower in cues.RELATIVE:  # "who had seen it told", but not "that he had told": that verb is the relative's own
            return words[:index] if any(_verb_like(each) for each in words[index + 1 :]) else []
        if word.lower in cues.SUBORDINATORS and word.lower != "than":  # the verb is that of another clause
            return []
        if word.lower in ("named", "called"):
            continue
        participle = word.lower.endswith(("ed", "ing")) and len(word.lower) > 4
        if participle and follower in cues.PREPOSITIONS and follower != "of":
            return words[:index]
    if len(words) > 2 and words[-1].lower in cues.NOT_SPEAKERS | cues.STATEMENTS:
        places = [i for i, word in enumerate(words) if i and word.lower in ("on", "in", "at", "last", "this", "earlier", "late")]
        if places:
            return words[: places[0]]
    return words


def _can_name(words: Sequence[Token]) -> bool:
    if not words or len(words) > MOST_WORDS or words[0].lower in ("no", "neither", "none", "nobody", "more"):
        return False
    if any(word.lower in cues.CUES - cues.AMBIGUOUS and not word.is_name for word in words[:-1] if not word.lower.endswith("ed")):
        return False
    if len(words) == 1 and (
        words[0].lower in cues.EMPTY
        or words[0].lower in cues.CUES
        or words[0].lower in cues.DETERMINERS
        or not _has_letter(words[0])
    ):
        return False
    if (
        words[0].lower in cues.EMPTY
        and len(words) > 1
        and words[1].lower == "of"
        and words[-1].lower in ("them", "us", "these", "those")
    ):
        return False
    last = words[-1]
    if last.lower.endswith("ed") and len(last.lower) > 4 and not last.is_name and last.lower not in ("accused", "deceased"):
        return False
    if (
        words[0].lower in cues.PREPOSITIONS
        or words[0].lower in cues.SUBORDINATORS
        or any(word.lower.endswith(_CONTRACTED) for word in words)
    ):
        return False
    if (
        words[-1].lower in cues.NOT_SPEAKERS
        or words[-1].lower in cues.DETERMINERS
        or words[-1].lower in ("me", "you", "us", "them")
    ):
        return False
    if words[-1].lower in cues.PREPOSITIONS or (words[0].lower in ("i", "we", "you", "there", "what") and len(words) < 4):
        return False
    inner = words[1:]
    if any((word.lower in cues.PRONOUNS and word.lower != "her") or word.lower in ("i", "we", "you") for word in inner):
        return False
    return not any(
        word.lower.endswith(("n't", "it's", "that's", "there's", "he's"))
        or word.lower in cues.BE
        or word.lower in cues.HAVE
        or word.lower in cues.MODALS
        or word.lower in cues.NEGATIONS
        or word.lower == "to"
        for word in words
    )


def _has_letter(word: Token) -> bool:
    return any(character.isalpha() for character in word.text)
