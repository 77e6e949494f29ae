"""Errors as ``application/problem+json`` (RFC 9457)."""

from http import HTTPStatus

from pydantic import ValidationError
from starlette.responses import Response

from serving.schema import ErrorItem, Problem

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 1
MOST_ERRORS = 100
"""Faults of one body that are told; a body could hold hundreds of thousands."""

_DETAILS = {
    401: "Send a key of this service: Authorization: Bearer KEY, or X-API-Key: KEY.",
    404: "There is nothing at this path; GET /docs.json lists what there is.",
    405: "This path does not answer to this method.",
    408: "The body did not arrive in time.",
    429: "The queue is full; try again shortly.",
    500: "The service failed to answer; the log says more.",
    503: "The service is starting or stopping; try again shortly.",
    504: "The answer took too long and was given up.",
}


def problem(
    status: int,
    detail: str | None = None,
    *,
    errors: list[ErrorItem] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """Return an error response; 429 and 503 say when to try again."""
    body = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail or _DETAILS.get(status, HTTPStatus(status).phrase),
        errors=errors,
    )
    headers = dict(headers or {})
    if status in (429, 503):
        headers.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
    return Response(body.model_dump_json(exclude_none=True), status_code=status, media_type=MEDIA_TYPE, headers=headers)


def invalid(error: ValidationError) -> Response:
    """Return 422 with one item a fault, without repeating what was sent."""
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    items = [
        ErrorItem(loc=list(fault["loc"]), message=fault["msg"].removeprefix("Value error, ")) for fault in faults[:MOST_ERRORS]
    ]
    where = ".".join(str(part) for part in items[0].loc)
    return problem(422, f"{where or 'body'}: {items[0].message}", errors=items)
