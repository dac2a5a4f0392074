"""The page in a real Chromium on the real engine: what a person does with trained adapters, from the first drop to the last delete."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from adapters.base import resolve_base
from tests.e2e.conftest import Process
from tests.visitor import DESK, SHOTS, Open, card, chromium, column, drop

pytestmark = pytest.mark.e2e

NAME = "walked"
# Milliseconds: an upload is proven on the engine, an evaluation generates.
PROVEN, EVALUATED = 60_000, 120_000


@pytest.fixture(scope="module")
def visit() -> Iterator[Open]:
    """One tab after the other in one window; nothing may have been said on the console."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        visit = Open(browser.new_context(viewport=DESK))
        yield visit
        assert visit.heard == []


def shoot(page: Page, name: str) -> None:
    page.screenshot(path=SHOTS / f"engine-{name}.png", full_page=True)


def lines(samples: Path, count: int) -> list[str]:
    return (samples / "route" / "test.jsonl").read_text(encoding="utf-8").splitlines()[:count]


def taken(page: Page) -> None:
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("#upload-result")).to_contain_text("is taken: verified", timeout=PROVEN)


def test_two_versions_are_dropped_and_one_is_refused(
    service: Process, runs: dict[str, Path], visit: Open, tmp_path: Path
) -> None:
    page = visit(service, "adapters")
    drop(page, "#drop", [runs["one"]])
    page.get_by_label("Name", exact=True).fill(NAME)
    taken(page)
    page.locator("#upload-files").set_input_files(list((runs["two"] / "adapter").iterdir()))
    page.get_by_label("Name", exact=True).fill(NAME)
    taken(page)
    expect(card(page, NAME).locator("tbody tr")).to_have_count(2)
    bad = shutil.copytree(runs["one"] / "adapter", tmp_path / "bad")
    config = json.loads((bad / "adapter_config.json").read_text())
    (bad / "adapter_config.json").write_text(json.dumps({**config, "r": config["r"] * 2}))
    page.locator("#upload-files").set_input_files(list(bad.iterdir()))
    page.get_by_label("Name", exact=True).fill("bad")
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("alert").filter(has_text="Refused")).to_be_visible(timeout=PROVEN)
    shoot(page, "refused")
    expect(card(page, "bad")).to_have_count(0)


def test_promoted_rolled_back_and_each_answers(service: Process, visit: Open) -> None:
    page = visit(service, "adapters")
    live = card(page, NAME).locator("tr.live code")
    first = live.inner_text()
    card(page, NAME).get_by_role("button", name=re.compile(f"^Promote {NAME} ")).click()
    expect(live).not_to_have_text(first)
    second = live.inner_text()
    shoot(page, "versions")
    card(page, NAME).get_by_role("button", name=f"Roll {NAME} back to {first}").click()
    expect(live).to_have_text(first)
    for button, model, version in ((f"Try {NAME}", NAME, first), (f"Try {NAME} {second}", f"{NAME}@sha256:{second}", second)):
        page.goto(f"{service.url}/#adapters")
        card(page, NAME).get_by_role("button", name=button, exact=True).click()
        page.get_by_label("Prompt", exact=True).fill("x")
        page.get_by_role("button", name="Send").click()
        answer = page.get_by_role("article", name=re.compile(f"^{model}[0-9a-f]*$"))
        expect(answer.locator(".version")).to_have_text(f"{NAME}@{version}")
        expect(page.get_by_role("button", name="Send")).to_be_enabled()


def test_base_and_adapters_side_by_side(service: Process, samples: Path, visit: Open) -> None:
    page = visit(service)
    page.get_by_label("Prompt", exact=True).fill(json.loads(lines(samples, 1)[0])["prompt"])
    page.get_by_role("button", name="Send").click()
    base = resolve_base("embedded").name
    for model in (base, NAME, "given"):
        expect(column(page, model).locator(".output")).not_to_be_empty()
    expect(page.get_by_role("button", name="Send")).to_be_enabled()
    texts = [column(page, model).locator(".output").inner_text() for model in (base, NAME, "given")]
    assert len(set(texts)) == 3
    for model in (base, NAME, "given"):
        assert int(column(page, model).locator("dd").all_inner_texts()[2]) > 0
    shoot(page, "try")


def test_an_evaluation_is_watched_to_its_end(service: Process, samples: Path, visit: Open) -> None:
    page = visit(service, "evaluate")
    page.get_by_role("combobox", name="Model", exact=True).select_option(NAME)
    page.get_by_role("checkbox", name="accuracy").check()
    page.get_by_label("or paste rows").fill("\n".join(lines(samples, 12)))
    page.get_by_role("button", name="Start").click()
    scores = page.get_by_role("region", name="Scores")
    expect(scores).to_be_visible(timeout=EVALUATED)
    figures = scores.get_by_role("row").filter(has=page.get_by_role("rowheader", name="accuracy")).get_by_role("cell")
    expect(figures).not_to_have_count(0)
    before, after = figures.all_inner_texts()[:2]
    assert float(before) <= float(after)
    expect(scores.get_by_role("img").locator("circle.after")).not_to_have_count(0)
    expect(page.get_by_role("region", name="Samples").locator(".sample").first).to_be_visible()
    shoot(page, "evaluate")


def test_what_it_costs_is_drawn_while_it_happens(service: Process, visit: Open) -> None:
    page = visit(service, "watch")
    latency = page.get_by_role("figure").filter(has_text="Latency")
    for _ in range(5):
        service.openai().completions.create(model=NAME, prompt="x", max_tokens=8)
    expect(latency).to_contain_text("ms", timeout=20_000)
    expect(page.get_by_role("figure").filter(has_text="Memory")).to_contain_text("MiB")
    shoot(page, "watch")
    page.get_by_role("button", name="Light or dark").click()
    shoot(page, "watch-dark")
    phone = visit.apart(service, "try", viewport={"width": 390, "height": 844}, has_touch=True, color_scheme="dark")
    phone.get_by_label("Prompt", exact=True).fill("x")
    phone.get_by_role("button", name="Send").tap()
    expect(phone.get_by_role("button", name="Send")).to_be_enabled()
    shoot(phone, "phone")


def test_deleted(service: Process, visit: Open) -> None:
    page = visit(service, "adapters")
    card(page, NAME).get_by_role("button", name=f"Delete {NAME}", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(card(page, NAME)).to_have_count(0)
    expect(card(page, "given")).to_be_visible()
