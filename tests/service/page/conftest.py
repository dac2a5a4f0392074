"""The page in a real Chromium, on a service with a fake engine."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext

from tests.served import Site
from tests.visitor import DESK, SHOTS, Open, chromium


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of the page. It ends with them: while it runs, nothing else may use asyncio.run."""
    with chromium() as browser:
        yield browser


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
