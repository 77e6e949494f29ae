"""The page in a real browser, served by a real server with the ready champion: everything that a person can do on it."""

import csv
import io
import json
import re

import pytest

pytest.importorskip("playwright")

from axe_playwright_python.sync_playwright import Axe

from benchmarks.browser import browser, chromium
from serving.corrections import Store
from tests.conftest import ROOT
from tests.server import SERVE, running

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="there is no Chromium (Debian's package is `chromium`)"),
]

EXAMPLE = (ROOT / "serving" / "page" / "example.txt").read_text(encoding="utf-8")
LABELS = ["supportive", "critical", "denying", "neutral"]
DESKTOP, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
TABLE = 'id;body;note\r\n1;"A pack of ""lies"".";"two\nlines"\r\n2;;empty\r\n' + "".join(
    f"{i};The report, no. {i}, was published on a Wednesday.;x\r\n" for i in range(3, 28)
)


@pytest.fixture(scope="module")
def served(champion_home, tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    with running(SERVE, log=folder / "log", cwd=folder, env={"BENTOML_HOME": str(champion_home), "STANCE_TEXTS": "20"}) as client:
        yield client


@pytest.fixture(scope="module")
def opened():
    with browser() as opened:
        yield opened


@pytest.fixture
def visit(opened, served):
    """Open the page; in the end: no request went elsewhere, nothing was blocked by its policy, no error was left alone."""
    asked, faults, contexts = [], [], []

    def visit(**options):
        context = opened.new_context(**{"viewport": DESKTOP, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if "Content Security Policy" in message.text else None)
        page.goto(str(served.base_url.join("ui")))
        return page

    yield visit
    for context in contexts:
        context.close()
    origin = str(served.base_url).rstrip("/")
    assert [url for url in asked if not url.startswith((f"{origin}/", f"blob:{origin}/"))] == []
    assert faults == []


def mark(page, text=EXAMPLE):
    page.get_by_role("textbox", name="Article").fill(text)
    page.get_by_role("button", name="Mark the stances").click()
    page.locator("#results-title").wait_for()


def analysis(served, text=EXAMPLE):
    return served.post("/analyze", json={"text": text}).json()


def download(page, name):
    with page.expect_download() as waited:
        page.get_by_role("button", name=name).click()
    return waited.value.suggested_filename, waited.value.path().read_text(encoding="utf-8-sig")


def serious(page):
    violations = Axe().run(page).response["violations"]
    return [
        (found["id"], [node["html"] for node in found["nodes"]])
        for found in violations
        if found["impact"] in ("serious", "critical")
    ]


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
    page.locator(".sentence", has_text=sentence["text"]).hover()
    details = page.locator("#details")
    details.locator(".probabilities").wait_for()
    found = [line.split() for line in details.locator(".probabilities > div").all_inner_texts()]
    assert [parts[0] for parts in found] == LABELS
    assert [int(parts[1]) for parts in found] == pytest.approx([100 * p for p in sentence["probabilities"].values()], abs=2)
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


def drop(page, name, content):
    transfer = page.evaluate_handle(
        """([name, content]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([content], name, {type: 'text/csv'}));
            return transfer;
        }""",
        [name, content],
    )
    page.dispatch_event("body", "drop", {"dataTransfer": transfer})


def test_a_dropped_table_is_scored_and_keeps_its_columns(visit):
    page = visit()
    requests = []
    page.on(
        "request", lambda request: requests.append(request.post_data_json["texts"]) if request.url.endswith("/predict") else None
    )
    drop(page, "press.csv", TABLE)
    assert page.get_by_label("Column with the texts").input_value() == "body"
    page.get_by_label("Column with the texts").select_option("note")
    assert "two" in page.get_by_label("The first texts of this column").inner_text()
    page.get_by_label("Column with the texts").select_option("body")
    page.get_by_role("button", name="Score 27 rows").click()
    page.locator("#results-title").wait_for()
    assert [len(texts) for texts in requests] == [20, 6]
    assert "1 of 27 rows could not be scored" in page.locator("#results").inner_text()
    name, content = download(page, "Download CSV")
    rows = list(csv.reader(io.StringIO(content, newline=""), delimiter=";"))
    assert name == "press.stances.csv"
    given = list(csv.reader(io.StringIO(TABLE, newline=""), delimiter=";"))
    assert [row[:3] for row in rows] == given
    header = rows[0]
    assert header[3:] == [
        "stance",
        "stance_confidence",
        *(f"stance_p_{label}" for label in LABELS),
        "stance_abstain",
        "stance_model",
        "correction",
    ]
    assert [row[3] for row in rows[1:4]][:2] == ["denying", ""]
    assert json.loads(download(page, "Download JSON")[1])["rows"][0]["cells"] == ["1", 'A pack of "lies".', "two\nlines"]
    page.locator(".row-text").first.click()
    assert page.locator("#details-title").inner_text().startswith("Row 1")


def test_a_pasted_table_is_offered_as_one(visit):
    page = visit()
    page.get_by_role("textbox", name="Article").fill("name\ttext\nfirst\tIt is a lie.\nsecond\tIt is sound.\n")
    page.dispatch_event("#text", "paste")
    page.get_by_role("button", name="Read it as a table").click()
    assert page.get_by_label("Column with the texts").input_value() == "text"
    page.get_by_role("button", name="Cancel").click()
    assert page.evaluate("document.activeElement.id") == "text"


def test_the_model_is_one_click_away(visit, served):
    page = visit()
    page.get_by_role("link", name="About the model").click()
    dialog = page.get_by_role("dialog")
    dialog.locator(".facts").wait_for()
    told = dialog.inner_text()
    model = served.get("/model").json()
    assert model["model"] in told
    assert "2026" in told
    assert f"{model['metrics']['test']['macro_f1']:.3f}" in told
    assert "English only" in told
    assert dialog.locator("table tbody tr").count() >= 3
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "about-model"


@pytest.mark.parametrize(
    ("status", "headers", "detail", "told"),
    [
        (429, {"Retry-After": "2"}, "full", "The service is busy. It asks to come back in 2 seconds."),
        (
            413,
            {},
            "expected at most 5 bytes of body",
            "too large for one request. The service answered: expected at most 5 bytes",
        ),
        (
            422,
            {},
            "text: expected at most 9 characters",
            "cannot use this text. It answered: text: expected at most 9 characters",
        ),
        (503, {"Retry-After": "1"}, "Starting.", "The service cannot do this now. Starting."),
        (500, {}, "internal", "The service failed to answer."),
        (0, {}, "", "The service cannot be reached."),
    ],
)
def test_a_refusal_is_told_and_the_text_is_kept(visit, status, headers, detail, told):
    page = visit()
    body = json.dumps({"title": "x", "status": status, "detail": detail})
    answer = {"status": status, "headers": headers, "content_type": "application/problem+json", "body": body}
    page.route("**/analyze", lambda route: route.fulfill(**answer) if status else route.abort())
    page.get_by_role("textbox", name="Article").fill("One sentence.")
    page.get_by_role("button", name="Mark the stances").click()
    alert = page.get_by_role("alert")
    alert.get_by_text(told.split(".")[0]).wait_for()
    assert told in alert.inner_text().replace("\n", " ")
    assert page.get_by_role("textbox", name="Article").input_value() == "One sentence."
    again = alert.get_by_role("button", name="Try again")
    assert again.count() == (status in (0, 429, 503))
    if status == 429:
        page.unroute("**/analyze")
        assert again.is_disabled()
        again.click()  # as soon as the two seconds are over
        page.locator("#results-title").wait_for()


def test_a_busy_service_is_asked_again_for_the_rows_of_a_table(visit):
    page = visit()
    answers = [429, 503]
    refuse = {"headers": {"Retry-After": "1"}, "content_type": "application/problem+json", "body": '{"detail": "full"}'}
    page.route("**/predict", lambda route: route.fulfill(status=answers.pop(), **refuse) if answers else route.continue_())
    drop(page, "two.csv", "text,n\nIt is a lie.,1\nIt is sound.,2\n")
    page.get_by_role("button", name="Score 2 rows").click()
    page.locator("#results-title").wait_for()
    assert page.locator("#results-title").inner_text() == "2 rows"


def test_a_key_is_asked_for_and_kept_in_memory_alone(visit):
    page = visit()
    sent = []

    def guarded(route):
        sent.append(route.request.headers.get("authorization"))
        if sent[-1] == "Bearer right":
            route.continue_()
        else:
            route.fulfill(status=401, content_type="application/problem+json", body='{"detail": "Send a key."}')

    page.route("**/analyze", guarded)
    page.get_by_role("textbox", name="Article").fill("It is a lie.")
    button = page.get_by_role("button", name="Mark the stances")
    button.click()
    page.get_by_text("This service asks for a key.").first.wait_for()
    assert page.evaluate("document.activeElement.id") == "key"
    page.get_by_label("API key").fill("wrong")
    button.click()
    page.get_by_text("This key was not accepted.").wait_for()
    page.get_by_label("API key").fill("right")
    button.click()
    page.locator("#results-title").wait_for()
    assert sent == [None, "Bearer wrong", "Bearer right"]
    assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(visit, scheme):
    page = visit(color_scheme=scheme, reduced_motion="reduce")
    assert serious(page) == []
    mark(page)
    page.locator(".sentence", has_text="patchwork of lies").click()
    page.locator(".shaded").wait_for()
    page.get_by_role("group", name="Show only").get_by_role("button", name="denying").click()
    assert serious(page) == []
    page.get_by_role("radio", name="Table").check()
    assert serious(page) == []
    page.get_by_role("link", name="About the model").click()
    page.locator(".facts").wait_for()
    assert serious(page) == []


def test_a_phone_shows_it_all_without_scrolling_sideways(visit):
    page = visit(viewport=PHONE, has_touch=True)
    mark(page)
    sentence = page.locator(".sentence", has_text="patchwork of lies")
    sentence.tap()
    page.locator(".shaded").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    shown, details = sentence.bounding_box(), page.locator("#details").bounding_box()
    assert shown["y"] >= 0
    assert shown["y"] + shown["height"] <= details["y"]
    assert serious(page) == []
    page.get_by_role("button", name="Close the details").click()
    assert not page.locator("#details").is_visible()


def test_without_javascript_the_form_answers_with_the_marked_text(visit, served):
    page = visit(java_script_enabled=False)
    page.get_by_role("link", name="Try an example").click()
    page.get_by_role("button", name="Mark the stances").click()
    expected = analysis(served)
    sentences = page.locator(".article .sentence")
    assert sentences.count() == len(expected["sentences"])
    assert all(s["text"] in shown for s, shown in zip(expected["sentences"], sentences.all_text_contents(), strict=True))
    rows = page.locator("tbody tr").all_inner_texts()
    assert all(sentence["label"] in row for sentence, row in zip(expected["sentences"], rows, strict=True))
    assert page.locator("svg.share rect").count() == len(LABELS)
    with page.expect_download() as waited:
        page.get_by_role("button", name="Download as CSV").click()
    rows = list(csv.DictReader(io.StringIO(waited.value.path().read_text(encoding="utf-8-sig"))))
    assert [row["label"] for row in rows] == [sentence["label"] for sentence in expected["sentences"]]
