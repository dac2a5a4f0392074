"""How the page's files are sent."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.service.conftest import Service, Start

PAGE = Path(__file__).resolve().parents[3] / "service" / "page"


@pytest.fixture
def with_service(start: Start) -> Callable[[Callable[[Service], Awaitable[None]]], None]:
    def run(story: Callable[[Service], Awaitable[None]]) -> None:
        async def whole() -> None:
            async with start() as service:
                await story(service)

        asyncio.run(whole())

    return run


def test_every_file_of_the_page_is_sent_and_kept_by_the_browser(with_service: Callable[..., None]) -> None:
    async def story(s: Service) -> None:
        for name in ("", *(f"page/{path.name}" for path in PAGE.iterdir()), "page/uplot.js", "page/uplot.css"):
            answer = await s.http.get(f"/{name}")
            assert answer.status_code == 200, name
            assert answer.headers["Cache-Control"] == "no-cache"
            again = await s.http.get(f"/{name}", headers={"If-None-Match": f'"other", W/{answer.headers["ETag"]}'})
            assert (again.status_code, again.content) == (304, b"")
            head = await s.http.head(f"/{name}")
            assert (head.content, head.headers["content-length"]) == (b"", str(len(answer.content)))

    with_service(story)


def test_the_policy_lets_nothing_else_in(with_service: Callable[..., None]) -> None:
    async def story(s: Service) -> None:
        answer = await s.http.get("/")
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
        assert {policy[f"{kind}-src"] for kind in ("script", "style", "img", "connect")} == {"'self'"}
        assert policy["require-trusted-types-for"] == "'script'"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        for inline in ("<style", "style=", "<script>", "onclick", "http:", "https:"):
            assert inline not in answer.text

    with_service(story)


def test_no_other_file_is_sent(with_service: Callable[..., None]) -> None:
    async def story(s: Service) -> None:
        for name in ("none.js", "..%2Fapp.py", "%2e%2e/app.py", ".", "page.css/"):
            assert (await s.http.get(f"/page/{name}", follow_redirects=False)).status_code in (404, 307), name
        assert (await s.http.post("/")).status_code == 405

    with_service(story)


def test_the_chart_library_is_the_one_whose_licence_stands_there(with_service: Callable[..., None]) -> None:
    async def story(s: Service) -> None:
        assert (await s.http.get("/page/uplot.js")).text.startswith("/*! https://github.com/leeoniya/uPlot (v1.6.18) */")
        assert "Leon Sorokin" in (await s.http.get("/page/uplot-licence.txt")).text

    with_service(story)
