"""An analysed article as a file: JSON, CSV with a line a sentence, or one HTML page that opens offline."""

import csv
import io
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Literal

from serving.errors import DataError
from serving.schema import AnalyzedSentence, AnalyzeResponse
from serving.templates import template

TEMPLATE = Path(__file__).with_name("report.html")
LOOKS = 6
"""Colours and shapes that pages have for labels, in the model's order; the seventh looks like the first, and has its name."""

COLUMNS = ("start", "end", "text", "label", "confidence")
MORE_COLUMNS = ("abstain", "truncated", "furniture", "holder", "holder_start", "holder_end", "speech", "cue", "model")
"""Columns of the CSV before and behind the probabilities."""

Form = Literal["json", "csv", "html"]


def form_of(path: Path) -> Form:
    """Return the format that a file's name asks for.

    Raises:
        DataError: it asks for none.
    """
    match path.suffix.lower():
        case ".json":
            return "json"
        case ".csv":
            return "csv"
        case ".html" | ".htm":
            return "html"
    raise DataError(f"{path}: expected a name that ends in .json, .csv or .html, or --format.")


def render(answer: AnalyzeResponse, *, form: Form, text: str, title: str) -> str:
    """Return an answer in a format; ``text`` is the article and ``title`` what the page calls it."""
    match form:
        case "json":
            return answer.model_dump_json(indent=2) + "\n"
        case "csv":
            return _csv(answer)
        case "html":
            return _html(answer, text=text, title=title)


def _csv(answer: AnalyzeResponse) -> str:
    labels = list(answer.summary.labels)
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    probability_columns = [f"p_{label}" for label in labels]
    writer.writerow([*COLUMNS, *probability_columns, *MORE_COLUMNS])
    for sentence in answer.sentences:
        flags = [str(flag).lower() for flag in (sentence.abstain, sentence.truncated, sentence.furniture)]
        probabilities = [sentence.probabilities[label] for label in labels]
        found = [sentence.start, sentence.end, sentence.text, sentence.label, sentence.confidence]
        writer.writerow([*found, *probabilities, *flags, *_holder_cells(sentence), answer.model])
    return file.getvalue()


def _holder_cells(sentence: AnalyzedSentence) -> list[str | int]:
    holder = sentence.holder
    return [holder.name, holder.start, holder.end, holder.speech, holder.cue.text] if holder else [""] * 5


def _html(answer: AnalyzeResponse, *, text: str, title: str) -> str:
    places = {label: index % LOOKS for index, label in enumerate(answer.summary.labels)}
    return template(TEMPLATE).render(answer=answer, paragraphs=paragraphs(answer, text), places=places, title=title) + "\n"


def paragraphs(answer: AnalyzeResponse, text: str) -> Iterator[list[AnalyzedSentence]]:
    """Yield the sentences of each paragraph; a line break between two ends one."""
    paragraph = [answer.sentences[0]]
    for before, after in pairwise(answer.sentences):
        if "\n" in text[before.end : after.start] or "\r" in text[before.end : after.start]:
            yield paragraph
            paragraph = []
        paragraph.append(after)
    yield paragraph
