"""Page furniture: what a page puts around an article, and a copy of the page brings along."""

import re

MOST_CHARACTERS = 200
"""A longer sentence is not furniture."""

_BEGINS = re.compile(
    r"(?:share (?:your love|this|on|via)|read (?:also|more|next|the full (?:story|article))|also read|see also|related(?: \w+)?:"
    r"|more (?:on this|from)|recommended(?: for you|:)|you (?:may|might) (?:also )?like|most (?:read|popular|viewed)|trending(?: now)?$"
    r"|(?:this|our) (?:web)?site uses|we use cookies|accept (?:all|cookies)|manage (?:cookies|preferences)|cookie (?:policy|settings|notice)"
    r"|by continuing to|privacy policy|terms (?:of (?:use|service)|and conditions)|all rights reserved|copyright\b|©|\(c\) \d{4}"
    r"|(?:sign up|subscribe|log in|sign in|register)\b.{0,60}(?:newsletter|inbox|updates|free|account|now|here|today|channel|alerts|$)"
    r"|newsletter\b|get (?:the|our|your) .{0,60}(?:newsletter|inbox|briefing)|follow (?:us|me)\b|like us on|join (?:our|us on)\b"
    r"|click here|tap here|download (?:the|our) app|advertisement$|advertisement\b.{0,20}$|sponsored(?: content)?$|skip to (?:main )?content"
    r"|(?:\d+ )?comments?(?: \(\d+\))?$|leave a (?:comment|reply)|post a comment|photo:|image:|picture:|file photo|(?:photograph|image) (?:by|credit)"
    r"|(?:edited|editing|reporting|written|additional reporting|compiled) by [A-Z]|\((?:reporting|editing|writing|additional reporting) by"
    r"|(?:\d+|one|two|three|four|five|six|seven|eight|nine|ten) min(?:ute)?s? read|(?:last )?updated(?: on|:| at)?\b.{0,40}$"
    r"|published(?: on|:| at)\b.{0,40}$|(?:facebook|twitter|whatsapp|telegram|linkedin|email|e-mail|print|share|tweet|pinterest|reddit)"
    r"(?:[ ,|·/]+(?:facebook|twitter|whatsapp|telegram|linkedin|email|e-mail|print|share|tweet|pinterest|reddit|x))*$"
    r"|tags?:|filed under|topics?:|support (?:our journalism|us)|donate|become a (?:member|subscriber)|load more|show more|back to top"
    r"|previous (?:article|post)|next (?:article|post)|home$|menu$|search$|loading)",
    re.IGNORECASE,
)


def is_furniture(sentence: str) -> bool:
    """Say whether a sentence is page furniture: a line of a page's own, or one without any letter."""
    content = sentence.strip(" \t\n\r\"'“”‘’*•-–—>»|[]#.!…")
    if len(sentence) > MOST_CHARACTERS or not content:
        return not any(character.isalpha() for character in sentence)
    return _BEGINS.match(content) is not None or not any(character.isalpha() for character in content)
