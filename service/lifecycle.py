"""An adapter's life in a running service: uploaded, proven, promoted, rolled back, put out, deleted, and restored after a crash."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from adapters.check import Checked, check_adapter
from adapters.errors import AdapterRefused, Conflict, PatchbayError, Problem, TooLarge
from adapters.limits import Limits
from adapters.manifest import Manifest
from adapters.names import check_name
from adapters.registry import Registry
from adapters.state import Adapter, Version
from adapters.store import Store
from service.engine.door import Engine
from service.gate import Gate, Requirement
from service.intake import Intake
from service.metrics import Metrics
from service.residency import Residency
from service.terms import Terms

log = logging.getLogger("patchbay")
T = TypeVar("T")


class Lifecycle:
    """Changes to one name follow one another; those to different names do not wait for each other."""

    def __init__(
        self,
        limits: Limits,
        engine: Engine,
        registry: Registry,
        store: Store,
        metrics: Metrics,
        capacity: int,
        terms: Terms,
    ) -> None:
        self.base, self.limits, self.registry, self.store, self.metrics = terms.base, limits, registry, store, metrics
        self.terms = terms
        self.residency = Residency(engine, store, capacity, metrics, self._kept)
        self.gate = Gate(registry.records, terms.base.digest)
        self.intake = Intake(limits, engine, registry, store, self.residency, metrics, terms)
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def _kept(self) -> set[int]:
        """Pinned adapters' live versions are never put out to make room."""
        adapters = self.registry.state.adapters.values()
        return {a.live_version.engine_id for a in adapters if a.pinned and a.live_version is not None}

    def sweep(self) -> None:
        """At start: what was half-done when the service last ended is gone, and known adapters are known to the metrics.

        Raises:
            Conflict: the registry is that of another home.
        """
        self.store.id = self.registry.pair(self.store.id, self.store.is_empty)
        for version in self.registry.pending():
            self.registry.discard(version)
        state = self.registry.state
        for version in (v for a in state.adapters.values() for v in a.versions):
            self._look_after(version)
        self.store.sweep({(v.name, v.digest) for a in state.adapters.values() for v in a.versions})
        for name in state.adapters:
            self.metrics.know(name)

    def _look_after(self, version: Version) -> None:
        """A version whose files are gone is kept and not served: only a person may say that it was meant so."""
        manifest = self.store.manifest(version.name, version.digest)
        if manifest is None:
            self.terms.missing.add(version.engine_id)
            log.error("%s is not served: %s", version.engine_name, self.terms.objection(version))
        elif version.base is None:
            self.registry.complete(version, manifest)

    async def restore(self) -> None:
        """After the engine was built: live versions are resident again, pinned and default first, as many as there is room for.

        Those that were proven on another base are proven on this one first; where that fails they are not served.
        """
        for version in self._live():
            if version.base != self.base.digest:
                await self._prove_again(version)
        live = [version for version in self._live() if not self.terms.objection(version)]
        for version, error in await self.residency.restore(live[: self.residency.capacity]):
            log.error("could not restore %s: %s", version.engine_name, error.message)

    def _live(self) -> list[Version]:
        """Live versions, the most wanted first."""
        state = self.registry.state
        first = sorted(state.adapters.values(), key=lambda a: (not a.pinned, a.name != state.default, a.name))
        return [a.live_version for a in first if a.live_version is not None]

    async def _prove_again(self, version: Version) -> None:
        try:
            async with self._locks[version.name]:
                await self.intake.prove_here(version, "service")
        except PatchbayError as error:
            log.error("%s is not served on %s: %s", version.engine_name, self.base.id, error.message)

    async def upload(
        self,
        files: Path,
        name: str,
        actor: str,
        *,
        live: bool = False,
        accept_base: bool = False,
        found: Sequence[Problem] = (),
    ) -> tuple[Manifest, bool]:
        """Takes the adapter in the staged folder `files` into service: its manifest, and whether it is new.

        `found` is what was wrong with it on its way there; it is refused for that, with whatever else is.

        Raises:
            BadInput: the name cannot be used.
            AdapterRefused: with every problem; nothing is kept of it, and what was live stays live.
            StorageFull, Unavailable: likewise nothing is kept.
        """
        check_name(name, self.base.id)
        async with self._locks[name]:
            return await self.counted(self._take_in(files, name, actor, live, accept_base, found))

    async def counted(self, work: Awaitable[T]) -> T:
        """Does a part of an upload; a refusal in it is counted by its first problem."""
        try:
            return await work
        except AdapterRefused as error:
            self.metrics.refused.labels(error.problems[0].code).inc()
            raise
        except TooLarge as error:
            self.metrics.refused.labels(error.code).inc()
            raise

    async def _take_in(
        self, files: Path, name: str, actor: str, live: bool, accept_base: bool, found: Sequence[Problem]
    ) -> tuple[Manifest, bool]:
        checked = await asyncio.to_thread(check_adapter, files, name, self.base, self.limits, accept_base, found)
        there = self.store.manifest(name, checked.manifest.version)
        if there is None:
            return await self._admit(files, checked, actor, live), True
        version = self.registry.state.adapter(name).version(there.version)
        if version.base != self.base.digest:
            there = await self.intake.prove_here(version, actor, accept_base)
        if there.status == "unverified" and checked.probes is not None:
            there = await self.intake.verify(version, files, checked, actor)
        if live or self.registry.state.adapter(name).live is None:
            await self._promote(version, actor, "promote")
        return there, False

    async def _admit(self, files: Path, checked: Checked, actor: str, live: bool) -> Manifest:
        """A new version; a name's first goes live with it."""
        name = checked.manifest.name
        adapter = self.registry.state.adapters.get(name)
        before = adapter.live_version if adapter else None
        goes_live = before is None or (live and before.digest != checked.manifest.version)
        manifest = await self.intake.admit(files, checked, actor, goes_live)
        if goes_live:
            self._switched(name, before)
        return manifest

    def _switched(self, name: str, before: Version | None) -> None:
        self.metrics.switches.labels(name).inc()
        if before is not None:
            self.residency.retire(before)

    async def promote(self, name: str, prefix: str, actor: str, require: Requirement | None = None) -> Adapter:
        """Switches a name to one of its versions (a rollback where it is the one before). Requests under way finish on the old one.

        Raises:
            NotFound: no such version.
            Conflict: it may not be served here, or what is required of it is not met; nothing has changed.
        """
        async with self._locks[name]:
            adapter = self.registry.state.adapter(name)
            version = adapter.version(prefix)
            action = "rollback" if version.digest == adapter.previous else "promote"
            passed = None
            if require is not None and version.digest != adapter.live:
                passed = await asyncio.to_thread(self.gate.check, require, adapter, version)
            return await self._promote(version, actor, action, passed)

    async def _promote(self, version: Version, actor: str, action: str, detail: dict[str, Any] | None = None) -> Adapter:
        """The new version is resident before the row changes, so that the switch costs no request a load."""
        before = self.registry.state.adapter(version.name).live_version
        if version.base != self.base.digest:
            await self.intake.prove_here(version, actor)
        version = self.registry.state.adapter(version.name).version(version.digest)
        self.terms.check(version)
        if before is not None and before.digest == version.digest:
            return self.registry.state.adapter(version.name)
        self.residency.recall(version)
        self.residency.release(await self.residency.hold(version))
        adapter = await asyncio.to_thread(self.registry.promote, version.name, version.digest, actor, action, detail)
        self._switched(version.name, before)
        return adapter

    async def set_default(self, name: str | None, actor: str) -> None:
        """What the model id `default` means. Raises NotFound, or Conflict for a name without a live version."""
        if name is not None and self.registry.state.adapter(name).live is None:
            raise Conflict(f"{name!r} has no live version; promote one first")
        await asyncio.to_thread(self.registry.set_default, name, actor)

    async def load(self, name: str) -> Adapter:
        """Makes a name's live version resident."""
        adapter = self.registry.state.adapter(name)
        if adapter.live_version is None:
            raise Conflict(f"{name!r} has no live version to load; promote one first")
        self.terms.check(adapter.live_version)
        self.residency.release(await self.residency.hold(adapter.live_version))
        return adapter

    async def unload(self, name: str) -> Adapter:
        """Puts a name's versions out of the engine; the next request loads what it needs again."""
        adapter = self.registry.state.adapter(name)
        if adapter.pinned:
            raise Conflict(f"{name!r} is pinned; unpin it first (PUT /v1/adapters/{name}/pinned)")
        for version in adapter.versions:
            await self.residency.unload(version)
        return adapter

    async def set_pinned(self, name: str, pinned: bool, actor: str) -> Adapter:
        """Pins a name, loading it, or unpins it. Raises Conflict when no place would be left for the others."""
        state = self.registry.state
        adapter = state.adapter(name)
        others = sum(a.pinned for a in state.adapters.values() if a.name != name)
        if pinned and others + 1 >= self.residency.capacity:
            raise Conflict(
                f"{others} adapters are pinned already, of {self.residency.capacity} places; one has to stay free for the others"
            )
        if pinned and adapter.live_version is not None:
            self.terms.check(adapter.live_version)
            self.residency.release(await self.residency.hold(adapter.live_version))
        return await asyncio.to_thread(self.registry.set_pinned, name, pinned, actor)

    async def delete_version(self, name: str, prefix: str, actor: str) -> None:
        """Deletes a version that is not live; requests that use it finish first."""
        async with self._locks[name]:
            version = self.registry.state.adapter(name).version(prefix)
            await asyncio.to_thread(self.registry.delete_version, version, actor)
            await self._remove([version])
            if name not in self.registry.state.adapters:
                self.metrics.forget(name)

    async def delete(self, name: str, actor: str) -> None:
        """Deletes a name and all its versions; requests under way finish first."""
        async with self._locks[name]:
            versions = self.registry.state.adapter(name).versions
            await asyncio.to_thread(self.registry.delete_adapter, name, actor)
            await self._remove(versions)
            self.metrics.forget(name)

    async def _remove(self, versions: Sequence[Version]) -> None:
        """No request can find these any more; when the last of those under way has ended, the files go."""
        for version in versions:
            self.residency.retire(version)
        for version in versions:
            await self.residency.drained(version)
            await asyncio.to_thread(self.store.delete, version.name, version.digest)
