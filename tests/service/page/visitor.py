"""A visitor of the page."""

from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Page, ViewportSize, expect

from tests.served import Site

# Milliseconds. Long, for a machine that does other things too: what is awaited comes at once or, in a failing test, never.
PATIENCE = 15_000
expect.set_options(timeout=PATIENCE)
DESK: ViewportSize = {"width": 1200, "height": 850}
SHOTS = Path(__file__).resolve().parents[3] / "var" / "screenshots"


class Open:
    """Opens a site's page as a new visitor; `heard` is what its console said, and where it went beyond the site."""

    def __init__(self, window: BrowserContext) -> None:
        self._window = window
        self.pages: list[Page] = []
        self.heard: list[str] = []

    def __call__(self, site: Site, part: str = "try") -> Page:
        return self._open(self._window, site, part)

    def apart(self, site: Site, part: str = "try", clock: bool = False, **settings: Any) -> Page:
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

    def _open(self, window: BrowserContext, site: Site, part: str) -> Page:
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
