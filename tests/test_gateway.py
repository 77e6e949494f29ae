"""The gateway in front of an app of the test's own: what it lets through, what it answers itself, what it makes of failures."""

import asyncio
import json

import pytest

from serving.gateway import Gateway
from serving.settings import settings

GOOD = json.dumps({"texts": ["The report is sound."]}).encode()
UNDERSTOOD = b'{"texts":["The report is sound."]}'
JSON = [(b"content-type", b"application/json")]


class Below:
    """An app that records what reaches it and answers as it is told."""

    def __init__(self, status=200, error=None):
        self.status, self.error, self.bodies, self.headers = status, error, [], []

    async def __call__(self, scope, receive, send):
        self.headers.append(scope["headers"])
        self.bodies.append((await receive()).get("body", b""))
        if self.error:
            raise self.error
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": b'{"error": "secret text"}'})


def call(below=None, *, gateway=None, method="POST", path="/predict", body=GOOD, headers=JSON, messages=None, receive=None):
    """Return status, headers and body of the gateway's answer; None where it gave none."""
    incoming = messages or [{"type": "http.request", "body": body, "more_body": False}]
    sent = []

    async def received():
        return incoming.pop(0) if incoming else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": list(headers)}
    asyncio.run((gateway or Gateway(below))(scope, receive or received, send))
    if not sent:
        return None
    found = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], found, b"".join(message.get("body", b"") for message in sent[1:])


def problem(answer):
    status, headers, body = answer
    assert headers["content-type"] == "application/problem+json"
    content = json.loads(body)
    assert content["status"] == status
    assert set(content) <= {"type", "title", "status", "detail", "errors"}
    return status, content, headers


def test_what_was_understood_of_a_good_request_is_passed_on():
    below = Below()
    assert call(below)[0] == 200
    assert below.bodies == [UNDERSTOOD]


@pytest.mark.parametrize("body", [b"\xef\xbb\xbf" + GOOD, GOOD.decode().encode("utf-16")])
def test_other_encodings_of_json_are_passed_on_as_plain_utf_8(body):
    below = Below()
    headers = [*JSON, (b"content-length", b"5"), (b"content-encoding", b"gzip"), (b"x-request-id", b"7")]
    assert call(below, body=body, headers=headers)[0] == 200
    assert below.bodies == [UNDERSTOOD]
    length = str(len(UNDERSTOOD)).encode()
    assert below.headers == [[(b"x-request-id", b"7"), (b"content-type", b"application/json"), (b"content-length", length)]]


def test_two_content_types_are_refused():
    below = Below()
    doubled = [(b"content-type", b"multipart/form-data; boundary=x"), *JSON]
    assert problem(call(below, headers=doubled))[0] == 415
    assert below.bodies == []


def test_requests_beyond_the_limit_are_refused_at_once(monkeypatch):
    monkeypatch.setenv("STANCE_CONCURRENT_REQUESTS", "1")
    settings.cache_clear()
    try:
        gateway = Gateway(Below())
        gateway._under_way = 1
        status, _, headers = problem(call(gateway=gateway))
        assert (status, headers["retry-after"]) == (429, "1")
        assert call(gateway=gateway, method="GET", path="/livez")[0] == 200
        gateway._under_way = 0
        assert call(gateway=gateway)[0] == 200
        assert gateway._under_way == 0
    finally:
        settings.cache_clear()


def test_an_answer_that_takes_too_long_is_given_up(monkeypatch):
    async def asleep(scope, receive, send):
        await asyncio.sleep(60)

    monkeypatch.setenv("STANCE_TIMEOUT_SECONDS", "1")
    settings.cache_clear()
    try:
        assert problem(call(asleep))[0] == 504
    finally:
        settings.cache_clear()


def test_a_body_that_does_not_arrive_is_given_up_and_frees_its_place(monkeypatch):
    async def silent():
        await asyncio.sleep(60)

    gateway = Gateway(Below())
    monkeypatch.setenv("STANCE_TIMEOUT_SECONDS", "1")
    settings.cache_clear()
    try:
        assert problem(call(gateway=gateway, receive=silent))[0] == 408
        assert gateway._under_way == 0
    finally:
        settings.cache_clear()


def test_a_body_of_many_faults_is_answered_with_some():
    texts = {f"key{i}": i for i in range(5000)}
    status, content, _ = problem(call(Below(), body=json.dumps(texts).encode()))
    assert (status, len(content["errors"])) == (422, 100)


def test_too_many_texts_are_one_fault_whatever_they_hold():
    status, content, _ = problem(call(Below(), body=json.dumps({"texts": [1] * 20_000}).encode()))
    assert status == 422
    assert [error["message"] for error in content["errors"]] == ["expected at most 256 texts, found 20000"]


def test_a_failure_is_logged_by_its_place_without_its_message(caplog):
    call(Below(error=RuntimeError("secret")))
    assert "RuntimeError at __call__" in caplog.text
    assert "secret" not in caplog.text


def test_a_body_in_pieces_is_put_together():
    below = Below()
    pieces = [{"type": "http.request", "body": GOOD[:5], "more_body": True}, {"type": "http.request", "body": GOOD[5:]}]
    assert call(below, messages=pieces)[0] == 200
    assert below.bodies == [UNDERSTOOD]


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
    assert below.bodies == []


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
    assert below.bodies == []


def test_a_single_string_is_accepted():
    assert call(Below(), body=b'{"texts": "one"}')[0] == 200


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503, 504])
def test_errors_from_below_become_problems_without_internals(status):
    found, content, headers = problem(call(Below(status=status)))
    assert found == status
    assert "secret" not in json.dumps(content)
    assert ("retry-after" in headers) == (status in (429, 503))


def test_a_failure_below_becomes_500_without_internals():
    status, content, _ = problem(call(Below(error=RuntimeError("secret"))))
    assert status == 500
    assert "secret" not in json.dumps(content)


def test_a_client_that_leaves_is_not_answered_and_not_computed():
    below = Below()
    left = [{"type": "http.request", "body": GOOD[:4], "more_body": True}, {"type": "http.disconnect"}]
    assert call(below, messages=left) is None
    assert below.bodies == []


@pytest.mark.parametrize(("value", "valid"), [("7", True), ("0", False), ("-1", False), ("many", False), ("٣", False)])
def test_a_setting_is_read_from_the_environment_or_refused(monkeypatch, value, valid):
    from serving.errors import ConfigError

    monkeypatch.setenv("STANCE_TEXTS", value)
    settings.cache_clear()
    try:
        if valid:
            assert settings().texts == int(value)
        else:
            with pytest.raises(ConfigError, match="STANCE_TEXTS: expected a positive whole number"):
                settings()
    finally:
        settings.cache_clear()
