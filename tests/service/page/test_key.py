"""A service with keys: the page opens, asks for one, keeps it in the tab, and says what it may not do."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from service.keyfile import add_key
from tests.served import Site
from tests.visitor import Open


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.fixture
def site(tmp_path: Path, keys: Path) -> Iterator[Site]:
    """A service that asks for keys; there is an admin's already."""
    _, text = add_key(keys, "boss", "admin")
    with Site(tmp_path / "home", keys=keys) as site:
        site.upload("route", tmp_path / "route", seed=1, headers={"Authorization": f"Bearer {text}"})
        site.upload("hidden", tmp_path / "hidden", seed=2, headers={"Authorization": f"Bearer {text}"})
        site.key = text
        yield site


def give(page: Page, key: str) -> None:
    page.get_by_label("Key", exact=True).fill(key)
    page.keyboard.press("Enter")


def test_a_key_is_asked_for_and_kept_in_the_tab_alone(site: Site, visit: Open) -> None:
    page = visit(site)
    dialog = page.get_by_role("dialog", name="This service asks for a key")
    expect(dialog).to_be_visible()
    give(page, "pb-00000000-wrong")
    expect(dialog).to_contain_text("is not known here")
    give(page, site.key)
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("checkbox", name="route")).to_be_visible()
    page.get_by_label("Prompt", exact=True).fill("x")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("article", name="route").locator(".output")).to_contain_text("route@sha256:")
    page.reload()
    expect(page.get_by_role("checkbox", name="route")).to_be_visible()
    assert page.evaluate("[JSON.stringify(localStorage), document.cookie, location.href]") == ["{}", "", f"{site.url}/#try"]
    page.get_by_role("button", name="Key").click()
    expect(dialog).to_be_visible()


def test_whoever_will_not_give_one_is_left_in_peace(site: Site, visit: Open) -> None:
    page = visit.apart(site, clock=True)
    page.get_by_role("button", name="Not now").click()
    expect(page.locator("#ask-error")).to_contain_text("key")
    with page.expect_response("**/v1/adapters") as asked_again:
        page.clock.fast_forward("00:30")
    assert asked_again.value.status == 401
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_an_inference_key_sees_its_own_and_is_told_the_rest(site: Site, visit: Open, keys: Path) -> None:
    _, text = add_key(keys, "guest", "inference", ["route"])
    page = visit(site, "adapters")
    give(page, text)
    card = page.get_by_role("article", name="Adapter route")
    expect(card).to_be_visible()
    expect(page.get_by_text("hidden", exact=True)).to_have_count(0)
    card.get_by_role("button", name="Pin route").click()
    expect(card.get_by_role("alert")).to_contain_text("needs an admin's key")
    page.get_by_role("link", name="Evaluate").click()
    expect(page.locator("#evaluation-error")).to_contain_text("needs an admin's key")
    page.get_by_role("link", name="Watch").click()
    expect(page.locator("#watch-error")).to_contain_text("without a list of adapters")
