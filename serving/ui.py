"""The page at ``/ui``: its files, and the answer to its form where there is no JavaScript.

The page asks for nothing elsewhere and runs no inline script or style; its policy says so to the browser. Everything that is put
into it is escaped.
"""

import json
import mimetypes
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl

import bentoml
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

from serving import report
from serving.schema import AnalyzeResponse, Article
from serving.settings import settings
from serving.templates import template

PATH = "/ui"
FOLDER = Path(__file__).with_name("page")
ASSETS = frozenset(f"{PATH}/{file.name}" for file in FOLDER.iterdir() if file.suffix in (".js", ".css", ".svg", ".txt"))
PATHS = ASSETS | {PATH}
"""What is open to everybody, whatever keys are configured: it tells nothing of the model then."""
FORM = b"application/x-www-form-urlencoded"
MOST_FIELDS = 8
_POLICY = ("default-src 'self'", "base-uri 'none'", "object-src 'none'", "form-action 'self'", "frame-ancestors 'none'")
_HEADERS = {
    "Content-Security-Policy": "; ".join(_POLICY),
    "Cross-Origin-Opener-Policy": "same-origin",
}


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
    content = report.render(analysis, form=form.answer, text=form.text, title="")
    mark = "\ufeff" if form.answer == "csv" else ""  # tells Excel that it is UTF-8
    attached = {"Content-Disposition": f'attachment; filename="stances.{form.answer}"'}
    return Response(mark + content, media_type=mimetypes.types_map[f".{form.answer}"], headers=attached)


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
    content = template(FOLDER / "page.html").render(
        text=text,
        problem=problem,
        limits=settings(),
        keyed=keyed,
        target=manifest.target if manifest else "",
        labels=manifest.labels if manifest else [],
        analysis=analysis,
        paragraphs=report.paragraphs(analysis, text) if analysis else [],
        shares=_shares(analysis) if analysis else [],
    )
    return HTMLResponse(content, status_code=status, headers=_HEADERS)


def _shares(analysis: AnalyzeResponse) -> dict[str, dict[str, Any]]:
    """Return by label its look, its sentences, and where its part of a bar of 100 begins and how wide it is."""
    found = analysis.summary.labels
    widths = [100 * share.share for share in found.values()]
    return {
        label: {"look": index % report.LOOKS + 1, "count": found[label].count, "x": end - width, "width": width}
        for index, (label, width, end) in enumerate(zip(found, widths, accumulate(widths), strict=True))
    }
