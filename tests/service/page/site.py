"""A service that a browser can reach, and a visitor of its page."""

import asyncio
import socket
import threading
from pathlib import Path
from typing import Any

import uvicorn
from playwright.sync_api import Browser, Page

from service.app import build_app
from service.runtime import Runtime
from service.settings import Settings
from tests.fakes import FakeEngine
from tests.makers import EMBEDDED

SHOTS = Path(__file__).resolve().parents[3] / "var" / "screenshots"


class Site:
    """A running service: where it answers, its fake engine, and what needs to be done to it in its own thread."""

    def __init__(self, home: Path, **changes: Any) -> None:
        self.engine = FakeEngine()
        self.runtime = Runtime(Settings(base="embedded", home=home, **changes), EMBEDDED, lambda *_: self.engine)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._server = uvicorn.Server(uvicorn.Config(build_app(self.runtime), log_config=None, timeout_graceful_shutdown=1))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listener]}, daemon=True)

    def hold(self) -> None:
        """From now on the engine's answers wait."""
        self.engine.slow = asyncio.Event()

    def let_go(self) -> None:
        """Ends `hold`."""
        self.engine.slow = None

    def __enter__(self) -> "Site":
        self._thread.start()
        while not self.runtime.is_ready:
            if not self._thread.is_alive():
                raise RuntimeError(f"the service did not start: {self.runtime.failure}")
            self._thread.join(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()


class Open:
    """Opens a site's page as a new visitor; `heard` is what its console said, and where it went beyond the site."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.pages: list[Page] = []
        self.heard: list[str] = []

    def __call__(self, site: Site, part: str = "try", **context: Any) -> Page:
        page = self._browser.new_context(**{"viewport": {"width": 1200, "height": 850}, **context}).new_page()
        page.set_default_timeout(5000)
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
