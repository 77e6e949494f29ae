"""Who may call the service, what every answer and log line is like, and the settings that say so."""

import logging

import pytest

from serving.settings import settings
from tests.gateway import JSON, Below, call, problem

pytestmark = pytest.mark.usefixtures("fresh_settings")


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
