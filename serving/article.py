"""A whole article: its sentences, who voices each, what each conveys, and the sum of it."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from serving.batching import Batcher, QueueFull
from serving.errors import DataError
from serving.furniture import is_furniture
from serving.holders import holders
from serving.predictor import Prediction
from serving.schema import AnalyzedSentence, AnalyzeResponse, Holder, HolderSummary, LabelShare, Summary, TextPrediction
from serving.sentences import segment

NO_STANCE = "neutral"
"""The label of page furniture, where the model has it."""
CHARACTERS_A_TOKEN = 4
SLICES_AHEAD = 2


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence before it is scored: ``text`` is the article from ``start`` to ``end``."""

    text: str
    start: int
    end: int
    furniture: bool
    holder: Holder | None


def read(text: str, *, most: int | None = None) -> list[Sentence]:
    """Return an article's sentences with their holders.

    Raises:
        DataError: there are more than ``most``, or none.
    """
    spans = segment(text)
    if not spans or (most is not None and len(spans) > most):
        raise DataError(f"text: expected {f'1 to {most} sentences' if most else 'a sentence'}, found {len(spans)}")
    furniture = [is_furniture(text[start:end]) for start, end in spans]
    content = [span for span, passed in zip(spans, furniture, strict=True) if not passed]
    found = dict(zip(content, holders(text, content), strict=True))
    return [
        Sentence(text[start:end], start, end, furniture=passed, holder=found.get((start, end)))
        for (start, end), passed in zip(spans, furniture, strict=True)
    ]


async def score(batcher: Batcher, sentences: Sequence[Sentence]) -> list[Prediction]:
    """Return one prediction a sentence, in order; equal sentences are computed once.

    The queue is given :data:`SLICES_AHEAD` slices at a time, each about a batch of the runtime, so that a long article waits
    behind what others ask for in between, and may be longer than the queue. Sentences of like length go together, which saves
    padding.

    Raises:
        QueueFull: the first slice would have to wait too long; the later ones wait.
    """
    slices = _slices(sorted({sentence.text for sentence in sentences}, key=len), batcher)
    first = next(slices)
    found = dict(zip(first, await batcher.predict(first), strict=True))

    async def score_the_rest() -> None:
        for part in slices:
            found.update(zip(part, await _patiently(batcher, part), strict=True))

    async with asyncio.TaskGroup() as group:
        for _ in range(SLICES_AHEAD):
            group.create_task(score_the_rest())
    return [found[sentence.text] for sentence in sentences]


def answer(sentences: Sequence[Sentence], predictions: Sequence[Prediction], *, model: str) -> AnalyzeResponse:
    """Return sentences and predictions, one each, as they are sent, with their summary."""
    analyzed = [_analyzed(sentence, found) for sentence, found in zip(sentences, predictions, strict=True)]
    return AnalyzeResponse(model=model, sentences=analyzed, summary=_summary(analyzed, labels=list(predictions[0].probabilities)))


def _slices(texts: Sequence[str], batcher: Batcher) -> Iterator[list[str]]:
    part: list[str] = []
    characters = 0
    for text in texts:
        if part and characters + len(text) > CHARACTERS_A_TOKEN * batcher.budget:
            yield part
            part, characters = [], 0
        part.append(text)
        characters += len(text)
    yield part


async def _patiently(batcher: Batcher, texts: Sequence[str]) -> list[Prediction]:
    while True:
        try:
            return await batcher.predict(texts)
        except QueueFull as full:
            await asyncio.sleep(full.retry_after)


def _analyzed(sentence: Sentence, prediction: Prediction) -> AnalyzedSentence:
    if sentence.furniture and NO_STANCE in prediction.probabilities:
        prediction = replace(
            prediction,
            label=NO_STANCE,
            confidence=prediction.probabilities[NO_STANCE],
            prediction_set=(NO_STANCE,),
            abstain=False,
        )
    return AnalyzedSentence(
        **TextPrediction.of(prediction).model_dump(),
        text=sentence.text,
        start=sentence.start,
        end=sentence.end,
        furniture=sentence.furniture,
        holder=sentence.holder,
    )


def _summary(sentences: Sequence[AnalyzedSentence], *, labels: Sequence[str]) -> Summary:
    counted = [sentence for sentence in sentences if not sentence.furniture]
    groups: dict[str | None, list[AnalyzedSentence]] = {}
    for sentence in counted:
        groups.setdefault(sentence.holder.name if sentence.holder else None, []).append(sentence)
    holders = [
        HolderSummary(name=name, count=len(group), share=_share(len(group), len(counted)), labels=_shares(group, labels=labels))
        for name, group in sorted(groups.items(), key=lambda item: -len(item[1]))
    ]
    return Summary(
        sentences=len(counted),
        furniture=len(sentences) - len(counted),
        labels=_shares(counted, labels=labels),
        holders=holders,
    )


def _shares(sentences: Sequence[AnalyzedSentence], *, labels: Sequence[str]) -> dict[str, LabelShare]:
    counts = Counter(sentence.label for sentence in sentences)
    return {label: LabelShare(count=counts[label], share=_share(counts[label], len(sentences))) for label in labels}


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
