"""Which weights are in the engine: loaded once however many ask, held while requests use them, put out when idle and in the way."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from adapters.errors import Busy, Conflict, PatchbayError
from adapters.state import Version
from adapters.store import Store
from service.engine.door import Engine
from service.engine.version import EngineVersion
from service.metrics import Metrics
from service.turns import Turns

log = logging.getLogger("patchbay")
_RETRY_FULL = 1.0
# Loads between two steps of the engine, at most, whatever the number of cold requests. One that comes while another waits for
# the step's end would else wait for the whole of the next step too, and leave its place in both empty.
_TOGETHER = 2
# Seconds after which a use counts half: how often an adapter was asked for decides who stays, not only who came last.
_HALF_LIFE = 300.0


@dataclass
class Resident:
    """A version in the engine, or on its way in. `holds` counts requests; a retired one leaves when the last ends."""

    version: Version
    loading: "asyncio.Future[None]"
    holds: int = 0
    used: float = field(default_factory=time.monotonic)
    uses: float = 0.0
    retired: bool = False

    @property
    def idle(self) -> bool:
        """Loaded, and used by no request."""
        return self.holds == 0 and self.loading.done()

    def use(self) -> None:
        """Counts one use."""
        now = time.monotonic()
        self.uses, self.used = self.worth(now) + 1, now

    def worth(self, now: float) -> float:
        """Its uses, each counting less the longer ago it was. A sweep over many rare adapters does not put out a frequent one."""
        return self.uses * 2 ** ((self.used - now) / _HALF_LIFE)


class Residency:
    """Everything here runs on the event loop, so what happens between two awaits is atomic."""

    def __init__(self, engine: Engine, store: Store, capacity: int, metrics: Metrics, kept: Callable[[], set[int]]) -> None:
        self._engine, self._store, self.capacity, self._metrics, self._kept = engine, store, capacity, metrics, kept
        self._entries: dict[int, Resident] = {}
        self._leaving: dict[int, asyncio.Task[None]] = {}
        self._turns = Turns(_TOGETHER)

    def engine_version(self, version: Version) -> EngineVersion:
        """The version as the engine needs it."""
        return EngineVersion(version.engine_name, version.engine_id, self._store.path(version.name, version.digest))

    def versions(self) -> list[Version]:
        """What is in the engine now."""
        return [entry.version for entry in self._entries.values() if entry.loading.done()]

    def is_resident(self, version: Version) -> bool:
        """Whether its weights are in the engine; one that leaves is there until the engine says that it is not."""
        entry = self._entries.get(version.engine_id)
        return version.engine_id in self._leaving or (entry is not None and entry.loading.done())

    async def hold(self, version: Version) -> Resident:
        """Loads a version if need be and holds it; whoever holds must `release`.

        Raises:
            Busy: every place is taken by adapters that are in use or pinned.
            AdapterRefused, Unavailable: what the engine said.
        """
        entry = self._entries.get(version.engine_id)
        if entry is None:
            entry = self._entries[version.engine_id] = Resident(version, asyncio.get_running_loop().create_future())
            entry.loading = asyncio.create_task(self._load(entry))
            entry.loading.add_done_callback(lambda done: self._loaded(entry, done))
        entry.holds += 1
        try:
            await asyncio.shield(entry.loading)
        except BaseException:
            self.release(entry)
            raise
        return entry

    def release(self, entry: Resident) -> None:
        """Ends a hold; the last one of a retired version lets it go."""
        entry.holds -= 1
        entry.use()
        self._let_go_if_retired(entry)

    def retire(self, version: Version) -> None:
        """Its place is wanted no longer: it leaves the engine when no request uses it."""
        entry = self._entries.get(version.engine_id)
        if entry is not None:
            entry.retired = True
            self._let_go_if_retired(entry)

    def recall(self, version: Version) -> None:
        """Takes a retirement back: the version is live again before it left."""
        if entry := self._entries.get(version.engine_id):
            entry.retired = False

    async def unload(self, version: Version) -> None:
        """Puts a version out and waits until it is gone. Raises Conflict while requests use it."""
        entry = self._entries.get(version.engine_id)
        if entry is None:
            return
        if not entry.idle:
            raise Conflict(f"{version.engine_name} is answering {entry.holds} request(s); try again when they have ended")
        await self._let_go(entry)

    async def drained(self, version: Version) -> None:
        """Returns when a retired version has left the engine."""
        while version.engine_id in self._entries or version.engine_id in self._leaving:
            await asyncio.sleep(0.02)

    def forget_all(self) -> None:
        """The engine died, and what it held with it."""
        self._entries.clear()

    async def restore(self, versions: Iterable[Version]) -> list[tuple[Version, PatchbayError]]:
        """After the engine was built anew: these shall be resident. Returns those that failed."""
        failed = []
        for version in versions:
            try:
                self.release(await self.hold(version))
            except PatchbayError as error:
                failed.append((version, error))
        return failed

    async def _load(self, entry: Resident) -> None:
        try:
            if leaving := self._leaving.get(entry.version.engine_id):
                await asyncio.wait([leaving])
            async with self._turns:
                self._make_room()
                await asyncio.sleep(0)  # the engine is told of the leaving first, in the same message
                began = time.monotonic()
                await self._engine.load(self.engine_version(entry.version))
        except BaseException:
            self._forget(entry)
            raise
        self._metrics.load_seconds.observe(time.monotonic() - began)
        self._metrics.loads.labels(entry.version.name).inc()

    def _loaded(self, entry: Resident, loading: "asyncio.Future[None]") -> None:
        """It may have been retired on its way in, and nobody may have waited for it to the end."""
        _seen(loading)
        self._let_go_if_retired(entry)

    def _let_go_if_retired(self, entry: Resident) -> None:
        if entry.retired and entry.idle and self._entries.get(entry.version.engine_id) is entry:
            self._let_go(entry)

    def _forget(self, entry: Resident) -> None:
        """Unless another took its place: after a restart of the engine the same version may be loading anew."""
        if self._entries.get(entry.version.engine_id) is entry:
            del self._entries[entry.version.engine_id]

    def _make_room(self) -> None:
        now = time.monotonic()
        while len(self._entries) > self.capacity:
            kept = self._kept()
            idle = [e for e in self._entries.values() if e.idle and e.version.engine_id not in kept]
            if not idle:
                raise Busy(f"all {self.capacity} places for adapters are in use; try again shortly", retry_after=_RETRY_FULL)
            self._metrics.evictions.inc()
            self._let_go(min(idle, key=lambda entry: entry.worth(now)))

    def _let_go(self, entry: Resident) -> "asyncio.Task[None]":
        """Out of sight at once, so that no new request takes it; out of the engine in a task of its own."""
        engine_id = entry.version.engine_id
        self._forget(entry)
        task = asyncio.create_task(self._unload(engine_id))
        self._leaving[engine_id] = task
        task.add_done_callback(lambda done: self._left(engine_id, done))
        return task

    async def _unload(self, engine_id: int) -> None:
        """Until the engine no longer lists it: that its weights are out is seen, not assumed."""
        while not await self._engine.unload(engine_id):
            log.error("the engine still lists adapter %d after its removal; removing it again", engine_id)
            await asyncio.sleep(_RETRY_FULL)

    def _left(self, engine_id: int, task: "asyncio.Task[None]") -> None:
        self._leaving.pop(engine_id, None)
        _seen(task)


def _seen(task: "asyncio.Future[None]") -> None:
    """Marks a task's error as seen: those who wait for it get it, and nobody may be waiting."""
    if not task.cancelled():
        task.exception()
