"""The words that the rules for holders go by, from ``words.toml``: verbs of saying and judging, nouns of speakers."""

import tomllib
from pathlib import Path
from typing import Any

WORDS = Path(__file__).with_name("words.toml")


_DOUBLED = {"admit": "t", "quip": "p", "rebut": "t", "regret": "t", "slam": "m", "snap": "p"}


def _forms(base: str) -> tuple[str, str, str]:
    """Return the plural present, the singular present and the past of a regular verb."""
    if base.endswith("e"):
        return base, f"{base}s", f"{base}d"
    if base.endswith("y") and base[-2] not in "aeou":
        return base, f"{base[:-1]}ies", f"{base[:-1]}ied"
    return base, f"{base}es" if base.endswith(("sh", "ch", "ss", "x")) else f"{base}s", f"{base}{_DOUBLED.get(base, '')}ed"


def _verbs(table: dict[str, Any]) -> frozenset[str]:
    regular = {form for base in table["regular"].split() for form in _forms(base)}
    return frozenset(regular | set(table["irregular"].split()))


_READ = tomllib.loads(WORDS.read_text(encoding="utf-8"))
_LISTS = {key: frozenset(words.split()) for key, words in _READ["words"].items()}

SAYING, JUDGING, THINKING = (_verbs(_READ[key]) for key in ("saying", "judging", "thinking"))
FINDING = _LISTS["finding"]
CUES = SAYING | JUDGING | THINKING | FINDING
PLURAL_FORMS = frozenset(cue for cue in CUES if f"{cue}s" in CUES or f"{cue}es" in CUES or f"{cue[:-1]}ies" in CUES)
"""Their subject is more than one, or "they"."""
AMBIGUOUS = _LISTS["ambiguous"]
NEEDS_QUOTATION, NEEDS_THAT, CALLED_ELSEWHERE = (_LISTS[key] for key in ("needs_quotation", "needs_that", "called_elsewhere"))
ADDING, VIEW, STATIVE = (_LISTS[key] for key in ("adding", "view", "stative"))
LINKING, BE, HAVE, MODALS, NEGATIONS = (_LISTS[key] for key in ("linking", "be", "have", "modals", "negations"))
ADVERBS, LEADING, DETERMINERS, ARTICLES = (_LISTS[key] for key in ("adverbs", "leading", "determiners", "articles"))
PREPOSITIONS, SUBORDINATORS, RELATIVE = (_LISTS[key] for key in ("prepositions", "subordinators", "relative"))
HYPOTHETICAL, EMPTY, NOT_SPEAKERS = (_LISTS[key] for key in ("hypothetical", "empty", "not_speakers"))
STATEMENTS, TITLES, NAME_LINKS = (_LISTS[key] for key in ("statements", "titles", "name_links"))
MALE, FEMALE = _LISTS["male"], _LISTS["female"]
PERSONS = _LISTS["persons"] | MALE | FEMALE
BODIES, PLURALS, PAPERS, DOCUMENTS = (_LISTS[key] for key in ("bodies", "plurals", "papers", "documents"))

HE, SHE, THEY, IT = frozenset(("he", "him")), frozenset(("she", "her")), frozenset(("they",)), frozenset(("it",))
PRONOUNS = HE | SHE | THEY | IT
