"""The gateway: an ASGI layer in front of BentoML's handlers that lets nothing invalid through and answers every error alike.

BentoML would answer a malformed body with its own error form, and write what it could not parse, a user's text, into the log. So
path, method, size, media type and body are judged here, and what is passed on is written anew from what was understood: a
handler sees one header and one body that fit the contract. Too many requests at once and too long an answer end here as well.
"""

import asyncio
import json
import logging
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from pydantic import BaseModel, ValidationError

from serving.problems import invalid, problem
from serving.schema import ErrorItem, PredictRequest
from serving.settings import settings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

POST_BODIES: dict[str, type[BaseModel]] = {"/predict": PredictRequest}
GET_PATHS = frozenset({"/model", "/livez", "/healthz", "/readyz", "/metrics", "/docs.json", "/schema.json"})
REWRITTEN = (b"content-type", b"content-length", b"content-encoding", b"transfer-encoding")
JSON = b"application/json"

logger = logging.getLogger("bentoml.stance")


class Disconnected(Exception):
    """The client left before its body was complete."""


class TooLarge(Exception):
    """The body is over the limit."""


class Gateway:
    """ASGI middleware: checks requests, and turns every error answer of the layers below into a problem."""

    def __init__(self, app: App) -> None:
        self.app = app
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path, method = scope["path"], scope["method"]
        if path in POST_BODIES:
            if method != "POST":
                await problem(405, headers={"Allow": "POST"})(scope, receive, send)
            elif self._under_way >= settings().concurrent_requests:
                await problem(429)(scope, receive, send)
            else:
                await self._counted(scope, receive, send)
        elif path in GET_PATHS:
            if method in ("GET", "HEAD"):
                await self._forward(scope, receive, send)
            else:
                await problem(405, headers={"Allow": "GET, HEAD"})(scope, receive, send)
        else:
            await problem(404)(scope, receive, send)

    async def _counted(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._under_way += 1
        try:
            await self._post(scope, receive, send)
        finally:
            self._under_way -= 1

    async def _post(self, scope: Scope, receive: Receive, send: Send) -> None:
        media_types = [value for name, value in scope["headers"] if name.lower() == b"content-type"]
        if [value.split(b";")[0].strip().lower() for value in media_types] != [JSON]:
            await problem(415, "expected Content-Type: application/json")(scope, receive, send)
            return
        try:
            async with asyncio.timeout(settings().timeout_seconds):
                body = await _read_body(scope, receive)
            content = POST_BODIES[scope["path"]].model_validate(json.loads(body))
        except Disconnected:
            return
        except TimeoutError:
            await problem(408)(scope, receive, send)
        except TooLarge:
            await problem(413, f"expected at most {settings().body_bytes} bytes of body")(scope, receive, send)
        except ValidationError as error:
            await invalid(error)(scope, receive, send)
        except (ValueError, RecursionError):
            fault = ErrorItem(loc=[], message="expected JSON in UTF-8")
            await problem(422, f"body: {fault.message}", errors=[fault])(scope, receive, send)
        else:
            understood = content.model_dump_json().encode()
            await self._forward(_rewritten(scope, understood), _replay(understood, receive), send)

    async def _forward(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; hold back an error answer and send a problem in its place."""
        failed = 0
        started = False

        async def guarded(message: Message) -> None:
            nonlocal failed, started
            if message["type"] == "http.response.start" and message["status"] >= 400:
                failed = message["status"]
            if not failed:
                started = True
                await send(message)

        try:
            async with asyncio.timeout(settings().timeout_seconds):
                await self.app(scope, receive, guarded)
        except Exception as error:
            if started:
                raise
            failed = 504 if isinstance(error, TimeoutError) else 500
            _log(error)
        if failed:
            await problem(failed)(scope, receive, send)


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


def _rewritten(scope: Scope, body: bytes) -> Scope:
    """Return the scope with headers that describe ``body`` and nothing else that speaks of one."""
    kept = [(name, value) for name, value in scope["headers"] if name.lower() not in REWRITTEN]
    described = [(b"content-type", JSON), (b"content-length", str(len(body)).encode())]
    return {**scope, "headers": [*kept, *described]}


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a receive channel that gives the buffered body first and then what the client still says."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replay
