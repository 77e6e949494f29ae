"""What the gateway lets through, what it answers itself, what it makes of failures."""

import asyncio
import json

import pytest

from serving.batching import QueueFull
from serving.lifecycle import lifecycle
from tests.gateway import GOOD, JSON, Asleep, Below, call, problem

pytestmark = pytest.mark.usefixtures("fresh_settings")


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
    asleep = Asleep()
    monkeypatch.setenv("STANCE_TIMEOUT_SECONDS", "1")
    assert problem(call(Below(answer=asleep)))[0] == 504
    assert asleep.given_up


def test_a_client_that_leaves_while_it_waits_is_given_up_and_frees_its_place():
    asleep = Asleep()
    left = [{"type": "http.request", "body": GOOD}, {"type": "http.disconnect"}]
    assert call(Below(answer=asleep), messages=left)[0] == 499
    assert asleep.given_up
    assert lifecycle.under_way == 0


def test_a_body_that_does_not_arrive_is_given_up_and_frees_its_place(monkeypatch):
    async def silent():
        await asyncio.sleep(60)

    monkeypatch.setenv("STANCE_TIMEOUT_SECONDS", "1")
    assert problem(call(receive=silent))[0] == 408
    assert lifecycle.under_way == 0


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


@pytest.mark.parametrize(
    ("path", "body", "fields", "message"),
    [
        ("/explain", {}, ["text"], "Field required"),
        ("/explain", {"text": ["x"]}, ["text"], "valid string"),
        ("/explain", {"text": " "}, ["text"], "not white space"),
        ("/explain", {"text": "x" * 20_001}, ["text"], "at most 20000 characters"),
        ("/explain", {"text": "x", "label": "a"}, ["label"], "not permitted"),
        ("/text-classification", {"texts": "x"}, ["inputs"], "Field required"),
        ("/text-classification", {"inputs": {"text": "x", "text_pair": "y"}}, ["inputs"], "valid list"),
        ("/text-classification", {"inputs": ["x", ""]}, ["inputs", 1], "at least 1 character"),
        ("/text-classification", {"inputs": ["x"] * 257}, ["inputs"], "at most 256 texts"),
        ("/text-classification", {"inputs": "x", "parameters": {"top_k": 0}}, ["parameters", "top_k"], "greater than"),
        ("/text-classification", {"inputs": "x", "parameters": {"top_k": "1"}}, ["parameters", "top_k"], "valid integer"),
        (
            "/text-classification",
            {"inputs": "x", "parameters": {"function_to_apply": "sigmoid"}},
            ["parameters", "function_to_apply"],
            "'softmax'",
        ),
        (
            "/text-classification",
            {"inputs": "x", "parameters": {"truncation": True}},
            ["parameters", "truncation"],
            "not permitted",
        ),
        ("/", {"inputs": 5}, ["inputs"], "valid list"),
    ],
)
def test_each_call_has_a_body_of_its_own(path, body, fields, message):
    below = Below()
    status, content, _ = problem(call(below, path=path, body=json.dumps(body).encode()))
    assert (status, content["errors"][0]["loc"]) == (422, fields)
    assert message in content["errors"][0]["message"]
    assert below.texts == []


BOTH = [{"label": "b", "score": 0.7}, {"label": "a", "score": 0.3}]


@pytest.mark.parametrize("path", ["/text-classification", "/"])
@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"inputs": "x"}, [BOTH]),
        ({"inputs": ["x"]}, [BOTH]),
        ({"inputs": ["x", "y"], "parameters": {}}, [BOTH, BOTH]),
        ({"inputs": "x", "parameters": None}, [BOTH]),
        ({"inputs": "x", "parameters": {"top_k": None, "function_to_apply": None}}, [BOTH]),
        ({"inputs": "x", "parameters": {"top_k": 1, "function_to_apply": "softmax"}}, [BOTH[:1]]),
        ({"inputs": ["x", "y"], "parameters": {"top_k": 9}}, [BOTH, BOTH]),
    ],
)
def test_hugging_faces_protocol_has_a_list_of_scores_for_every_text(path, body, answer):
    below = Below()
    status, _, content = call(below, path=path, body=json.dumps(body).encode())
    assert (status, json.loads(content)) == (200, answer)
    assert below.texts == [body["inputs"] if isinstance(body["inputs"], list) else [body["inputs"]]]


def test_an_explanation_is_asked_for_one_text():
    below = Below()
    status, _, content = call(below, path="/explain", body=b'{"text": "x"}')
    assert status == 200
    assert set(json.loads(content)) == {"model", "prediction", "words", "words_left_out"}
    assert below.texts == ["x"]


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
