"""An article on the page, in a real browser."""

import csv
import io
import json
import re

import pytest

from serving.corrections import Store
from tests.page.actions import EXAMPLE, LABELS, MARKS, analysis, download, mark

pytestmark = MARKS


def test_an_article_is_marked_sentence_by_sentence(visit, served):
    page = visit()
    mark(page)
    expected = analysis(served)["sentences"]
    marks = page.locator(".sentence")
    assert marks.count() == len(expected)
    for shown, sentence in zip(marks.all(), expected, strict=True):
        text = shown.evaluate(
            "mark => [...mark.childNodes].filter(n => n.className !== 'marker').map(n => n.textContent).join('')"
        )
        assert text == sentence["text"]  # also behind the emoji, where JavaScript's own indices are off by one
        if not sentence["furniture"]:
            unsure = ", unsure" if sentence["abstain"] else ""
            assert shown.locator(".marker").text_content().startswith(f"{sentence['label']}, ")
            assert f" percent{unsure}: " in shown.locator(".marker").text_content()
            assert shown.locator(".marker .unsure-mark").count() == sentence["abstain"]
            assert shown.locator("svg.shape").bounding_box()["width"] > 5
    assert page.locator(".article p").count() == len(re.split(r"\n\n", EXAMPLE.strip()))
    assert page.evaluate("document.activeElement.id") == "results"
    share = page.locator("svg.share").get_attribute("aria-label")
    assert [part.split()[0] for part in share.split(", ")] == LABELS


def test_sentences_are_filtered_by_stance_holder_and_doubt(visit, served):
    page = visit()
    mark(page)
    sentences = [sentence for sentence in analysis(served)["sentences"] if not sentence["furniture"]]
    labels = [sentence["label"] for sentence in sentences]
    voiced = [sentence for sentence in sentences if sentence["holder"] and sentence["holder"]["name"] == "Ana Lindqvarn"]
    shown = page.locator(".sentence:not(.out)")
    filters = page.get_by_role("group", name="Show only")
    supportive = filters.get_by_role("button", name="supportive")
    assert f"{labels.count('supportive')} ·" in supportive.inner_text()
    supportive.click()
    assert shown.count() == labels.count("supportive") > len(voiced) > 0
    page.locator("#status", has_text="sentences shown").wait_for(state="attached")
    page.get_by_label("Who says it").select_option("Ana Lindqvarn")
    assert shown.count() == sum(sentence["label"] == "supportive" for sentence in voiced)
    assert "said Ana Lindqvarn" in shown.first.inner_text()
    page.get_by_role("radio", name="Table").check()
    assert page.locator("tbody tr").count() == sum(sentence["label"] == "supportive" for sentence in voiced)
    supportive.click()
    page.get_by_label("Who says it").select_option("*")
    filters.get_by_role("button", name="unsure").click()
    unsure = sum(sentence["abstain"] for sentence in sentences)
    assert page.locator("tbody tr").count() == page.locator("tbody .unsure-mark").count() == unsure


def test_pointing_at_a_sentence_shows_its_probabilities_and_holder(visit, served):
    page = visit()
    mark(page)
    sentence = next(found for found in analysis(served)["sentences"] if found["holder"])
    details = page.locator("#details")
    expected = pytest.approx([100 * p for p in sentence["probabilities"].values()], abs=2)
    for _ in range(20):  # the page may still move under the pointer
        page.mouse.move(0, 0)
        page.locator(".sentence", has_text=sentence["text"]).hover()
        details.locator(".probabilities").wait_for()
        page.wait_for_timeout(250)
        found = [line.split() for line in details.locator(".probabilities > div").all_inner_texts()]
        if [int(parts[1]) for parts in found] == expected:
            break
    assert [parts[0] for parts in found] == LABELS
    assert [int(parts[1]) for parts in found] == expected
    holder = sentence["holder"]
    assert f"{holder['name']} · {holder['speech']} speech, cue “{holder['cue']['text']}”" in details.inner_text()


def test_a_sentence_that_is_looked_at_shows_the_words_that_decided(visit, served):
    page = visit()
    text = "Nobody denies it. The findings are a lie."
    mark(page, text)
    page.locator(".sentence", has_text="a lie").focus()
    words = served.post("/explain", json={"text": "The findings are a lie."}).json()["words"]
    decisive = [word for word in words if abs(word["contribution"]) >= 0.05]
    page.locator(".shaded").wait_for()
    assert page.locator(".shaded .word").all_inner_texts() == [word["word"] for word in words]
    strongest = max(decisive, key=lambda word: abs(word["contribution"]))
    assert (
        page.locator(".top-words li")
        .first.inner_text()
        .startswith(f"{strongest['word']} {'+' if strongest['contribution'] > 0 else '−'}")
    )
    assert strongest["word"] in page.locator(".word.degree-3").all_inner_texts()


def test_the_keyboard_reaches_everything(visit):
    page = visit()
    mark(page)
    first = page.locator(".sentence").first
    assert page.locator(".sentence[tabindex='0']").count() == 1
    first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.dataset.index") == "2"
    assert page.locator("#details-title").inner_text().startswith("Sentence 3")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "details"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.dataset.index") == "2"
    assert page.locator("#details-title").inner_text() == "Details"
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement === [...document.querySelectorAll('.sentence')].at(-1)")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_a_correction_is_sent_and_stored(visit, champion_home):
    page = visit()
    mark(page)
    sentence = page.locator(".sentence", has_text="patchwork of lies")
    sentence.click()
    page.get_by_label("Your name or initials").fill("tester")
    with page.expect_response("**/corrections") as waited:
        page.locator(".choices").get_by_role("button", name="critical").click()
    assert waited.value.status == 201
    page.get_by_text("You corrected it to critical.").wait_for()
    assert "corrected" in sentence.get_attribute("class")
    (stored,) = Store(f"sqlite:///{champion_home / 'stance-corrections.sqlite'}").corrections()
    assert (stored.correction.label, stored.correction.predicted, stored.correction.annotator) == (
        "critical",
        "denying",
        "tester",
    )
    assert "patchwork of lies" in stored.correction.text
    rows = list(csv.DictReader(io.StringIO(download(page, "Download CSV")[1])))
    assert [row["correction"] for row in rows if "patchwork" in row["text"]] == ["critical"]


def test_an_article_is_downloaded_as_csv_and_json(visit, served):
    page = visit()
    mark(page)
    expected = analysis(served)
    name, content = download(page, "Download CSV")
    rows = list(csv.DictReader(io.StringIO(content, newline="")))
    assert name == "stances.csv"
    assert [row["text"] for row in rows] == [sentence["text"] for sentence in expected["sentences"]]
    assert all(EXAMPLE[int(row["start"]) : int(row["end"])] == row["text"] for row in rows)
    assert [row["label"] for row in rows] == [sentence["label"] for sentence in expected["sentences"]]
    assert {row["model"] for row in rows} == {expected["model"]}
    name, content = download(page, "Download JSON")
    answer = json.loads(content)
    assert (name, answer.pop("corrections"), answer["summary"]) == ("stances.json", [], expected["summary"])
