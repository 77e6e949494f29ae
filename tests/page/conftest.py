"""One browser and one server, with the ready champion, for all tests of the page."""

import pytest

from benchmarks.browser import browser
from tests.server import SERVE, running

DESKTOP = {"width": 1280, "height": 860}


@pytest.fixture(scope="package")
def served(champion_home, tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    with running(SERVE, log=folder / "log", cwd=folder, env={"BENTOML_HOME": str(champion_home), "STANCE_TEXTS": "20"}) as client:
        yield client


@pytest.fixture(scope="package")
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
