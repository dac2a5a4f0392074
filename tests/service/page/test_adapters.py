"""Uploading, promoting, rolling back, routing and deleting, as a person does."""

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from tests.makers import files_of, lora_config, write_adapter, zip_of
from tests.served import Site
from tests.visitor import Open, card, drop

Uploaded = Callable[[str, int], str]


def test_a_dropped_folder_is_taken_and_live(site: Site, visit: Open, tmp_path: Path) -> None:
    write_adapter(tmp_path / "run" / "adapter", seed=1)
    (tmp_path / "run" / "adapter" / "training_args.bin").write_bytes(b"x")
    page = visit(site, "adapters")
    expect(page.get_by_text("No adapters yet")).to_be_visible()
    drop(page, "#drop", [tmp_path / "run"])
    expect(page.locator("#chosen")).to_contain_text("2 files")
    expect(page.locator("#chosen")).to_contain_text("left out: training_args.bin")
    page.get_by_label("Name", exact=True).fill("route")
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("#upload-result")).to_contain_text("is taken: unverified. It is live.")
    expect(card(page, "route").locator("tr.live")).to_have_count(1)
    expect(card(page, "route").get_by_text("resident")).to_be_visible()


def test_a_chosen_archive_shows_how_far_it_is(site: Site, visit: Open, tmp_path: Path) -> None:
    archive = tmp_path / "my extract.zip"
    archive.write_bytes(zip_of(files_of(write_adapter(tmp_path / "a", seed=2))))
    page = visit(site, "adapters")
    page.evaluate(
        """() => { window.seen = []; new MutationObserver(() => seen.push(document.querySelector("#upload-progress span").textContent))
        .observe(document.querySelector("#upload-progress"), { subtree: true, childList: true }); }"""
    )
    page.locator("#upload-files").set_input_files(archive)
    expect(page.get_by_label("Name", exact=True)).to_have_value("my-extract")
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("#upload-result")).to_contain_text("my-extract@")
    assert "checking it and proving it on the engine…" in page.evaluate("seen")
    expect(page.locator("#upload-progress")).to_be_hidden()


def test_a_refusal_shows_every_reason(site: Site, visit: Open, tmp_path: Path) -> None:
    bad = write_adapter(tmp_path / "bad", config=lora_config(use_dora=True, r=0))
    page = visit(site, "adapters")
    page.get_by_label("Name", exact=True).fill("bad")
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("#upload-result")).to_contain_text("choose an adapter first")
    page.locator("#upload-files").set_input_files(list(bad.iterdir()))
    page.get_by_role("button", name="Upload").click()
    refusal = page.get_by_role("alert").filter(has_text="Refused for 2 reasons")
    expect(refusal.get_by_role("listitem")).to_have_count(2)
    for code in ("unsupported_feature", "bad_rank"):
        expect(refusal).to_contain_text(code)
    expect(page.get_by_text("No adapters yet")).to_be_visible()


def test_promote_roll_back_and_try_a_version(site: Site, visit: Open, uploaded: Uploaded) -> None:
    one, two = uploaded("route", 1), uploaded("route", 2)
    page = visit(site, "adapters")
    expect(card(page, "route").get_by_role("button", name="Roll route back")).to_be_disabled()
    card(page, "route").get_by_role("button", name=f"Promote route {two[7:19]}").click()
    expect(card(page, "route").locator("tr.live code")).to_have_text(two[7:19])
    card(page, "route").get_by_role("button", name=f"Roll route back to {one[7:19]}").click()
    expect(card(page, "route").locator("tr.live code")).to_have_text(one[7:19])
    card(page, "route").get_by_text("What happened").click()
    expect(card(page, "route").get_by_role("listitem").first).to_contain_text(f"{two[7:19]} → {one[7:19]}")
    card(page, "route").get_by_role("button", name=f"Try route {two[7:19]}").click()
    page.get_by_label("Prompt", exact=True).fill("x")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("article", name=f"route@{two}").locator(".output")).to_have_text(f"route@{two}")


def test_default_route_pin_unload_and_delete(site: Site, visit: Open, uploaded: Uploaded) -> None:
    uploaded("route", 1)
    page = visit(site, "adapters")
    page.get_by_label("Default route").select_option("route")
    expect(card(page, "route").get_by_text("default", exact=True)).to_be_visible()
    assert site.runtime.registry.state.default == "route"
    card(page, "route").get_by_role("button", name="Delete route").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(card(page, "route").get_by_role("alert")).to_contain_text("default")
    page.get_by_label("Default route").select_option("")
    card(page, "route").get_by_role("button", name="Pin route").click()
    expect(card(page, "route").get_by_text("pinned")).to_be_visible()
    card(page, "route").get_by_role("button", name="Unpin route").click()
    card(page, "route").get_by_role("button", name="Unload route").click()
    expect(card(page, "route").get_by_role("button", name="Load route", exact=True)).to_be_visible()
    assert site.engine.held == {}
    card(page, "route").get_by_role("button", name="Delete route").click()
    page.get_by_role("dialog").get_by_role("button", name="Keep it").click()
    expect(card(page, "route")).to_be_visible()
    card(page, "route").get_by_role("button", name="Delete route").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No adapters yet")).to_be_visible()


def test_what_others_do_is_seen_and_the_focus_stays(site: Site, visit: Open, uploaded: Uploaded) -> None:
    uploaded("route", 1)
    page = visit.apart(site, "adapters", clock=True)
    button = card(page, "route").get_by_role("button", name="Pin route")
    button.focus()
    uploaded("route", 2)
    page.clock.fast_forward("00:30")
    expect(card(page, "route").locator("tbody tr")).to_have_count(2)
    expect(button).to_be_focused()
