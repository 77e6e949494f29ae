"""`POST /analyze` over the wire and `stance analyze`: one answer in three formats, limits and refusals."""

import asyncio
import csv
import io
import json
import os
from html.parser import HTMLParser

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

import stance
from serving.durable import replace_file
from serving.errors import DataError
from serving.schema import AnalyzeRequest
from tests.conftest import ODD_TEXTS
from tests.gateway import Below, call, problem
from tests.server import SECRET

ARTICLE = (
    "UN office publishes its assessment\r\n\r\n“It is a <b>lie</b> & a farce. We reject it,” a ministry spokesman said 🙂.\r\n\r\n"
    "She welcomed nothing. According to Ann Orr, it is sound.\r\n\r\nShare your love\r\n"
)


@pytest.fixture
def article(tmp_path):
    path = tmp_path / "article.txt"
    path.write_bytes(ARTICLE.encode())
    return path


def analyze(*arguments, text=None):
    return CliRunner().invoke(stance.build(), ["analyze", *map(str, arguments)], input=text)


def test_the_service_and_the_command_give_the_predictors_answers(server, predictor, article):
    answer = server.post("/analyze", json={"text": ARTICLE}).json()
    assert answer["model"] == predictor.tag
    for sentence, expected in zip(answer["sentences"], predictor.predict([s["text"] for s in answer["sentences"]]), strict=True):
        assert ARTICLE[sentence["start"] : sentence["end"]] == sentence["text"]
        assert sentence["probabilities"] == pytest.approx(expected.probabilities, abs=0.01)
    assert [sentence["furniture"] for sentence in answer["sentences"]] == [False] * 5 + [True]
    named = [sentence["holder"] and sentence["holder"]["name"] for sentence in answer["sentences"]]
    assert named == [None, "ministry spokesman", "ministry spokesman", None, "Ann Orr", None]
    assert answer["summary"]["sentences"] == 5
    printed = json.loads(analyze(article, "--model", predictor.tag).stdout)
    assert [s["holder"] for s in printed["sentences"]] == [s["holder"] for s in answer["sentences"]]
    assert [s["start"] for s in printed["sentences"]] == [s["start"] for s in answer["sentences"]]


def test_odd_and_long_texts_are_answered_or_refused_but_never_fail(server):
    for text in [*ODD_TEXTS, "“" * 100_000, "a. " * 3000, f"{SECRET}. " * 30, "x" * 1_000_001]:
        response = server.post("/analyze", content=json.dumps({"text": text}), headers={"content-type": "application/json"})
        assert response.status_code in (200, 422), text[:20]
        assert response.status_code == (422 if "\ud800" in text or len(text) > 1_000_000 else 200)
    assert SECRET not in server.log.read_text()


@pytest.mark.parametrize("body", [{}, {"text": ""}, {"text": " \n"}, {"text": 1}, {"text": ["a"]}, {"text": "a", "more": 1}, []])
def test_what_is_no_article_is_refused(body):
    assert problem(call(path="/analyze", body=json.dumps(body).encode()))[0] == 422


def test_limits_are_settings(fresh_settings, monkeypatch):
    monkeypatch.setenv("STANCE_ARTICLE_CHARACTERS", "5")
    assert AnalyzeRequest(text="12345").text == "12345"
    with pytest.raises(ValidationError, match="expected at most 5 characters, found 6"):
        AnalyzeRequest(text="123456")


def test_too_many_sentences_are_a_problem_of_the_body():
    below = Below()

    async def refuse(text):
        raise DataError("text: expected 1 to 2 sentences, found 3")

    below.analyze = type("Method", (), {"local": staticmethod(refuse)})
    status, content, _ = problem(call(below, path="/analyze", body=b'{"text": "One. Two. Three."}'))
    assert (status, content["detail"]) == (422, "text: expected 1 to 2 sentences, found 3")


def test_a_long_article_is_read_beside_the_event_loop(built, predictor):
    from serving.service import StanceService

    text = "The minister said that it was late.\n\n" * 400

    async def run():
        service = StanceService.inner()
        answer, alone = await asyncio.gather(service.analyze(text), service.predict(["It is a lie."]))
        return answer, alone

    answer, alone = asyncio.run(run())
    assert answer.summary.holders[0].count == 400
    assert alone.predictions[0].label == predictor.predict(["It is a lie."])[0].label


def test_the_csv_has_a_line_a_sentence(article, predictor, tmp_path):
    target = tmp_path / "out.csv"
    assert analyze(article, "--output", target, "--model", predictor.tag).exit_code == 0
    rows = list(csv.DictReader(io.StringIO(target.read_bytes().decode(), newline="")))
    assert [ARTICLE[int(row["start"]) : int(row["end"])] for row in rows] == [row["text"] for row in rows]
    assert [row["holder"] for row in rows] == ["", "ministry spokesman", "ministry spokesman", "", "Ann Orr", ""]
    assert rows[1]["speech"] == "direct"
    assert rows[-1]["furniture"] == "true"
    assert sum(float(rows[0][f"p_{label}"]) for label in predictor.labels) == pytest.approx(1, abs=1e-4)
    assert target.stat().st_mode & 0o777 == 0o666 & ~umask()


def umask():
    found = os.umask(0)
    os.umask(found)
    return found


class Page(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, content):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(content)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_data(self, data):
        self.text += data


def test_the_html_report_stands_alone_and_escapes(predictor, tmp_path):
    target = tmp_path / "out.html"
    assert analyze("-", "--output", target, "--model", predictor.tag, text=ARTICLE).exit_code == 0
    page = Page(target.read_text(encoding="utf-8"))
    assert "a <b>lie</b> & a farce." in page.text
    assert not {"b", "script", "link", "img", "iframe"} & set(page.tags)
    assert not {"src", "href"} & {name for name, _ in page.attributes}
    assert "ministry spokesman (direct)" in page.text
    assert page.text.count("(not of the article)") == 1
    assert "prefers-color-scheme: dark" in target.read_text(encoding="utf-8")
    marked = [value for name, value in page.attributes if name == "class" and value and value.startswith("sentence")]
    assert len(marked) == 5
    assert all(label in page.text for label in predictor.labels)


@pytest.mark.parametrize(
    ("content", "arguments", "told"),
    [
        (b"\xff\xfe", (), "expected text in UTF-8, found byte 0xff"),
        (b" \n", (), "expected a sentence, found 0"),
        (b"x", ("--output", "out.pdf"), "expected a name that ends in .json, .csv or .html"),
        (b"x", ("--output", "nowhere/out.csv"), "expected a file in a folder that exists"),
    ],
)
def test_what_cannot_be_analyzed_is_told(article, content, arguments, told):
    article.write_bytes(content)
    result = analyze(article, *arguments)
    assert isinstance(result.exception, DataError)
    assert told in str(result.exception)


def test_a_write_that_fails_leaves_what_was_there(tmp_path):
    target = tmp_path / "out.json"
    target.write_text("before")
    with pytest.raises(UnicodeEncodeError):
        replace_file(target, "\ud800")
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]
    assert target.read_text() == "before"
