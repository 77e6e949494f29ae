"""What a person does on the page, and what is expected of it."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from benchmarks.browser import chromium
from tests.conftest import ROOT

MARKS = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="there is no Chromium (Debian's package is `chromium`)"),
]

EXAMPLE = (ROOT / "serving" / "page" / "example.txt").read_text(encoding="utf-8")
LABELS = ["supportive", "critical", "denying", "neutral"]
PHONE = {"width": 390, "height": 844}
TABLE = 'id;body;note\r\n1;"A pack of ""lies"".";"two\nlines"\r\n2;;empty\r\n' + "".join(
    f"{i};The report, no. {i}, was published on a Wednesday.;x\r\n" for i in range(3, 28)
)


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
