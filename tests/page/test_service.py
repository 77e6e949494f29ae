"""Tables, refusals, keys, screens and a browser without JavaScript, in a real browser."""

import csv
import io
import json

import pytest

from tests.page.actions import LABELS, MARKS, PHONE, TABLE, analysis, download, drop, mark, serious

pytestmark = MARKS


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


def test_what_is_too_large_is_not_sent(visit):
    page = visit()
    posted = []
    page.on("request", lambda request: posted.append(request.url) if request.method == "POST" else None)
    page.evaluate("document.getElementById('text').value = 'A lie. '.repeat(300_000)")
    page.get_by_role("button", name="Mark the stances").click()
    page.get_by_role("alert").get_by_text("at most 2,097,152 bytes").wait_for()
    assert posted == []


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
