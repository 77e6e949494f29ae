"""An explanation on a terminal: the text with its words coloured and numbered."""

from typing import TYPE_CHECKING

from serving.explanation import Explanation

if TYPE_CHECKING:
    from rich.text import Text

PERCENT = 100
_CONTROLS = dict.fromkeys({*range(0x20), *range(0x7F, 0xA0)} - {ord("\n"), ord("\t")}, "\ufffd")
"""Characters that could steer the terminal; as many come out as went in, so that offsets hold."""


def paint(text: str, explanation: Explanation) -> "Text":
    """Return the label, the text with each word's contribution in percentage points behind it, and how to read them.

    What speaks for the label is green, what speaks against it red; the half that says most is bold.
    """
    from rich.text import Text

    shown = text.translate(_CONTROLS)
    prediction = explanation.prediction
    unsure = ", unsure" if prediction.abstain else ""
    painted = Text(f"{prediction.label} {prediction.confidence:.1%}{unsure}\n", style="")
    strongest = max((abs(word.contribution) for word in explanation.words), default=0.0)
    end = 0
    for word in explanation.words:
        painted.append(shown[end : word.start])
        painted.append(shown[word.start : word.end], _style(word.contribution, strongest=strongest))
        painted.append(f"({PERCENT * word.contribution:+.1f})", "dim")
        end = word.end
    painted.append(shown[end:])
    painted.append(f"\n(+): points of its probability that {prediction.label} loses without the word", "dim")
    if explanation.words_left_out:
        painted.append(f"\n{explanation.words_left_out} words at the end are not explained", "dim")
    return painted


def _style(contribution: float, *, strongest: float) -> str:
    colour = "green" if contribution > 0 else "red"
    return f"bold {colour}" if abs(contribution) >= strongest / 2 else colour
