"""Who is in the engine: how often one was asked for decides who stays, and loads come two at a time."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.state import Version
from adapters.store import Store
from service.engine.version import EngineVersion
from service.metrics import Metrics
from service.residency import Residency
from tests.fakes import FakeEngine
from tests.service.conftest import until


class Counting(FakeEngine):
    """Knows the most loads that were under way at once, and the order of what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, int]] = []
        self.loading = self.most_loading = 0

    async def load(self, version: EngineVersion) -> None:
        self.told.append(("load", version.engine_id))
        self.loading += 1
        self.most_loading = max(self.most_loading, self.loading)
        await super().load(version)
        self.loading -= 1

    async def unload(self, engine_id: int) -> bool:
        self.told.append(("unload", engine_id))
        return await super().unload(engine_id)


Make = Callable[[int], tuple[Counting, Residency]]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(capacity: int) -> tuple[Counting, Residency]:
        engine = Counting()
        return engine, Residency(engine, Store(tmp_path), capacity, Metrics("base"), set)

    return made


def version(number: int) -> Version:
    return Version(f"a{number}", f"sha256:{number:064x}", number, 8, 1000, "verified", "2026-01-01T00:00:00Z")


async def use(residency: Residency, *numbers: int) -> None:
    for number in numbers:
        residency.release(await residency.hold(version(number)))


def test_a_sweep_over_rare_adapters_does_not_put_out_a_frequent_one(make: Make) -> None:
    async def story() -> None:
        engine, residency = make(3)
        await engine.start()
        await use(residency, 1, 2, 1, 2, 1, 2, *range(10, 20))
        assert residency.is_resident(version(1))
        assert residency.is_resident(version(2))
        assert not residency.is_resident(version(18))
        assert [name for name in engine.loads if name.startswith(("a1@", "a2@"))] == [
            version(1).engine_name,
            version(2).engine_name,
        ]

    asyncio.run(story())


def test_what_is_asked_for_no_more_goes_in_the_end(make: Make) -> None:
    async def story() -> None:
        engine, residency = make(2)
        await engine.start()
        await use(residency, 1, 1, 1, 2)
        residency._entries[1].used -= 3600
        await use(residency, 2, 3)
        assert not residency.is_resident(version(1))
        assert residency.is_resident(version(2))

    asyncio.run(story())


def test_loads_come_two_at_a_time_and_room_is_asked_for_first(make: Make) -> None:
    async def story() -> None:
        engine, residency = make(4)
        await engine.start()
        await asyncio.gather(*(use(residency, number) for number in range(1, 5)))
        await asyncio.gather(*(use(residency, number) for number in range(5, 9)))
        assert engine.most_loading == 2
        assert engine.most_held <= 4
        told = [what for what, _ in engine.told[4:]]
        assert all(told[:n].count("unload") >= told[:n].count("load") for n in range(len(told)))

    asyncio.run(story())


def test_one_that_is_retired_on_its_way_in_leaves_when_it_is_there(make: Make) -> None:
    """Also where whoever asked for it did not wait."""

    async def story() -> None:
        engine, residency = make(2)
        await engine.start()
        engine.slow_loads = asyncio.Event()
        holding = asyncio.create_task(residency.hold(version(1)))
        await until(lambda: bool(engine.told))
        holding.cancel()
        await asyncio.wait([holding])
        residency.retire(version(1))
        engine.slow_loads.set()
        await asyncio.wait_for(residency.drained(version(1)), 5)
        assert engine.told == [("load", 1), ("unload", 1)]

    asyncio.run(story())
