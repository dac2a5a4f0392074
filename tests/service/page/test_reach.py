"""By keyboard alone, on a phone, and in the dark."""

from collections.abc import Callable
from typing import Literal

from playwright.sync_api import Page, expect

from tests.served import Site
from tests.visitor import SHOTS, Open

Uploaded = Callable[[str, int], str]
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
PARTS = ("try", "adapters", "evaluate", "watch")


def tab_to(page: Page, name: str) -> None:
    """Presses Tab until the element with this label or text has the focus, as someone without a mouse does."""
    found = """name => { const e = document.activeElement;
        return [e.getAttribute("aria-label"), e.textContent.trim(), e.labels?.[0]?.textContent.trim(), e.id, e.hash].includes(name); }"""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate(found, name):
            outline = page.evaluate(
                "() => { const e = document.activeElement; return getComputedStyle(e).outlineStyle + getComputedStyle(e.nextElementSibling ?? e).outlineStyle; }"
            )
            assert outline != "nonenone", f"the focus on {name} cannot be seen"
            return
    raise AssertionError(f"{name} cannot be reached by Tab")


def test_by_keyboard_alone(site: Site, visit: Open, uploaded: Uploaded) -> None:
    uploaded("route", 1)
    two = uploaded("route", 2)[7:19]
    page = visit(site, "")
    expect(page.get_by_role("checkbox", name="route")).to_be_checked()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    tab_to(page, "embedded")
    page.keyboard.press("Space")
    expect(page.get_by_role("checkbox", name="embedded")).not_to_be_checked()
    tab_to(page, "prompt")
    page.keyboard.type("hello")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("article", name="route", exact=True).locator(".output")).to_contain_text("route@sha256:")
    page.get_by_role("link", name="Patchbay").focus()
    tab_to(page, "#adapters")
    page.keyboard.press("Enter")
    tab_to(page, f"Promote route {two}")
    page.keyboard.press("Enter")
    expect(page.locator("tr.live code")).to_have_text(two)
    tab_to(page, "Delete route")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Keep it")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator("tr.live")).to_have_count(1)


def test_on_a_phone(site: Site, visit: Open, uploaded: Uploaded) -> None:
    uploaded("a-rather-long-name-for-an-adapter.v2", 1)
    page = visit.apart(site, viewport={"width": 390, "height": 844}, has_touch=True)
    for part in PARTS:
        page.get_by_role("link", name=part.capitalize()).tap()
        expect(page.locator(f"#{part}")).to_be_visible()
        page.wait_for_timeout(150)
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide == 0, f"{part} is wider than the phone"
        small = page.evaluate(
            """() => [...document.querySelectorAll("main button, main select, nav a")].filter(e => e.checkVisibility())
               .filter(e => e.getBoundingClientRect().height < 32).map(e => e.textContent)"""
        )
        assert not small, f"too small to tap in {part}: {small}"
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=SHOTS / f"phone-{part}-{scheme}.png")


def test_dark_follows_the_system_until_someone_chooses(site: Site, visit: Open) -> None:
    page = visit.apart(site, color_scheme="dark")
    ground = page.locator("body")
    expect(ground).to_have_css("background-color", "rgb(21, 19, 17)")
    page.emulate_media(color_scheme="light")
    expect(ground).to_have_css("background-color", "rgb(244, 242, 238)")
    page.get_by_role("button", name="Light or dark").click()
    expect(ground).to_have_css("background-color", "rgb(21, 19, 17)")
    page.reload()
    expect(ground).to_have_css("background-color", "rgb(21, 19, 17)")


def test_texts_stand_out_from_what_is_behind_them(site: Site, visit: Open, uploaded: Uploaded) -> None:
    """WCAG's contrast of 4.5 to 1, for every text that is seen."""
    uploaded("route", 1)
    page = visit(site)
    page.emulate_media(reduced_motion="reduce")  # no colour is on its way to another while it is read
    for part in PARTS:
        page.evaluate(f"location.hash = '#{part}'")
        expect(page.locator(f"#{part}")).to_be_visible()
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            expect(page.locator("html")).to_have_attribute("data-theme", scheme)
            assert page.evaluate(CONTRAST) == [], f"{part}, {scheme}"


CONTRAST = """() => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const rgba = colour => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
    const light = rgb => { const [r, g, b] = rgb.slice(0, 3).map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
    const behind = e => { for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor); if (c[3] > 200) return c; } };
    const texts = [...document.querySelectorAll("body *")].filter(e => e.checkVisibility() && !e.closest("button:disabled, svg, .hidden, .skip, select")
        && [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()));
    return texts.map(e => { const [a, b] = [light(rgba(getComputedStyle(e).color)), light(behind(e))]; return [e.textContent.slice(0, 30), (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)]; })
        .filter(([, ratio]) => ratio < 4.5);
}"""
