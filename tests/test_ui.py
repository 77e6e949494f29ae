"""The page's form and files at the gateway: what is posted without JavaScript, and what the browser is allowed."""

import csv
import io
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest

from serving import ui
from serving.batching import QueueFull
from serving.schema import AnalyzedSentence, AnalyzeResponse, LabelShare, Summary
from tests.gateway import JSON, Below, call, problem

pytestmark = pytest.mark.usefixtures("fresh_settings")

FORM = [(b"content-type", b"application/x-www-form-urlencoded")]
HOSTILE = '<script>alert("x")</script> & "more".'


class Page(Below):
    """Below, with an analysis of one sentence: the whole text."""

    def __init__(self, **options):
        super().__init__(**options)
        self.analyze = SimpleNamespace(local=self._analyze)
        label = SimpleNamespace(name="<for>", definition="says & means")
        self.batcher = SimpleNamespace(predictor=SimpleNamespace(manifest=SimpleNamespace(target="<target>", labels=[label])))

    async def _analyze(self, text):
        self.texts.append(text)
        if self.error:
            raise self.error
        probabilities = {"<for>": 0.75, "against": 0.25}
        place = {"text": text, "start": 0, "end": len(text), "furniture": False, "holder": None}
        prediction = {"label": "<for>", "confidence": 0.75, "probabilities": probabilities, "prediction_set": ["<for>"]}
        sentence = AnalyzedSentence(**place, **prediction, abstain=True, truncated=False)
        shares = {"<for>": LabelShare(count=1, share=1.0), "against": LabelShare(count=0, share=0.0)}
        summary = Summary(sentences=1, furniture=0, labels=shares, holders=[])
        return AnalyzeResponse(model="stance:test", sentences=[sentence], summary=summary)


def post(below=None, *, headers=FORM, body=None, **fields):
    status, found, content = call(below or Page(), path="/ui", headers=headers, body=body or urlencode(fields).encode())
    return status, found, content.decode()


def test_the_form_answers_with_the_marked_text_and_escapes_everything():
    below = Page()
    status, headers, page = post(below, text=HOSTILE)
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert below.texts == [HOSTILE]
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt; &amp; &#34;more&#34;.") == 3  # field, text, table
    assert "&lt;for&gt;, </span>75" in page
    assert "unsure" in page
    assert "&lt;target&gt;" in page
    assert "<for>" not in page


def test_the_page_may_load_from_here_alone_and_runs_nothing_inline():
    _, headers, page = post(text=HOSTILE)
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'self';")
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self'" in policy
    assert "unsafe" not in policy
    assert page.count("<script") == 1
    for inline in (" style=", "<style", " onclick", "http://", "https://"):
        assert inline not in page


def test_line_ends_of_a_form_are_those_of_the_text():
    below = Page()
    post(below, text="One.\r\n\r\nTwo.")
    assert below.texts == ["One.\n\nTwo."]


@pytest.mark.parametrize(("kind", "media_type"), [("csv", "text/csv; charset=utf-8"), ("json", "application/json")])
def test_the_form_can_ask_for_a_file(kind, media_type):
    _, headers, content = post(text=HOSTILE, answer=kind)
    assert headers["content-type"] == media_type
    assert headers["content-disposition"] == f'attachment; filename="stances.{kind}"'
    if kind == "csv":
        (row,) = csv.DictReader(io.StringIO(content.removeprefix("\ufeff")))
        assert (row["text"], row["label"], row["p_against"]) == (HOSTILE, "<for>", "0.25")
    else:
        assert AnalyzeResponse.model_validate_json(content).sentences[0].text == HOSTILE


@pytest.mark.parametrize(
    ("request_", "status", "told"),
    [
        ({"text": " "}, 422, "at least one character"),
        ({"text": "x" * 11}, 422, "at most 10 characters"),
        ({"words": "x"}, 422, "text"),
        ({"text": "x", "answer": "exe"}, 422, "answer"),
        ({"body": b"text=%ff"}, 422, "a form in UTF-8"),
        ({"body": b"&".join(b"a%d=b" % i for i in range(99))}, 422, "a form in UTF-8"),
        ({"body": b"text=" + b"x" * 200}, 413, "at most 150 bytes"),
        ({"text": "x", "headers": JSON}, 415, "application/x-www-form-urlencoded"),
    ],
)
def test_what_cannot_be_analyzed_is_told_on_the_page(monkeypatch, request_, status, told):
    monkeypatch.setenv("STANCE_ARTICLE_CHARACTERS", "10")
    monkeypatch.setenv("STANCE_BODY_BYTES", "800" if "body" in request_ and status == 422 else "150")
    below = Page()
    found, headers, page = post(below, **request_)
    assert (found, headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert told in page
    assert '<div class="message">' in page
    assert below.texts == []


def test_a_full_queue_keeps_the_text_and_says_when_to_come_back():
    status, headers, page = post(Page(error=QueueFull(7)), text="What I wrote.")
    assert (status, headers["retry-after"]) == (429, "7")
    assert "What I wrote." in page
    assert "The queue is full" in page
    assert post(Page(full=QueueFull(7)), text="x")[1]["retry-after"] == "7"


def test_with_keys_the_form_holds_one_and_the_page_tells_nothing_of_the_model(monkeypatch):
    monkeypatch.setenv("STANCE_API_KEYS", "right")
    below = Page()
    status, headers, page = post(below, text="x", key="wrong")
    assert (status, headers["www-authenticate"], below.texts) == (401, "Bearer", [])
    assert 'name="key"' in page
    assert "wrong" not in page
    assert "&lt;target&gt;" not in page
    assert post(below, text="x", key="right")[0] == 200
    assert post(below, text="x", key="right ")[0] == 200


def test_the_page_and_its_files_are_open_and_nothing_beside_them(monkeypatch):
    monkeypatch.setenv("STANCE_API_KEYS", "right")
    assert {"/ui/main.js", "/ui/style.css", "/ui/example.txt"} <= ui.ASSETS
    for path in sorted(ui.PATHS):
        assert call(method="GET", path=path)[0] == 200
    for path in ("/ui/page.html", "/ui/../settings.py", "/ui/", "/ui/nope.js"):
        assert call(method="GET", path=path)[0] == 401
    assert problem(call(method="POST", path="/ui/main.js"))[2]["allow"] == "GET, HEAD"
    assert problem(call(method="DELETE", path="/ui"))[2]["allow"] == "GET, HEAD, POST"
