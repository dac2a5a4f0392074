"""Starting an evaluation, watching it, and reading what came of it."""

import json
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.served import Site
from tests.visitor import Open

Uploaded = Callable[[str, int], str]
ROWS = [{"prompt": f"question {number}", "completion": "base" if number % 2 else "other"} for number in range(6)]


def scores(page: Page):  # type: ignore[no-untyped-def]
    return page.get_by_role("region", name="Scores")


def test_pasted_rows_before_and_after(site: Site, visit: Open, uploaded: Uploaded) -> None:
    version = uploaded("route", 1)
    page = visit(site, "evaluate")
    page.get_by_role("combobox", name="Model", exact=True).select_option("route")
    page.get_by_role("checkbox", name="accuracy").check()
    page.get_by_role("checkbox", name="perplexity").check()
    page.get_by_label("or paste rows").fill("\n".join(json.dumps(row) for row in ROWS))
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("button", name=f"route@{version[7:19]} against embedded", exact=True)).to_be_visible()
    expect(scores(page)).to_be_visible(timeout=20_000)
    plot = scores(page).get_by_role("img")
    expect(plot.locator("circle.before")).to_have_count(2)
    expect(plot.locator("circle.after")).to_have_count(2)
    assert plot.locator("line.interval").count() == 6
    row = scores(page).get_by_role("row").filter(has=page.get_by_role("rowheader", name="accuracy"))
    assert row.get_by_role("cell").all_inner_texts()[:2] == ["0.500", "0"]
    assert row.get_by_role("cell").all_inner_texts()[6] == "no difference shown"
    # The base is right where "base" is wanted; the adapter answers its own name, so every answer changed.
    samples = page.get_by_role("region", name="Samples")
    expect(samples.locator(".sample")).to_have_count(6)
    expect(samples.locator(".sample").first.locator("[data-part=Before] dd")).to_have_text("base")
    expect(samples.locator(".sample").first.locator("[data-part=After] dd")).to_have_text(f"route@{version}")
    samples.get_by_label("Which samples").select_option("worse by accuracy (3)")
    expect(samples.locator(".sample")).to_have_count(3)


def test_an_uploaded_file_is_watched_and_can_be_cancelled(site: Site, visit: Open, uploaded: Uploaded, tmp_path: Path) -> None:
    uploaded("route", 1)
    data = tmp_path / "rows.csv"
    data.write_text("prompt,completion\na,b\nc,d\n", encoding="utf-8")
    page = visit(site, "evaluate")
    page.locator("#evaluation-file").set_input_files(data)
    expect(page.locator("#evaluation-chosen")).to_contain_text("rows.csv")
    site.hold()
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text("running, 4 of 8")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("cancelled")).to_be_visible()
    site.let_go()


def test_rows_that_cannot_be_used_are_named(site: Site, visit: Open, tmp_path: Path) -> None:
    page = visit(site, "evaluate")
    error = page.locator("#evaluation-error")
    page.get_by_role("button", name="Start").click()
    expect(error).to_contain_text("give rows")
    page.get_by_label("or paste rows").fill('{"prompt": "a", "completion": "b"}\n\nnot json')
    page.get_by_role("button", name="Start").click()
    expect(error).to_contain_text("line 3 is no JSON")
    page.get_by_label("or paste rows").fill('{"question": "a"}')
    page.get_by_role("button", name="Start").click()
    expect(error).to_contain_text("question")
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"prompt": "a", "completion": "b"}\n{"prompt": 3}\n', encoding="utf-8")
    page.locator("#evaluation-file").set_input_files(bad)
    page.get_by_role("button", name="Start").click()
    expect(error).to_contain_text("line 2")
