"""Small stand-ins for the engine: they keep count of what they are asked, and answer at once."""

import asyncio
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter

from adapters.errors import AdapterRefused, Problem, Unavailable
from evaluation.model import Completion
from evaluation.rows import Row
from evaluation.tokens import EncodedRow
from service.engine.version import EngineVersion
from service.inference import Admission, Lease
from tests.fake_openai import fake_openai


class FakeEngine:
    """See service.engine.door.Engine. An answer is the engine name of the weights that gave it."""

    max_length = 1024

    def __init__(self, observer: Any = None) -> None:
        self.observer = observer
        self.state = "starting"
        self.failure: str | None = None
        self.held: dict[int, str] = {}
        self.loads: list[str] = []
        self.refuse_next: str | None = None
        self.no_effect = False
        self.noise = 0.0
        self.not_finite = False
        self.stubborn = 0
        self.slow: asyncio.Event | None = None
        self.slow_loads: asyncio.Event | None = None
        self.starts_that_fail = 0
        self.most_held = 0
        self.scored = 0
        # What a route answers instead of the weights' name, and the seconds before each word of a stream.
        self.says: str | None = None
        self.pause = 0.0
        self.running = 0
        self._dead = asyncio.Event()

    async def start(self) -> None:
        await asyncio.sleep(0.02)
        if self.starts_that_fail:
            self.starts_that_fail -= 1
            raise Unavailable("the engine failed: while it warmed up", retry_after=5)
        self.held.clear()
        self._dead.clear()
        self.state = "ready"

    async def stop(self) -> None:
        self.state = "stopped"

    async def died(self) -> None:
        await self._dead.wait()
        self.state = "failed"

    def die(self) -> None:
        """As if its process had been killed."""
        self.state = "failed"
        self._dead.set()

    def _ready(self) -> None:
        if self.state != "ready":
            raise Unavailable(f"the engine is {self.state}", retry_after=5)

    async def load(self, version: EngineVersion) -> None:
        self._ready()
        await asyncio.sleep(0.01)
        if self.slow_loads is not None:
            await self.slow_loads.wait()
        if self.refuse_next:
            reason, self.refuse_next = self.refuse_next, None
            raise AdapterRefused((Problem("engine_refused", reason),))
        self.held[version.engine_id] = version.name
        self.loads.append(version.name)
        self.most_held = max(self.most_held, len(self.held))

    async def unload(self, engine_id: int) -> bool:
        self._ready()
        await asyncio.sleep(0.01)
        if self.stubborn > 0:
            self.stubborn -= 1
            return False
        self.held.pop(engine_id, None)
        return True

    async def resident(self) -> set[int]:
        return set(self.held)

    def _weights(self, version: EngineVersion | None) -> str:
        self._ready()
        if version is None:
            return "base"
        if self.held.get(version.engine_id) != version.name:
            raise AssertionError(f"{version.name} was used while it was not resident")
        return version.name

    async def complete(self, prompt: Any, version: EngineVersion | None, max_tokens: int) -> Completion:
        self.running += 1
        try:
            if self.slow is not None:
                await self.slow.wait()
            return Completion(self._weights(version), 1, 0.001)
        finally:
            self.running -= 1

    async def score_tokens(self, ids: Sequence[int], version: EngineVersion | None) -> list[float]:
        shift = 0.0 if self._weights(version) == "base" or self.no_effect else float("nan") if self.not_finite else 0.5
        self.scored += 1
        return [-1.0 - shift - self.noise * (self.scored % 3 == 0)] * (len(ids) - 1)

    def encode(self, row: Row) -> EncodedRow:
        return EncodedRow(self.encode_text(str(row.prompt)), self.encode_text(str(row.answer)))

    def encode_text(self, text: str) -> tuple[int, ...]:
        return tuple(text.encode())

    def process_ids(self) -> list[int]:
        return []

    def memory(self) -> dict[str, int]:
        return {"weights": 1000, "kv_cache": 2000}

    def routes(self, admission: Admission) -> APIRouter:
        async def say(asked: Any, version: EngineVersion | None) -> str:
            return self.says or (await self.complete(asked, version, 8)).text

        def spend(lease: Lease, asked: Any, text: str) -> None:
            if self.observer is not None:
                self.observer.finished(lease.target.version and lease.target.version.name, len(str(asked)), len(text.split()))

        return fake_openai(admission, say, spend, lambda: self.pause)
