"""One running service: its parts, put together once, and what starts, restores and ends them."""

import asyncio
import fcntl
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, ParamSpec, TypeVar

from adapters.base import Base
from adapters.errors import Conflict, PatchbayError
from adapters.registry import Registry
from adapters.store import Store
from service.admission import Desk
from service.drain import Drain
from service.engine.door import Engine
from service.evaluations import Evaluations
from service.files import Files
from service.formats import weight_bits, weights_format
from service.given import check_folders, take_folders
from service.keyring import Keyring
from service.lifecycle import Lifecycle
from service.memory import divided, limit
from service.metrics import Metrics, Snapshot
from service.settings import Settings
from service.spending import Spending
from service.terms import Terms

log = logging.getLogger("patchbay")
_RESTART_PAUSE = 2.0
P = ParamSpec("P")
T = TypeVar("T")


class Runtime:
    """What the routes work with. `make_engine` is called once, with the observer that its requests are told to."""

    def __init__(self, settings: Settings, base: Base, make_engine: Callable[[Base, Settings, Spending], Engine]) -> None:
        self.settings, self.base = settings, base
        self.keyring = Keyring(settings.keys) if settings.keys else None
        self._lock = _lock_home(settings.home)
        self.metrics = Metrics(base.id)
        self.registry = Registry(settings.database)
        self.store = Store(settings.home)
        self.engine = make_engine(base, settings, Spending(self.metrics))
        terms = Terms(base, settings.require_verified, weight_bits(base, settings.engine))
        self.lifecycle = Lifecycle(
            settings.limits, self.engine, self.registry, self.store, self.metrics, settings.max_resident, terms
        )
        self.desk = Desk(
            base,
            self.engine,
            self.registry,
            self.lifecycle.residency,
            self.metrics,
            terms,
            settings.max_queue,
            settings.request_seconds,
        )
        self.drain = Drain(settings.drain_seconds)
        self.files = Files(settings.home / "files", settings.file_bytes)
        self.evaluations = Evaluations(
            self.registry,
            self.desk,
            self.engine,
            self.files,
            self.metrics,
            settings.home / "files",
            settings.evaluation_concurrency,
            {"id": base.id, "digest": base.digest, "format": weights_format(base, settings.engine)},
        )
        self.restored = False
        self.failure: str | None = None
        self.on_failure: Callable[[], None] = lambda: None
        self.lifecycle.sweep()
        check_folders(self.lifecycle, settings.adapters)
        self._memory_limit = limit()
        self.metrics.watch(self._snapshot)

    async def in_thread(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs what waits for the disk or the database off the event loop."""
        return await asyncio.to_thread(call, *args, **kwargs)

    @property
    def is_ready(self) -> bool:
        """The engine answers, and what shall serve does."""
        return self.engine.state == "ready" and self.restored

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Starts the engine in the background; at the end lets evaluations and the engine end."""
        keeper = asyncio.create_task(self._keep_running())
        try:
            yield
        finally:
            keeper.cancel()
            await self.evaluations.stop()
            await self.engine.stop()
            self.registry.close()
            self._lock.close()

    async def _keep_running(self) -> None:
        """The engine for as long as the service lives: built, and built again whenever it dies."""
        first = True
        while True:
            if reason := await self._begin(first):
                if first:
                    return self._fail(reason)
                log.error("not ready again: %s; the next try follows", reason)
                await asyncio.sleep(_RESTART_PAUSE)
                continue
            self.restored, first = True, False
            log.info("ready: %s with %d adapters", self.base.id, len(self.registry.state.adapters))
            await self.engine.died()
            self.restored = False
            # Before a new engine can answer: a request must load what it needs, not find it where it was.
            self.lifecycle.residency.forget_all()
            self.metrics.restarts.inc()
            log.error("the engine died; building it again")

    async def _begin(self, first: bool) -> str:
        """Builds the engine and makes resident what shall serve. What was in the way, nothing where it is done: at first that is
        the configuration's fault, later it may pass."""
        try:
            await self.engine.start()
            await self.lifecycle.restore()
            if first:
                await take_folders(self.lifecycle, self.settings.adapters)
                self.evaluations.resume()
        except PatchbayError as error:
            return error.message
        except Exception as error:  # whatever a broken installation or base raises inside vLLM
            log.exception("the engine could not be started")
            return f"the engine could not be started: {error}"
        return ""

    def _fail(self, reason: str) -> None:
        """A service that cannot begin ends, and says why; whoever started it decides what next."""
        self.failure = reason
        self.on_failure()

    def _snapshot(self) -> Snapshot:
        residency = self.lifecycle.residency
        sizes = dict.fromkeys(self.registry.state.adapters, 0)
        for version in residency.versions():
            sizes[version.name] = sizes.get(version.name, 0) + version.tensor_bytes
        live = (a.live_version for a in self.registry.state.adapters.values())
        memory = divided(self.engine.memory(), self.engine.process_ids())
        resident = frozenset(v.name for v in live if v is not None and residency.is_resident(v))
        return Snapshot(self.is_ready, memory, self._memory_limit, sizes, resident)


def _lock_home(home: Path) -> IO[str]:
    """Holds the home for this process. Raises Conflict when another service runs on it."""
    home.mkdir(parents=True, exist_ok=True)
    lock = (home / "service.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise Conflict(f"another service runs on {home}; stop it, or give this one another --home") from error
    return lock
