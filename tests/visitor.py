"""A visitor of the page: a real Chromium, a window, and what a person does in it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from playwright.sync_api import Browser, BrowserContext, Locator, Page, ViewportSize, expect, sync_playwright

# Milliseconds. Long, for a machine that does other things too: what is awaited comes at once or, in a failing test, never.
PATIENCE = 15_000
expect.set_options(timeout=PATIENCE)
DESK: ViewportSize = {"width": 1200, "height": 850}
SHOTS = Path(__file__).resolve().parents[1] / "var" / "screenshots"
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
# A browser under root has no sandbox; one process draws every tab, which saves starting one for each; the rest keeps the
# browser from looking for anything outside this machine.
FLAGS = (
    "--no-sandbox",
    "--renderer-process-limit=1",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Served(Protocol):
    """A service that answers."""

    url: str


@contextmanager
def chromium() -> Iterator[Browser]:
    """While it runs, nothing else may use asyncio.run."""
    if not Path(CHROMIUM).exists():
        raise AssertionError(
            "the page is tested in Chromium, which is not installed: run scripts/browser (apt-get install chromium)"
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


class Open:
    """Opens a site's page as a new visitor; `heard` is what its console said, and where it went beyond the site."""

    def __init__(self, window: BrowserContext) -> None:
        self._window = window
        self.pages: list[Page] = []
        self.heard: list[str] = []

    def __call__(self, site: Served, part: str = "try") -> Page:
        return self._open(self._window, site, part)

    def apart(self, site: Served, part: str = "try", clock: bool = False, **settings: Any) -> Page:
        """In a window of its own, with other settings; with `clock`, time is the test's to move."""
        assert self._window.browser is not None
        window = self._window.browser.new_context(**{"viewport": DESK, **settings})
        if clock:
            window.clock.install()
        return self._open(window, site, part)

    def close(self, page: Page) -> None:
        """The tab, and its window where it had one of its own."""
        page.close()
        if page.context is not self._window:
            page.context.close()

    def _open(self, window: BrowserContext, site: Served, part: str) -> Page:
        page = window.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda message: self._hear(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self._hear(str(error)))
        page.on("request", lambda sent: None if sent.url.startswith(site.url) else self._hear(f"went to {sent.url}"))
        self.pages.append(page)
        page.goto(f"{site.url}/#{part}" if part else site.url)
        return page

    def _hear(self, text: str) -> None:
        # A refused request is reported by the browser itself; the tests look at how the page shows it.
        if "Failed to load resource" not in text:
            self.heard.append(text)


def card(page: Page, name: str) -> Locator:
    """An adapter's, in the part that lists them."""
    return page.get_by_role("article", name=f"Adapter {name}", exact=True)


def column(page: Page, model: str) -> Locator:
    """A model's answer beside others."""
    return page.get_by_role("article", name=model, exact=True)


def drop(page: Page, target: str, paths: list[Path]) -> None:
    """Files or folders from outside the browser, let go over an element."""
    box = page.locator(target).bounding_box()
    assert box is not None
    at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    chrome = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        chrome.send("Input.dispatchDragEvent", {"type": kind, **at, "data": data})
