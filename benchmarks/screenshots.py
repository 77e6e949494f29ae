"""The README's pictures of the page: the example, read by the ready champion on a server of its own.

Example: python -m benchmarks.screenshots
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page

from benchmarks.browser import browser, chromium
from benchmarks.machine import ROOT
from tests.server import SERVE, running

DOCS = ROOT / "docs"
CHAMPION = ROOT / "models" / "champion.bentomodel"
DESKTOP, PHONE = {"width": 1200, "height": 800}, {"width": 390, "height": 800}
PICTURES = {
    "page-light": {"viewport": DESKTOP, "color_scheme": "light"},
    "page-dark": {"viewport": DESKTOP, "color_scheme": "dark"},
    "page-phone": {"viewport": PHONE, "color_scheme": "light"},
}
CHOSEN = "no abuses of any kind"
"""The sentence whose details are shown."""


def main() -> None:
    """Write the pictures."""
    if chromium() is None:
        raise SystemExit("python -m benchmarks.screenshots: expected Chromium, found none; Debian's package is `chromium`")
    DOCS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        home = home_of(Path(place))
        with running(SERVE, log=Path(place) / "log", cwd=place, env=home) as client, browser() as opened:
            for name, options in PICTURES.items():
                context = opened.new_context(**options)  # type: ignore[arg-type]
                take(context.new_page(), url=str(client.base_url.join("ui")), target=DOCS / f"{name}.png")
                context.close()


def home_of(place: Path) -> dict[str, str]:
    """Return the environment of a store at ``place``, into which the ready champion is imported."""
    home = {"BENTOML_HOME": str(place / "bentoml"), "BENTOML_DO_NOT_TRACK": "True"}
    stance = [sys.executable, str(ROOT / "stance.py"), "models", "import", str(CHAMPION), "--promote"]
    subprocess.run(stance, check=True, env={**os.environ, **home}, stdout=sys.stderr)
    return home


def take(page: Page, *, url: str, target: Path) -> None:
    """Have the example read, choose a sentence and take the picture once its words are explained."""
    page.goto(url)
    page.get_by_role("link", name="Try an example").click()
    page.wait_for_function("document.getElementById('text').value !== ''")
    page.get_by_role("button", name="Mark the stances").click()
    page.locator(".sentence", has_text=CHOSEN).click()
    page.locator(".shaded").wait_for()
    page.screenshot(path=target, animations="disabled")
    print(f"wrote {target.relative_to(ROOT)}, {target.stat().st_size // 1024} KiB", file=sys.stderr)


if __name__ == "__main__":
    main()
