"""A version on its way into service: published, loaded and proven on this base; or gone without a trace."""

import asyncio
from dataclasses import replace
from pathlib import Path

from adapters.check import Checked, check_adapter
from adapters.errors import AdapterRefused, NotFound, Problem
from adapters.limits import Limits
from adapters.manifest import Manifest
from adapters.registry import Registry
from adapters.state import PENDING, Version
from adapters.store import Store, disk_full_is_ours
from service.engine.door import Engine
from service.metrics import Metrics
from service.probing import prove
from service.residency import Residency
from service.terms import Terms


class Intake:
    """Whoever calls holds the lock of the name."""

    def __init__(
        self,
        limits: Limits,
        engine: Engine,
        registry: Registry,
        store: Store,
        residency: Residency,
        metrics: Metrics,
        terms: Terms,
    ) -> None:
        self._limits, self._engine, self._registry, self._store = limits, engine, registry, store
        self._residency, self._metrics, self._terms = residency, metrics, terms

    async def admit(self, files: Path, checked: Checked, actor: str, live: bool) -> Manifest:
        """Makes the staged folder `files` a version, with `live` its name's live one in the same step.

        Raises:
            AdapterRefused: the engine will not have it, or its probes speak against it.
            StorageFull, Unavailable: as it says. Whatever is raised, nothing is left.
        """
        manifest = checked.manifest
        self._require_proof(checked)
        known = self._known(manifest)
        version: Version | None = known
        try:
            with disk_full_is_ours():
                await asyncio.to_thread(self._store.publish, files, manifest)
            version = await asyncio.to_thread(self._registry.add, manifest, actor, PENDING)
            self._metrics.know(manifest.name)
            manifest = await self._prove(version, checked, actor, live)
        except BaseException:  # whatever went wrong, an interrupt too: a version that was not proven is not kept
            await self._discard(manifest, version, known is not None)
            raise
        self._terms.missing.discard(version.engine_id)
        return manifest

    def _require_proof(self, checked: Checked) -> None:
        if self._terms.require_verified and checked.probes is None:
            raise AdapterRefused(
                (
                    Problem(
                        "unverified",
                        "this service admits only adapters that bring probes.json, recorded on this base (patchbay train writes it)",
                    ),
                )
            )

    def _known(self, manifest: Manifest) -> Version | None:
        """The version in the registry, where there is one: its files may be gone all the same."""
        adapter = self._registry.state.adapters.get(manifest.name)
        return next((v for v in adapter.versions if v.digest == manifest.version), None) if adapter else None

    async def prove_here(self, version: Version, actor: str, accept_base: bool = False) -> Manifest:
        """Proves a stored version, proven on another base before, on the one that is served now. Raises what `admit` does."""
        there = await asyncio.to_thread(self._store.manifest, version.name, version.digest)
        if there is None:
            raise NotFound(f"the files of {version.engine_name} are gone; upload it again", param="version")
        folder, overruled = self._store.path(version.name, version.digest), accept_base or there.base.overruled
        checked = await asyncio.to_thread(check_adapter, folder, version.name, self._terms.base, self._limits, overruled)
        self._require_proof(checked)
        kept = checked.manifest.model_copy(update={"created": there.created})
        return await self._prove(version, replace(checked, manifest=kept), actor)

    async def verify(self, version: Version, files: Path, checked: Checked, actor: str) -> Manifest:
        """Proves a version that came without probes by those that came now, with the staged folder `files`; keeps them beside it."""
        manifest = await self._proven(version, checked)
        with disk_full_is_ours():
            await asyncio.to_thread(self._store.add_records, files, manifest)
        await asyncio.to_thread(self._registry.set_proof, version, manifest, actor)
        return manifest

    async def _prove(self, version: Version, checked: Checked, actor: str, live: bool = False) -> Manifest:
        manifest = await self._proven(version, checked)
        with disk_full_is_ours():
            await asyncio.to_thread(self._store.rewrite, manifest)
        await asyncio.to_thread(self._registry.set_proof, version, manifest, actor, live)
        return manifest

    async def _proven(self, version: Version, checked: Checked) -> Manifest:
        """The manifest with what the probes showed."""
        entry = await self._residency.hold(version)
        try:
            target = self._residency.engine_version(version)
            figures = await prove(self._engine, target, checked.probes, self._terms.weight_bits)
        finally:
            self._residency.release(entry)
        status = "verified" if checked.probes else "unverified"
        return checked.manifest.model_copy(update={"probe": figures, "status": status})

    async def _discard(self, manifest: Manifest, version: Version | None, is_known: bool) -> None:
        """The files first: on a full disk, that is what makes room for the registry's change."""
        if version is not None:
            self._residency.retire(version)
        await asyncio.to_thread(self._store.delete, manifest.name, manifest.version)
        if version is not None and not is_known:
            await asyncio.to_thread(self._registry.discard, version)
        if manifest.name not in self._registry.state.adapters:
            self._metrics.forget(manifest.name)
