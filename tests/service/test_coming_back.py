"""After the end of the service or of its engine: what served before serves again."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.service.conftest import Start, until

Adapters = Callable[[int], Path]


def test_a_restart_serves_the_same(start: Start, adapters: Adapters, tmp_path: Path) -> None:
    async def story() -> None:
        async with start() as s:
            await s.upload(adapters(1), "a")
            two = (await s.upload(adapters(2), "a", live="true")).json()["version"]
            await s.http.put("/v1/default", json={"adapter": "a"})
            (tmp_path / "home" / "staging" / "half").mkdir()
        async with start() as s:
            assert (await s.ask("default")).headers["X-Patchbay-Adapter"] == f"a@{two}"
            assert list(s.engine.held.values()) == [f"a@{two}"]
            assert list((tmp_path / "home" / "staging").iterdir()) == []

    asyncio.run(story())


def test_a_dead_engine_comes_back_with_its_adapters(start: Start, adapters: Adapters) -> None:
    async def story() -> None:
        async with start() as s:
            await s.upload(adapters(1), "a")
            s.engine.die()
            answer = await s.ask("a")
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
            await until(lambda: s.runtime.is_ready)
            assert (await s.ask("a")).status_code == 200
            assert "patchbay_engine_restarts_total 1.0" in (await s.http.get("/metrics")).text

    asyncio.run(story())


def test_an_engine_that_dies_again_while_it_is_built_again_is_built_once_more(
    start: Start, adapters: Adapters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.runtime._RESTART_PAUSE", 0.01)

    async def story() -> None:
        async with start() as s:
            await s.upload(adapters(1), "a")
            s.engine.starts_that_fail = 2
            s.engine.die()
            await until(lambda: s.engine.starts_that_fail == 0)
            await until(lambda: s.runtime.is_ready)
            assert s.runtime.failure is None
            assert (await s.ask("a")).status_code == 200

    asyncio.run(story())
