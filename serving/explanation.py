"""Explanations: what each word does to the prediction, found by scoring the text without it."""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from serving.predictor import Prediction, Predictor
from serving.tokenizer import SPECIAL_TOKENS, Encoded

MOST_WORDS = 255
"""Words of one text that are explained: with the text itself, as many texts as a request of ``/predict`` may hold."""
_WORD = re.compile("l+(?:jl+)*|i")
_JOINERS = "'’-‐‑."


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a text: ``text[start:end]``, in Python string indices, and what it contributes.

    ``contribution`` is the deletion effect: the probability of the label predicted for the text, less the probability of the
    same label for ``text[:start] + text[end:]``, both as the artifact serves them (temperature-scaled). It lies between -1 and 1;
    above 0 the word speaks for the label, below 0 against it. Effects do not add up to the probability: of two words that say the
    same, each has a small one.

    Source: Li, Monroe & Jurafsky (2016), "Understanding Neural Networks through Representation Erasure".
    """

    word: str
    start: int
    end: int
    contribution: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """The prediction of a text and its words in order.

    ``words_left_out`` counts those at the end that have no contribution here: the model does not read them, or they are more than
    :data:`MOST_WORDS`.
    """

    prediction: Prediction
    words: tuple[Word, ...]
    words_left_out: int


@dataclass(frozen=True, slots=True)
class Occlusion:
    """A text and the same text without each of its words in turn, as token ids: ``encoded[1 + i]`` is without ``spans[i]``."""

    text: str
    spans: tuple[tuple[int, int], ...]
    left_out: int
    encoded: list[Encoded]

    def explanation(self, predictions: Sequence[Prediction]) -> Explanation:
        """Return what the predictions of ``encoded``, in order, say of the words."""
        whole, *without = predictions
        words = (
            Word(self.text[start:end], start, end, whole.confidence - prediction.probabilities[whole.label])
            for (start, end), prediction in zip(self.spans, without, strict=True)
        )
        return Explanation(whole, tuple(words), self.left_out)


def explain(predictor: Predictor, text: str) -> Explanation:
    """Score a text and what is left of it without each word; costs as much as scoring that many texts.

    Raises:
        DataError: the text is empty or holds nothing but white space.
    """
    predictor.check([text])
    occlusion = occlude(predictor, text)
    logits = predictor.logits(occlusion.encoded)
    return occlusion.explanation(predictor.predictions(logits, occlusion.encoded))


def occlude(predictor: Predictor, text: str) -> Occlusion:
    """Return what has to be computed to explain a text."""
    tokens = predictor.tokenizer.offsets(text)
    most = predictor.tokenizer.max_length - SPECIAL_TOKENS
    read = tokens[most - 1][1] if len(tokens) > most else len(text)
    spans = word_spans(text)
    kept = tuple((start, end) for start, end in spans[:MOST_WORDS] if start < read)
    starts = [start for start, _ in tokens]
    without = []
    for start, end in kept:
        last = bisect_left(starts, end) + most  # what lies behind it cannot be read, however few tokens stand before the word
        without.append(text[:start] + text[end : tokens[last][1] if last < len(tokens) else None])
    return Occlusion(text, kept, len(spans) - len(kept), predictor.encode([text, *without]))


def word_spans(text: str) -> list[tuple[int, int]]:
    """Return start and end of every word, in Python string indices.

    A word is a run of letters, marks and digits (Unicode's categories L, M and N), also across one apostrophe, hyphen, full stop
    or invisible character between two of them ("so-called", "don't", "U.N"); an ideograph or kana is a word of its own.
    Punctuation and emoji are no words.
    """
    return [match.span() for match in _WORD.finditer("".join(map(_kind, text)))]


def _kind(character: str) -> str:
    """Return l(etter), i(deograph), j(oiner) or - for anything else."""
    category = unicodedata.category(character)
    if category == "Lo" and unicodedata.east_asian_width(character) == "W" and not "\uac00" <= character <= "\ud7a3":
        return "i"
    if category[0] in "LMN":
        return "l"
    return "j" if character in _JOINERS or category == "Cf" else "-"
