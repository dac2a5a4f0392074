"""Asking one model or several, as a person does."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.served import Site
from tests.visitor import Open, column

Uploaded = Callable[[str, int], str]


def seconds(text: str) -> float:
    return float(text.removesuffix(" ms")) / 1000 if text.endswith(" ms") else float(text.removesuffix(" s"))


def test_side_by_side_each_says_what_it_cost_and_which_version_made_it(site: Site, visit: Open, uploaded: Uploaded) -> None:
    version = uploaded("route", 1)
    site.engine.says, site.engine.pause = " one two three four five six seven eight", 1.5
    page = visit(site)
    page.get_by_label("Prompt", exact=True).fill("Where is my card?")
    page.get_by_role("button", name="Send").click()
    # Both are writing at the same time, and neither is done.
    for model in ("embedded", "route"):
        expect(column(page, model)).to_have_attribute("aria-busy", "true")
        expect(column(page, model).locator(".output")).to_have_text(re.compile("^one( two)?( three)?( four)?$"))
    site.engine.pause = 0.01
    expect(column(page, "route").locator(".output")).to_have_text(site.engine.says)
    assert column(page, "route").locator(".output").text_content() == site.engine.says.lstrip()
    for model, made in (("embedded", "base"), ("route", f"route@{version[7:19]}")):
        expect(column(page, model).locator(".version")).to_have_text(made)
        first, latency, tokens, rate = column(page, model).locator("dd").all_inner_texts()
        assert tokens == "8"
        assert 1.5 <= seconds(first) < seconds(latency)
        assert float(rate) == pytest.approx(7 / (seconds(latency) - seconds(first)), rel=0.05)
    expect(column(page, "default")).to_have_count(0)


def test_a_chat_remembers_and_clear_forgets(site: Site, visit: Open, uploaded: Uploaded) -> None:
    uploaded("route", 1)
    page = visit(site)
    sent: list[list[dict[str, str]]] = []
    page.on("request", lambda r: sent.append(r.post_data_json["messages"]) if r.url.endswith("/chat/completions") else None)
    page.get_by_role("radio", name="Chat").check()
    page.get_by_role("checkbox", name="embedded").uncheck()
    for prompt in ("first", "second"):
        page.get_by_label("Prompt", exact=True).fill(prompt)
        page.get_by_role("button", name="Send").click()
        expect(page.get_by_role("button", name="Send")).to_be_enabled()
    assert [[turn["role"] for turn in turns] for turns in sent] == [["user"], ["user", "assistant", "user"]]
    expect(column(page, "route").locator(".turn")).to_have_text(["first", "second"])
    page.get_by_role("button", name="Clear").click()
    expect(column(page, "route").locator(".turn")).to_have_count(0)


def test_stop_ends_every_answer_and_the_service_hears_of_it(site: Site, visit: Open, uploaded: Uploaded) -> None:
    uploaded("route", 1)
    site.engine.says, site.engine.pause = "word " * 1000, 0.02
    page = visit(site)
    page.get_by_label("Prompt", exact=True).fill("x")
    page.get_by_label("Prompt", exact=True).press("Control+Enter")
    expect(column(page, "route").locator(".output")).to_contain_text("word word")
    page.keyboard.press("Escape")
    for model in ("embedded", "route"):
        expect(column(page, model)).to_contain_text("stopped")
    expect(page.get_by_role("button", name="Send")).to_be_enabled()


def test_an_error_stands_where_the_answer_would(site: Site, visit: Open) -> None:
    page = visit(site)
    expect(page.get_by_role("checkbox", name="embedded")).to_be_checked()
    site.engine.state = "failed"
    page.get_by_label("Prompt", exact=True).fill("x")
    page.get_by_role("button", name="Send").click()
    expect(column(page, "embedded").get_by_role("alert")).to_contain_text("the engine is failed")
    site.engine.state = "ready"
