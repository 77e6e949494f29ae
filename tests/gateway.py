"""The gateway in front of an app and a service of the test's own."""

import asyncio
import json
from types import SimpleNamespace

import bentoml
import pytest

from serving.gateway import Gateway
from serving.predictor import Prediction
from serving.schema import ClassificationResponse, ExplainResponse, PredictResponse, TextPrediction

GOOD = json.dumps({"texts": ["The report is sound."]}).encode()
JSON = [(b"content-type", b"application/json")]


class Below:
    """What lies behind the gateway: an app that answers GET as it is told, and a service whose method records its texts."""

    def __init__(self, status=200, error=None, answer=None, full=None):
        self.status, self.error, self.answer, self.full = status, error, answer, full
        self.texts, self.paths = [], []
        self.predict = SimpleNamespace(local=self._predict)
        self.explain = SimpleNamespace(local=self._explain)
        self.text_classification = SimpleNamespace(local=self._text_classification)

    labels = ("for", "against")

    async def __call__(self, scope, receive, send):
        self.paths.append(scope["path"])
        if self.error:
            raise self.error
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": b'{"error": "secret text"}'})

    def refuse_if_full(self):
        if self.full:
            raise self.full

    async def _predict(self, texts):
        self.texts.append(texts)
        if self.error:
            raise self.error
        if self.answer:
            await self.answer()
        return PredictResponse(model="stance:test", predictions=[])

    async def _explain(self, text):
        self.texts.append(text)
        prediction = TextPrediction.of(Prediction("a", 0.7, {"a": 0.7, "b": 0.3}, ("a",), abstain=False, truncated=False))
        return ExplainResponse(model="stance:test", prediction=prediction, words=[], words_left_out=0)

    async def _text_classification(self, inputs, parameters):
        self.texts.append(inputs)
        found = [Prediction("b", 0.7, {"a": 0.3, "b": 0.7}, ("b",), abstain=False, truncated=False) for _ in inputs]
        return ClassificationResponse.of(found, parameters)


class Asleep:
    """An answer that does not come; remembers that it was given up."""

    given_up = False

    async def __call__(self):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.given_up = True
            raise


def call(below=None, *, method="POST", path="/predict", body=GOOD, headers=JSON, messages=None, receive=None):
    """Return status, headers and body of the gateway's answer."""
    below = below or Below()
    incoming = messages or [{"type": "http.request", "body": body, "more_body": False}]
    sent = []

    async def received():
        if not incoming:
            await asyncio.sleep(60)
        return incoming.pop(0)

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": list(headers)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bentoml, "get_current_service", lambda: below)
        asyncio.run(Gateway(below)(scope, receive or received, send))
    found = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], found, b"".join(message.get("body", b"") for message in sent[1:])


def problem(answer):
    status, headers, body = answer
    assert headers["content-type"] == "application/problem+json"
    content = json.loads(body)
    assert content["status"] == status
    assert set(content) <= {"type", "title", "status", "detail", "errors"}
    return status, content, headers
