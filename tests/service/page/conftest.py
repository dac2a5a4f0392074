"""The page in a real Chromium, on a service with a fake engine."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from tests.served import Site
from tests.service.page.visitor import DESK, SHOTS, Open

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


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of the page. It ends with them: while it runs, nothing else may use asyncio.run."""
    if not Path(CHROMIUM).exists():
        pytest.fail("the page is tested in Chromium, which is not installed: run scripts/browser (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A service with nothing in it yet."""
    with Site(tmp_path / "home") as site:
        yield site


@pytest.fixture(scope="package")
def window(browser: Browser) -> BrowserContext:
    """Where most tests open their tabs: a new window costs as much as a test. Each site is an origin of its own, so no test finds what another stored."""
    return browser.new_context(viewport=DESK)


@pytest.fixture
def visit(window: BrowserContext, request: pytest.FixtureRequest) -> Iterator[Open]:
    """At the end a picture is kept, and nothing may have been said on the console."""
    visit = Open(window)
    yield visit
    SHOTS.mkdir(parents=True, exist_ok=True)
    for number, page in enumerate(visit.pages):
        page.screenshot(path=SHOTS / f"{request.node.name}-{number}.png", full_page=True)
        visit.close(page)
    assert visit.heard == []


@pytest.fixture
def uploaded(site: Site, tmp_path: Path) -> Callable[[str, int], str]:
    """Puts an adapter into the service, behind the page's back; returns the version."""

    return lambda name, seed: site.upload(name, tmp_path / f"{name}-{seed}", seed)
