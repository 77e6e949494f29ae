"""Where a verb says that somebody speaks, judges or thinks: not every "states" and "calls" does."""

from collections.abc import Sequence

from serving import cues
from serving.phrases import Kind, Token


def cue_end(tokens: Sequence[Token], index: int) -> int:
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
    if follower == "to" and index + 2 < len(tokens) and tokens[index + 2].lower in ("be", "have"):  # "a man said to be ill"
        return 0
    if lower in ("ask", "asks", "asked") and follower == "for":
        return 0
    if lower.startswith("call") and follower in cues.CALLED_ELSEWHERE:
        return 0
    quoted = after is not None and after.kind is Kind.QUOTATION
    if lower in cues.NEEDS_QUOTATION:
        return index + 1 if quoted or _beside_quotation(tokens, index) else 0
    if lower in cues.NEEDS_THAT:
        return index + 1 if follower == "that" else 0
    if lower in ("put", "puts"):
        return index + 1 if follower == "it" else 0
    if lower in ("spoke", "speak", "speaks"):
        return index + 1 if follower == "of" or quoted else 0
    if lower in cues.AMBIGUOUS and not (
        quoted
        or after is None
        or follower in cues.DETERMINERS
        or follower in cues.PRONOUNS
        or not after.is_word
        or after.is_name
        or follower in ("on", "for", "to", "both", "whether", "how", "why", "parents")
        or lower.endswith("ed")
    ):
        return 0
    before = tokens[index - 1].lower if index else ""
    if lower in cues.AMBIGUOUS and (before in cues.DETERMINERS | cues.PREPOSITIONS or before.endswith("'s")):
        return 0
    return index + 1


def _beside_quotation(tokens: Sequence[Token], index: int) -> bool:
    return any(token.kind is Kind.QUOTATION for token in tokens[max(0, index - 6) : index + 3])
