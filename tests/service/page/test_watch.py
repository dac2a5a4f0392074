"""The live charts: what they show is what was measured."""

from collections.abc import Callable
from typing import Any

import httpx
from playwright.sync_api import Page, expect
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from tests.served import Site
from tests.visitor import Open

Uploaded = Callable[[str, int], str]


def painted(page: Page, title: str) -> int:
    """How many pixels of a chart's canvas are not empty."""
    figure = page.get_by_role("figure").filter(has_text=title)
    return int(
        figure.locator("canvas").evaluate(
            """canvas => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data
               .filter((value, index) => index % 4 === 3 && value > 0).length"""
        )
    )


def test_requests_and_memory_show_while_they_happen(site: Site, visit: Open, uploaded: Uploaded) -> None:
    uploaded("route", 1)
    page = visit(site, "watch")
    expect(page.get_by_text("Engine restarts")).to_be_visible()
    latency = page.get_by_role("figure").filter(has_text="Latency")
    expect(latency).to_contain_text("whole answer, p95 –")
    for _ in range(40):  # until the page has looked twice: what came before its first look is no change to it
        httpx.post(f"{site.url}/v1/completions", json={"model": "route", "prompt": "x"}, timeout=60).raise_for_status()
        if "ms" in (latency.text_content() or ""):
            break
        page.wait_for_timeout(250)
    expect(latency).to_contain_text("ms", timeout=8000)
    page.get_by_role("combobox", name="Adapter", exact=True).select_option("embedded")
    expect(latency).to_contain_text("whole answer, p95 –")
    memory = page.get_by_role("figure").filter(has_text="Memory")
    expect(memory).to_contain_text("MiB")
    assert painted(page, "Memory") > 10_000
    assert painted(page, "Latency") > 500
    colour = "() => getComputedStyle(document.querySelector('#charts .u-axis') ?? document.body).color"
    before = page.evaluate(colour)
    page.get_by_role("button", name="Light or dark").click()
    assert page.evaluate(colour) != before
    assert painted(page, "Memory") > 10_000


def test_quantiles_are_those_of_prometheus(site: Site, visit: Open) -> None:
    registry = CollectorRegistry()
    seen = Histogram("patchbay_x_seconds", "x", ("adapter",), buckets=(0.1, 0.2, 0.4), registry=registry)

    def observe(adapter: str, *values: float) -> str:
        for value in values:
            seen.labels(adapter).observe(value)
        return generate_latest(registry).decode()

    before = observe('od"d\\\n', 0.15)
    after = observe('od"d\\\n', 0.05, 0.15, 0.15, 0.3)
    page = visit(site)
    ask = """async ([before, after, q, wanted]) => {
        const { parse, quantile, sum } = await import("/page/exposition.js");
        return [quantile(q, parse(before), parse(after), "patchbay_x_seconds", wanted), sum(parse(after), "patchbay_x_seconds_count", wanted)];
    }"""

    def asked(q: float, wanted: dict[str, str]) -> Any:
        return page.evaluate(ask, [before, after, q, wanted])

    # Four new: one up to 0.1, two up to 0.2, one up to 0.4. The second of four lies halfway through the second bucket.
    assert asked(0.5, {"adapter": 'od"d\\\n'}) == [0.15000000000000002, 5]
    assert asked(1.0, {}) == [0.4, 5]
    assert asked(0.5, {"adapter": "other"}) == [None, 0]
