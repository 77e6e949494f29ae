"""The gateway: an ASGI layer in front of BentoML's handlers that lets nothing invalid through and answers every error alike.

BentoML would answer a malformed body with its own error form, write what it could not parse, a user's text, into the log, and
compute what nobody waits for any more. So key, path, method, size, media type and body are judged here, and a valid ``POST``
calls the service's API method at once. ``GET`` goes on to BentoML. Whatever is answered is counted here, logged without its
content and given security headers.
"""

import asyncio
import json
import logging
import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import bentoml
from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from serving import metrics, ui
from serving.batching import QueueFull
from serving.errors import DataError, StoreError
from serving.keys import Keys
from serving.lifecycle import lifecycle
from serving.problems import MEDIA_TYPE, invalid, problem
from serving.schema import AnalyzeRequest, ClassificationRequest, CorrectionRequest, ErrorItem, ExplainRequest, PredictRequest
from serving.settings import settings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

POST_BODIES: dict[str, type[BaseModel]] = {
    "/predict": PredictRequest,
    "/analyze": AnalyzeRequest,
    "/explain": ExplainRequest,
    "/text-classification": ClassificationRequest,
    "/corrections": CorrectionRequest,
    ui.PATH: ui.Form,
}
"""The body of each call; the service's API method of the path's name answers it, and ``analyze`` the page's form."""
CREATING = frozenset({"/corrections"})
"""Calls that are answered with 201."""
OPEN_PATHS = frozenset({"/livez", "/healthz", "/readyz"})
"""What a supervisor asks, without a key."""
GET_PATHS = OPEN_PATHS | ui.PATHS | {"/model", "/metrics", "/docs.json", "/schema.json"}
JSON = b"application/json"
CLIENT_LEFT = 499
"""The status, in logs and metrics, of a request whose client did not wait for its answer; nginx's custom."""
SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]

logger = logging.getLogger("bentoml.stance")
access = logging.getLogger("bentoml.stance.access")


class Disconnected(Exception):
    """The client left."""


class TooLarge(Exception):
    """The body is over the limit."""


class Gateway:
    """ASGI middleware: checks and answers requests, and turns every error of the layers below into a problem."""

    def __init__(self, app: App) -> None:
        self.app = app
        self._keys = Keys(settings().keys)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if (scope["method"], scope["path"]) == ("POST", "/"):  # where huggingface_hub's client, given this server alone, asks
            scope = {**scope, "path": "/text-classification"}
        path = ui.PATH if scope["path"] in ui.ASSETS else scope["path"]
        path = path if path in POST_BODIES or path in GET_PATHS else "other"
        sent = _Sent(send)
        begun = time.perf_counter()
        try:
            await self._serve(scope, receive, sent)
        finally:
            seconds = time.perf_counter() - begun
            status = str(sent.status)
            metrics.REQUESTS.labels(path, status).inc()
            metrics.REQUEST_SECONDS.labels(path).observe(seconds)
            if settings().access_log and path not in OPEN_PATHS:
                access.info("path=%s status=%s ms=%.1f", path, status, 1000 * seconds)

    async def _serve(self, scope: Scope, receive: Receive, send: "_Sent") -> None:
        path, method = scope["path"], scope["method"]
        # The page is open; its form holds its key in the body.
        if path not in OPEN_PATHS | ui.PATHS and not self._keys.admit(scope["headers"]):
            await _no_key()(scope, receive, send)
        elif path in POST_BODIES and not (path in GET_PATHS and method in ("GET", "HEAD")):
            if method != "POST":
                allowed = "GET, HEAD, POST" if path in GET_PATHS else "POST"
                await _refuse("method", problem(405, headers={"Allow": allowed}))(scope, receive, send)
            elif lifecycle.draining:
                await _as_asked(path, _refuse("stopping", problem(503, headers={"Connection": "close"})))(scope, receive, send)
            elif lifecycle.under_way >= settings().concurrent_requests:
                await _as_asked(path, _refuse("concurrency", problem(429)))(scope, receive, send)
            else:
                await self._counted(scope, receive, send)
        elif path in GET_PATHS:
            if path == "/readyz" and lifecycle.draining:
                await problem(503)(scope, receive, send)
            elif method in ("GET", "HEAD"):
                await self._forward(scope, receive, send)
            else:
                await _refuse("method", problem(405, headers={"Allow": "GET, HEAD"}))(scope, receive, send)
        else:
            await _refuse("path", problem(404))(scope, receive, send)

    async def _counted(self, scope: Scope, receive: Receive, send: Send) -> None:
        lifecycle.under_way += 1
        try:
            answer = await self._post(scope, receive)
            await _as_asked(scope["path"], answer)(scope, receive, send)
        except Disconnected:
            # Nobody reads it, but BentoML's timeout waits for an answer, and would keep the server from ending.
            await Response(status_code=CLIENT_LEFT)(scope, receive, send)
        finally:
            lifecycle.under_way -= 1

    async def _post(self, scope: Scope, receive: Receive) -> Response:
        media_types = [value for name, value in scope["headers"] if name.lower() == b"content-type"]
        form = scope["path"] == ui.PATH
        expected = ui.FORM if form else JSON
        if [value.split(b";")[0].strip().lower() for value in media_types] != [expected]:
            return _refuse("media type", problem(415, f"expected Content-Type: {expected.decode()}"))
        try:
            service = bentoml.get_current_service()
            service.refuse_if_full()  # before anything is spent on the body
            async with asyncio.timeout(settings().timeout_seconds):
                body = await _read_body(scope, receive)
            sent = ui.fields(body) if form else json.loads(body)
            content = POST_BODIES[scope["path"]].model_validate(sent, context={"labels": service.labels})
        except QueueFull as full:
            return _full(full)
        except TimeoutError:
            return _refuse("slow body", problem(408))
        except TooLarge:
            return _refuse("body size", problem(413, f"expected at most {settings().body_bytes} bytes of body"))
        except ValidationError as error:
            return _refuse("invalid", invalid(error))
        except (ValueError, RecursionError):
            fault = ErrorItem(loc=[], message=f"expected {'a form' if form else 'JSON'} in UTF-8")
            return _refuse("invalid", problem(422, f"body: {fault.message}", errors=[fault]))
        if isinstance(content, ui.Form):
            return await self._form(content, receive)
        return await self._call(scope["path"], content, receive)

    async def _form(self, form: ui.Form, receive: Receive) -> Response:
        """Return the answer to the page's form: what ``POST /analyze`` answers to its text, as a page or a file."""
        admitted = self._keys.admit([(b"x-api-key", form.key.encode())])
        answer = await self._call("/analyze", AnalyzeRequest(text=form.text), receive) if admitted else _no_key()
        return await asyncio.to_thread(ui.answered, answer, form)  # a page of thousands of sentences takes a while to write

    async def _call(self, path: str, content: BaseModel, receive: Receive) -> Response:
        """Return the answer of the service's API method; give it up when the client leaves or the time is over."""
        name = path.strip("/").replace("-", "_")
        method = getattr(bentoml.get_current_service(), name).local  # the method itself: else BentoML sends another request
        work = asyncio.ensure_future(method(**{field: getattr(content, field) for field in type(content).model_fields}))
        left = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait({work, left}, timeout=settings().timeout_seconds, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                status = 201 if path in CREATING else 200
                return Response(work.result().model_dump_json(), status_code=status, media_type=JSON.decode())
        except QueueFull as full:
            return _full(full)
        except StoreError:
            return _refuse("store", problem(503, "Corrections cannot be stored now; try again later. Predictions go on."))
        except DataError as error:
            return _refuse("invalid", problem(422, str(error), errors=[ErrorItem(loc=[], message=str(error))]))
        except Exception as error:
            _log(error)
            return problem(500)
        finally:
            work.cancel()
            left.cancel()
        if left.done():
            raise Disconnected
        return problem(504)

    async def _forward(self, scope: Scope, receive: Receive, send: "_Sent") -> None:
        """Pass the request on; hold back an error answer and send a problem in its place."""
        failed = 0

        async def guarded(message: Message) -> None:
            nonlocal failed
            if message["type"] == "http.response.start" and message["status"] >= 400:
                failed = message["status"]
            if not failed:
                await send(message)

        try:
            async with asyncio.timeout(settings().timeout_seconds):
                await self.app(scope, receive, guarded)
        except Exception as error:
            if send.status:
                raise
            failed = 504 if isinstance(error, TimeoutError) else 500
            _log(error)
        if failed:
            await problem(failed)(scope, receive, send)


class _Sent:
    """A send channel that adds the security headers and remembers the status."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given = {name.lower() for name, _ in message.get("headers", ())}
            added = [(name, value) for name, value in SECURITY_HEADERS if name not in given]
            message = {**message, "headers": [*message.get("headers", ()), *added]}
        await self._send(message)


def _refuse(reason: str, answer: Response) -> Response:
    """Count why a request is refused; return its answer."""
    metrics.REJECTIONS.labels(reason).inc()
    return answer


def _no_key() -> Response:
    return _refuse("key", problem(401, headers={"WWW-Authenticate": "Bearer"}))


def _as_asked(path: str, answer: Response) -> Response:
    """Return a refusal of the page's form as the page, any other answer as it is."""
    return ui.refused(answer) if path == ui.PATH and answer.media_type == MEDIA_TYPE else answer


def _full(error: QueueFull) -> Response:
    return _refuse("queue", problem(429, headers={"Retry-After": str(error.retry_after)}))


async def _gone(receive: Receive) -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _log(error: Exception) -> None:
    """Log where an exception came from, never its message: it may hold a text."""
    frames = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(traceback.extract_tb(error.__traceback__)))
    logger.error("request failed: %s at %s", type(error).__name__, frames)


async def _read_body(scope: Scope, receive: Receive) -> bytes:
    declared = next((value for name, value in scope["headers"] if name.lower() == b"content-length"), b"")
    if declared.isdigit() and int(declared) > settings().body_bytes:
        raise TooLarge
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        part = message.get("body", b"")
        size += len(part)
        if size > settings().body_bytes:
            raise TooLarge
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)
