"""Page furniture: what a page puts around an article, and a copy of the page brings along."""

import re

MOST_CHARACTERS = 200
"""A longer sentence is not furniture."""

_SITES = r"(?:facebook|twitter|whatsapp|telegram|linkedin|e-?mail|print|share|tweet|pinterest|reddit|x)"
_BEGINNINGS = (
    r"share (?:your love|this|on|via)|read (?:also|more|next|the full (?:story|article))|also read|see also|related(?: \w+)?:",
    r"more (?:on this|from)|recommended(?: for you|:)|you (?:may|might) (?:also )?like",
    r"most (?:read|popular|viewed)|trending(?: now)?$",
    r"(?:this|our) (?:web)?site uses|we use cookies|accept (?:all|cookies)|manage (?:cookies|preferences)",
    r"cookie (?:policy|settings|notice)|by continuing to (?:use|browse)",
    r"privacy policy|terms (?:of (?:use|service)|and conditions)",
    r"all rights reserved|copyright (?:©|\d{4}|\(c\))|©|\(c\) \d{4}",
    r"(?:sign up|subscribe|log in|sign in|register)\b.{0,60}(?:newsletter|inbox|updates|free|account|now|here|today|alerts|$)",
    r"newsletter\b|get (?:the|our|your) .{0,60}(?:newsletter|inbox|briefing)|follow (?:us|me)\b|like us on|join us on\b",
    r"click here|tap here|download (?:the|our) app|advertisement\b.{0,20}$|sponsored(?: content)?$|skip to (?:main )?content",
    r"(?:\d+ )?comments?(?: \(\d+\))?$|leave a (?:comment|reply)|post a comment|(?:file )?photo:|image:|picture:",
    r"(?:photograph|image|photo) (?:by|credit)\b|(?:\d+|one|two|three|four|five|six|seven|eight|nine|ten) min(?:ute)?s? read",
    r"\(?(?:edited|editing|reporting|written|writing|additional reporting|compiled) by [A-Z]",
    r"(?:last )?updated(?: on|:| at)?\b.{0,40}$|published(?: on|:| at)\b.{0,40}$|tags?:|filed under|topics?:|load more|show more",
    r"support (?:our journalism|us)\b|donate (?:now|today|here)|become a (?:member|subscriber)",
    r"back to top|loading$|home$|menu$|search$",
    r"(?:previous|next) (?:article|post)\b",
    rf"{_SITES}(?:[ ,|·/]+{_SITES})*$",
)
_BEGINS = re.compile("|".join(_BEGINNINGS), re.IGNORECASE)


def is_furniture(sentence: str) -> bool:
    """Say whether a sentence is page furniture: a line of a page's own, or one without any letter."""
    content = sentence.strip(" \t\n\r\"'“”‘’*•-–—>»|[]#.!…")
    if len(sentence) > MOST_CHARACTERS or not content:
        return not any(character.isalpha() for character in sentence)
    return _BEGINS.match(content) is not None or not any(character.isalpha() for character in content)
