"""The gateway in front of an app of the test's own: what it lets through, what it answers itself, what it makes of failures."""

import asyncio
import json
import logging
from types import SimpleNamespace

import bentoml
import pytest

from serving.batching import QueueFull
from serving.gateway import Gateway
from serving.lifecycle import lifecycle
from serving.schema import PredictResponse
from serving.settings import settings

GOOD = json.dumps({"texts": ["The report is sound."]}).encode()
JSON = [(b"content-type", b"application/json")]


class Below:
    """What lies behind the gateway: an app that answers GET as it is told, and a service whose method records its texts."""

    def __init__(self, status=200, error=None, answer=None, full=None):
        self.status, self.error, self.answer, self.full = status, error, answer, full
        self.texts, self.paths = [], []
        self.predict = SimpleNamespace(local=self._predict)

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


@pytest.fixture(autouse=True)
def fresh_settings(monkeypatch):
    settings.cache_clear()
    yield
    monkeypatch.undo()
    settings.cache_clear()


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


def test_a_good_request_reaches_the_service_and_its_answer_the_client():
    below = Below()
    status, headers, body = call(below)
    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(body) == {"model": "stance:test", "predictions": []}
    assert below.texts == [["The report is sound."]]


@pytest.mark.parametrize("body", [b"\xef\xbb\xbf" + GOOD, GOOD.decode().encode("utf-16")])
def test_other_encodings_of_json_are_understood(body):
    below = Below()
    assert call(below, body=body)[0] == 200
    assert below.texts == [["The report is sound."]]


def test_two_content_types_are_refused():
    below = Below()
    doubled = [(b"content-type", b"multipart/form-data; boundary=x"), *JSON]
    assert problem(call(below, headers=doubled))[0] == 415
    assert below.texts == []


def test_requests_beyond_the_limit_are_refused_at_once(monkeypatch):
    monkeypatch.setenv("STANCE_CONCURRENT_REQUESTS", "1")
    monkeypatch.setattr(lifecycle, "under_way", 1)
    status, _, headers = problem(call())
    assert (status, headers["retry-after"]) == (429, "1")
    assert call(method="GET", path="/livez")[0] == 200
    monkeypatch.setattr(lifecycle, "under_way", 0)
    assert call()[0] == 200
    assert lifecycle.under_way == 0


def test_a_full_queue_says_when_to_come_back():
    status, _, headers = problem(call(Below(error=QueueFull(7))))
    assert (status, headers["retry-after"]) == (429, "7")


def test_a_full_queue_refuses_before_the_body_is_read():
    below = Below(full=QueueFull(7))

    async def unread():
        raise AssertionError

    status, _, headers = problem(call(below, receive=unread))
    assert (status, headers["retry-after"]) == (429, "7")
    assert below.texts == []


def test_while_stopping_new_requests_are_refused_and_the_connection_is_closed(monkeypatch):
    monkeypatch.setattr(lifecycle, "draining", True)
    below = Below()
    status, _, headers = problem(call(below))
    assert (status, headers["connection"], headers["retry-after"]) == (503, "close", "1")
    assert below.texts == []
    assert problem(call(method="GET", path="/readyz"))[0] == 503
    assert call(method="GET", path="/livez")[0] == 200


def test_an_answer_that_takes_too_long_is_given_up(monkeypatch):
    given_up = []

    async def asleep():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            given_up.append(True)
            raise

    monkeypatch.setenv("STANCE_TIMEOUT_SECONDS", "1")
    assert problem(call(Below(answer=asleep)))[0] == 504
    assert given_up == [True]


def test_a_client_that_leaves_while_it_waits_is_given_up_and_frees_its_place():
    given_up = []

    async def asleep():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            given_up.append(True)
            raise

    left = [{"type": "http.request", "body": GOOD}, {"type": "http.disconnect"}]
    assert call(Below(answer=asleep), messages=left)[0] == 499
    assert given_up == [True]
    assert lifecycle.under_way == 0


def test_a_body_that_does_not_arrive_is_given_up_and_frees_its_place(monkeypatch):
    async def silent():
        await asyncio.sleep(60)

    monkeypatch.setenv("STANCE_TIMEOUT_SECONDS", "1")
    assert problem(call(receive=silent))[0] == 408
    assert lifecycle.under_way == 0


KEY_HEADERS = [(b"authorization", b"Bearer two"), (b"Authorization", b"bearer one"), (b"x-api-key", b"two")]


@pytest.mark.parametrize("header", KEY_HEADERS)
def test_a_key_opens_the_service(monkeypatch, header):
    monkeypatch.setenv("STANCE_API_KEYS", "one, two")
    assert call(headers=[*JSON, header])[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"authorization", b"Bearer three")],
        [(b"authorization", b"Basic one")],
        [(b"x-api-key", b"")],
        [(b"x-api-key", b"on\xff")],
    ],
)
def test_without_a_key_nothing_but_health_answers(monkeypatch, headers):
    monkeypatch.setenv("STANCE_API_KEYS", "one two")
    below = Below()
    for method, path in (("POST", "/predict"), ("GET", "/model"), ("GET", "/metrics"), ("GET", "/nope")):
        status, _, answered = problem(call(below, method=method, path=path, headers=[*JSON, *headers]))
        assert (status, answered["www-authenticate"]) == (401, "Bearer")
    assert below.texts == below.paths == []
    for path in ("/livez", "/readyz", "/healthz"):
        assert call(below, method="GET", path=path, headers=headers)[0] == 200


def test_keys_come_from_a_file_and_a_file_without_any_is_an_error(monkeypatch, tmp_path):
    from serving.errors import ConfigError

    file = tmp_path / "keys"
    file.write_text("first\nsecond\n")
    monkeypatch.setenv("STANCE_API_KEYS_FILE", str(file))
    assert call(headers=[*JSON, (b"x-api-key", b"second")])[0] == 200
    assert problem(call())[0] == 401
    file.write_text("\n")
    with pytest.raises(ConfigError, match="expected one API key a line, found none"):
        call()
    file.unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        call()


@pytest.mark.parametrize("request_", [{}, {"path": "/nope"}, {"method": "GET", "path": "/livez"}, {"body": b"{"}])
def test_every_answer_has_the_security_headers(request_):
    _, headers, _ = call(**request_)
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["cache-control"] == "no-store"


def test_the_access_log_holds_no_path_that_a_client_made_up(caplog):
    with caplog.at_level(logging.INFO):
        call(method="GET", path="/a secret text")
        call()
    assert "path=other status=404" in caplog.text
    assert "path=/predict status=200" in caplog.text
    assert "secret" not in caplog.text


def test_what_clients_make_up_is_no_label_of_a_metric():
    from prometheus_client import generate_latest

    call(method="GET", path="/made-up")
    call(method="MADEUP")
    assert b'stance_requests_total{path="other",status="404"}' in generate_latest()
    assert b"made" not in generate_latest().lower().replace(b"made of", b"")


def test_a_body_of_many_faults_is_answered_with_some():
    texts = {f"key{i}": i for i in range(5000)}
    status, content, _ = problem(call(Below(), body=json.dumps(texts).encode()))
    assert (status, len(content["errors"])) == (422, 100)


def test_too_many_texts_are_one_fault_whatever_they_hold():
    status, content, _ = problem(call(Below(), body=json.dumps({"texts": [1] * 20_000}).encode()))
    assert status == 422
    assert [error["message"] for error in content["errors"]] == ["expected at most 256 texts, found 20000"]


def test_a_failure_is_logged_by_its_place_without_its_message(caplog):
    assert problem(call(Below(error=RuntimeError("secret"))))[0] == 500
    assert "RuntimeError at _predict" in caplog.text
    assert "secret" not in caplog.text


def test_a_body_in_pieces_is_put_together():
    below = Below()
    pieces = [{"type": "http.request", "body": GOOD[:5], "more_body": True}, {"type": "http.request", "body": GOOD[5:]}]
    assert call(below, messages=pieces)[0] == 200
    assert below.texts == [["The report is sound."]]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"path": "/nope"}, 404),
        ({"path": "/predict/"}, 404),
        ({"method": "GET", "path": "/"}, 404),
        ({"method": "GET"}, 405),
        ({"method": "DELETE", "path": "/model"}, 405),
        ({"method": "BREW"}, 405),
        ({"headers": []}, 415),
        ({"headers": [(b"Content-Type", b"text/plain")]}, 415),
        ({"headers": [(b"content-type", b"application/vnd.bentoml+pickle")]}, 415),
        ({"headers": [*JSON, (b"content-length", b"99999999")]}, 413),
        ({"body": b" " * (2 * 1024 * 1024 + 1)}, 413),
    ],
)
def test_what_does_not_fit_the_contract_is_answered_here(request_, status):
    below = Below()
    assert problem(call(below, **request_))[0] == status
    assert below.texts == below.paths == []


def test_405_says_what_is_allowed():
    assert problem(call(Below(), method="PUT"))[2]["allow"] == "POST"


@pytest.mark.parametrize(
    ("body", "loc", "message"),
    [
        (b"", [], "expected JSON in UTF-8"),
        (b"{", [], "expected JSON in UTF-8"),
        (b'{"texts": ["\xff"]}', [], "expected JSON in UTF-8"),
        (b"[" * 100_000, [], "expected JSON in UTF-8"),
        (b"[]", [], "valid dictionary"),
        (b"{}", ["texts"], "Field required"),
        (b'{"texts": []}', ["texts"], "at least 1 item"),
        (b'{"texts": [""]}', ["texts", 0], "at least 1 character"),
        (b'{"texts": ["x", " \\n"]}', ["texts", 1], "not white space"),
        (b'{"texts": [1]}', ["texts", 0], "valid string"),
        (b'{"texts": null}', ["texts"], "valid list"),
        (b'{"texts": ["\\ud800"]}', ["texts", 0], "unicode"),
        (b'{"texts": "x", "more": 1}', ["more"], "not permitted"),
        (json.dumps({"texts": ["x"] * 257}).encode(), ["texts"], "at most 256 texts, found 257"),
        (json.dumps({"texts": ["x", "y" * 20_001]}).encode(), ["texts", 1], "at most 20000 characters, found 20001"),
    ],
)
def test_a_body_that_does_not_fit_is_told_where_and_why_and_not_repeated(body, loc, message):
    below = Below()
    status, content, _ = problem(call(below, body=body))
    assert status == 422
    assert content["errors"][0]["loc"] == loc
    assert message in content["errors"][0]["message"]
    assert message in content["detail"]
    assert below.texts == below.paths == []


def test_a_single_string_is_accepted():
    assert call(Below(), body=b'{"texts": "one"}')[0] == 200


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503, 504])
def test_errors_from_below_become_problems_without_internals(status):
    found, content, headers = problem(call(Below(status=status), method="GET", path="/model"))
    assert found == status
    assert "secret" not in json.dumps(content)
    assert ("retry-after" in headers) == (status in (429, 503))


def test_a_failure_below_becomes_500_without_internals():
    status, content, _ = problem(call(Below(error=RuntimeError("secret")), method="GET", path="/model"))
    assert status == 500
    assert "secret" not in json.dumps(content)


def test_a_client_that_leaves_before_its_body_is_not_answered_and_not_computed():
    below = Below()
    left = [{"type": "http.request", "body": GOOD[:4], "more_body": True}, {"type": "http.disconnect"}]
    assert call(below, messages=left)[0] == 499
    assert below.texts == []


@pytest.mark.parametrize(
    ("value", "valid"), [("7", True), ("0", False), ("-1", False), ("many", False), ("٣", False), ("1.5", False)]
)
def test_a_setting_is_read_from_the_environment_or_refused(monkeypatch, value, valid):
    from serving.errors import ConfigError

    monkeypatch.setenv("STANCE_TEXTS", value)
    if valid:
        assert settings().texts == int(value)
    else:
        with pytest.raises(ConfigError, match=f"STANCE_TEXTS: expected .*, found '{value}'."):
            settings()


def test_a_key_is_never_told(monkeypatch):
    from serving.errors import ConfigError

    monkeypatch.setenv("STANCE_API_KEYS", "hush")
    assert "hush" not in repr(settings())
    settings.cache_clear()
    monkeypatch.setenv("STANCE_LOG_FORMAT", "xml")
    with pytest.raises(ConfigError, match="STANCE_LOG_FORMAT: expected 'text' or 'json', found 'xml'."):
        settings()
