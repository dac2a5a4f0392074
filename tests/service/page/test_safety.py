"""Nothing that a model, an adapter or a file says is ever read as markup, and nothing comes from elsewhere."""

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from tests.makers import write_adapter
from tests.served import Site
from tests.visitor import Open

Uploaded = Callable[[str, int], str]
EVIL = '<img src=x onerror="window.owned=1"><script>window.owned=1</script>'


def test_markup_in_answers_names_and_files_stays_text(site: Site, visit: Open, uploaded: Uploaded, tmp_path: Path) -> None:
    uploaded("route", 1)
    site.engine.says = EVIL
    page = visit(site)
    violations = page.evaluate(
        "() => { window.broken = []; addEventListener('securitypolicyviolation', e => broken.push(e.violatedDirective)); }"
    )
    assert violations is None
    for mode in ("Complete", "Chat"):
        page.get_by_role("radio", name=mode).check()
        page.get_by_label("Prompt", exact=True).fill(EVIL)
        page.get_by_role("button", name="Send").click()
        expect(page.get_by_role("article", name="route").locator(".output")).to_have_text(EVIL)
    page.get_by_role("link", name="Adapters").click()
    evil = write_adapter(tmp_path / "evil") / '<img src=x onerror="window.owned=1">.bin'
    evil.write_bytes(b"x")
    page.locator("#upload-files").set_input_files([evil])
    expect(page.locator("#chosen")).to_contain_text(evil.name)
    page.get_by_label("Name", exact=True).fill("evil")
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("#upload-result")).to_contain_text("<img src=x onerror=")
    page.get_by_label("Name", exact=True).fill("<b>name</b>")
    page.locator("#upload-files").set_input_files([p for p in evil.parent.iterdir() if p != evil])
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("#upload-result")).to_contain_text("'<b>name</b>' is no adapter name")
    page.get_by_role("link", name="Evaluate").click()
    page.get_by_label("or paste rows").fill('{"prompt": "<i>a</i>", "completion": "<b>c</b>"}')
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("region", name="Samples")).to_contain_text("<i>a</i>", timeout=20_000)
    assert page.evaluate(
        "[window.owned ?? null, window.broken, document.querySelectorAll('main img, main script, main b, main i').length]"
    ) == [None, [], 0]


def test_the_policy_stops_what_it_is_there_to_stop(site: Site, visit: Open) -> None:
    page = visit(site)
    tried = page.evaluate(
        """async () => {
            const broken = new Promise(resolve => addEventListener("securitypolicyviolation", e => resolve(e.violatedDirective)));
            let markup = "taken";
            try { document.body.innerHTML = "<p>x</p>"; } catch (error) { markup = error.name; }
            return [markup, await broken];
        }"""
    )
    assert tried == ["TypeError", "require-trusted-types-for"]
    visit.heard.clear()
