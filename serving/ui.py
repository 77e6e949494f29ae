"""The page at ``/ui``: its files, and the answer to its form where there is no JavaScript.

The page asks for nothing elsewhere and runs no inline script or style; its policy says so to the browser. Everything that is put into
it is escaped.
"""

import csv
import io
import json
import re
from collections.abc import Iterator
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl

import bentoml
import jinja2
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

from serving.schema import AnalyzedSentence, AnalyzeResponse, Article
from serving.settings import settings

PATH = "/ui"
FOLDER = Path(__file__).with_name("page")
ASSETS = frozenset(f"{PATH}/{file.name}" for file in FOLDER.iterdir() if file.suffix in (".js", ".css", ".svg", ".txt"))
PATHS = ASSETS | {PATH}
"""What is open to everybody, whatever keys are configured: it tells nothing of the model then."""
FORM = b"application/x-www-form-urlencoded"
MOST_FIELDS = 8
LOOKS = 6
"""Colours and shapes that labels have, in the model's order; more labels begin again."""
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_BREAK = re.compile("[\n\r\x0b\x0c\x85\u2028\u2029]")


class Form(BaseModel):
    """What the page's form posts."""

    model_config = ConfigDict(extra="forbid")

    text: Article
    key: str = ""
    answer: Literal["page", "csv", "json"] = "page"


def fields(body: bytes) -> dict[str, str]:
    """Return the fields of a posted form. Browsers end its lines with CR LF, which count as one character elsewhere: as LF.

    Raises:
        ValueError: the body is not UTF-8, or has too many fields.
    """
    pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    return {name: value.replace("\r\n", "\n") for name, value in pairs}


async def show_page(request: Request) -> Response:
    """Answer ``GET /ui``; with ``?example`` its text field is filled in."""
    text = (FOLDER / "example.txt").read_text(encoding="utf-8") if "example" in request.query_params else ""
    return _page(text=text)


async def show_asset(request: Request) -> Response:
    """Answer ``GET /ui/NAME``: one of the page's files; a browser keeps it, and asks whether it has changed."""
    files = StaticFiles(directory=FOLDER)
    answer = await files.get_response(request.path_params["name"], request.scope)
    answer.headers["Cache-Control"] = "no-cache"
    return answer


ROUTES = [Route(PATH, show_page), Route(f"{PATH}/{{name}}", show_asset)]


def answered(answer: Response, form: Form) -> Response:
    """Return what ``POST /analyze`` answered as the form asked for it."""
    if answer.status_code != 200:
        return refused(answer, text=form.text)
    analysis = AnalyzeResponse.model_validate_json(bytes(answer.body))
    if form.answer == "page":
        return _page(text=form.text, analysis=analysis)
    content = _table(analysis) if form.answer == "csv" else bytes(answer.body)
    return Response(
        content,
        media_type="text/csv" if form.answer == "csv" else "application/json",
        headers={"Content-Disposition": f'attachment; filename="stances.{form.answer}"'},
    )


def refused(answer: Response, *, text: str = "") -> Response:
    """Return a problem as the page with its message; the status and the header that says when to try again stay."""
    problem = json.loads(bytes(answer.body))
    page = _page(text=text, problem=problem, status=answer.status_code)
    for name in ("retry-after", "www-authenticate", "connection"):
        if name in answer.headers:
            page.headers[name] = answer.headers[name]
    return page


def _page(*, text: str, analysis: AnalyzeResponse | None = None, problem: Any = None, status: int = 200) -> Response:
    keyed = bool(settings().keys)
    manifest = None if keyed else bentoml.get_current_service().batcher.predictor.manifest
    content = _template().render(
        text=text,
        problem=problem,
        limits=settings(),
        keyed=keyed,
        target=manifest.target if manifest else "",
        labels=manifest.labels if manifest else [],
        **_marked(text, analysis),
    )
    return HTMLResponse(content, status_code=status, headers=_HEADERS)


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("page.html")


def _marked(text: str, analysis: AnalyzeResponse | None) -> dict[str, Any]:
    """Return what the template needs of an analysis."""
    if analysis is None:
        return {"items": [], "paragraphs": [], "shares": [], "label_names": [], "model": ""}
    names = list(analysis.summary.labels)
    looks = {name: index % LOOKS + 1 for index, name in enumerate(names)}
    items = [
        {**sentence.model_dump(), "index": index, "look": looks[sentence.label], "holder": sentence.holder and sentence.holder.name}
        for index, sentence in enumerate(analysis.sentences, start=1)
    ]
    widths = [100 * share.share for share in analysis.summary.labels.values()]
    shares = [
        {"label": name, "look": looks[name], "count": analysis.summary.labels[name].count, "x": end - width, "width": width}
        for name, width, end in zip(names, widths, accumulate(widths), strict=True)
    ]
    return {
        "items": items,
        "paragraphs": list(_paragraphs(text, items)),
        "shares": shares,
        "label_names": names,
        "model": analysis.model,
    }


def _paragraphs(text: str, items: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield the sentences of each paragraph, each with the white space ``before`` it; a line break ends a paragraph."""
    paragraph: list[dict[str, Any]] = []
    end = 0
    for item in items:
        before = text[end : item["start"]]
        if paragraph and _BREAK.search(before):
            yield paragraph
            paragraph = []
        paragraph.append({**item, "before": before})
        end = item["end"]
    yield paragraph


def _table(analysis: AnalyzeResponse) -> str:
    """Return the sentences as CSV, with the columns of the page's own download; the mark before it tells Excel that it is UTF-8."""
    rows = [_columns(index, sentence, analysis.model) for index, sentence in enumerate(analysis.sentences, start=1)]
    file = io.StringIO()
    writer = csv.DictWriter(file, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return "\ufeff" + file.getvalue()


def _columns(index: int, sentence: AnalyzedSentence, model: str) -> dict[str, object]:
    holder = sentence.holder
    return {
        "sentence": index,
        "start": sentence.start,
        "end": sentence.end,
        "text": sentence.text,
        "stance": sentence.label,
        "stance_confidence": f"{sentence.confidence:.6f}",
        **{f"stance_p_{label}": f"{share:.6f}" for label, share in sentence.probabilities.items()},
        "stance_abstain": str(sentence.abstain).lower(),
        "stance_model": model,
        "furniture": str(sentence.furniture).lower(),
        "holder": holder.name if holder else "",
        "speech": holder.speech if holder else "",
        "cue": holder.cue.text if holder else "",
    }
