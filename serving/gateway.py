"""The gateway: an ASGI layer in front of BentoML's handlers that lets nothing invalid through and answers every error alike.

BentoML would answer a malformed body with its own error form, and write what it could not parse, a user's text, into the log.
So path, method, size, media type and body are judged here; a handler sees only what fits the contract.
"""

import json
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
GET_PATHS = frozenset({"/model", "/livez", "/healthz", "/readyz", "/metrics", "/docs.json", "/schema.json", "/"})
GET_PREFIXES = ("/static_content/",)


class Disconnected(Exception):
    """The client left before its body was complete."""


class TooLarge(Exception):
    """The body is over the limit."""


class Gateway:
    """ASGI middleware: checks requests, and turns every error answer of the layers below into a problem."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path, method = scope["path"], scope["method"]
        if path in POST_BODIES:
            if method != "POST":
                await problem(405, headers={"Allow": "POST"})(scope, receive, send)
                return
            await self._post(scope, receive, send)
        elif path in GET_PATHS or path.startswith(GET_PREFIXES):
            if method not in ("GET", "HEAD"):
                await problem(405, headers={"Allow": "GET, HEAD"})(scope, receive, send)
                return
            await self._forward(scope, receive, send)
        else:
            await problem(404)(scope, receive, send)

    async def _post(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.lower(): value for name, value in scope["headers"]}
        media_type = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
        if media_type != b"application/json":
            await problem(415, "expected Content-Type: application/json")(scope, receive, send)
            return
        try:
            body = await _read_body(receive, declared=headers.get(b"content-length", b""))
        except TooLarge:
            await problem(413, f"expected at most {settings().body_bytes} bytes of body")(scope, receive, send)
            return
        except Disconnected:
            return
        try:
            # json, not pydantic's own parser: the handler below reads the body with it too, so both accept the same.
            POST_BODIES[scope["path"]].model_validate(json.loads(body))
        except ValidationError as error:
            await invalid(error)(scope, receive, send)
        except (ValueError, RecursionError):
            fault = ErrorItem(loc=[], message="expected JSON in UTF-8")
            await problem(422, f"body: {fault.message}", errors=[fault])(scope, receive, send)
        else:
            scope["headers"] = [(name, value) for name, value in scope["headers"] if name.lower() != b"content-encoding"]
            await self._forward(scope, _replay(body, receive), send)

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
            await self.app(scope, receive, guarded)
        except Exception:
            if started:
                raise
            failed = 500
        if failed:
            await problem(failed)(scope, receive, send)


async def _read_body(receive: Receive, *, declared: bytes) -> bytes:
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
