"""Letting a request for tokens in: model id, version, hold on its weights, and the time it took."""

import time
from dataclasses import dataclass, field

from adapters.base import Base
from adapters.errors import Unavailable
from adapters.registry import Registry
from adapters.state import Version
from service.engine.door import Engine
from service.inference import RETRY_AFTER, Target
from service.metrics import Metrics
from service.residency import Residency, Resident
from service.routing import resolve
from service.terms import Terms


@dataclass
class Held:
    """A lease: see service.inference.Lease."""

    target: Target
    residency: Residency
    entry: Resident | None
    metrics: Metrics
    route: str
    began: float = field(default_factory=time.monotonic)
    open: bool = True

    def close(self, status: int) -> None:
        """Lets the weights go and counts the request, once."""
        if not self.open:
            return
        self.open = False
        if self.entry is not None:
            self.residency.release(self.entry)
        self.metrics.request(self.target.label, self.route, status, time.monotonic() - self.began)


class Desk:
    """See service.inference.Admission, which this is."""

    def __init__(
        self, base: Base, engine: Engine, registry: Registry, residency: Residency, metrics: Metrics, terms: Terms
    ) -> None:
        self._base, self._engine, self._registry, self._residency, self._metrics = base, engine, registry, residency, metrics
        self._terms = terms

    @property
    def base_id(self) -> str:
        """The base's own model id."""
        return self._base.id

    def exact(self, model: str) -> str:
        """The model id that goes on meaning what `model` means now. Raises NotFound, or Conflict where it may not be served."""
        version = self._resolve(model)
        return version.engine_name if version else self._base.id

    def _resolve(self, model: str | None) -> Version | None:
        version = resolve(self._registry.state, self._base.id, model)
        if version is not None:
            self._terms.check(version)
        return version

    async def admit(self, model: str | None, route: str) -> Held:
        """A hold on what `model` means now; the version does not change under a request that is in."""
        began = time.monotonic()
        if self._engine.state != "ready":
            raise Unavailable(f"the engine is {self._engine.state}", retry_after=RETRY_AFTER)
        version = self._resolve(model)
        base = f"{self._base.id}@{self._base.digest[:19]}"
        if version is None:
            target = Target(None, self._base.id, base)
            return Held(target, self._residency, None, self._metrics, route, began)
        entry = await self._residency.hold(version)
        target = Target(self._residency.engine_version(version), version.name, f"{version.engine_name}+{base}")
        return Held(target, self._residency, entry, self._metrics, route, began)
