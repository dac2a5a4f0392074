"""Letting a request for tokens in: model id, version, hold on its weights, a place in the queue, and the time it took."""

import time
from dataclasses import dataclass

from adapters.base import Base
from adapters.errors import Busy, PatchbayError, Unavailable
from adapters.names import DEFAULT, split_model
from adapters.registry import Registry
from adapters.state import Version
from service.caller import caller
from service.deadline import in_time
from service.engine.door import Engine
from service.errors import STATUS
from service.inference import INFERENCE, RETRY_AFTER, Target
from service.metrics import Metrics
from service.residency import Residency, Resident
from service.routing import resolve
from service.terms import Terms

_RETRY_FULL = 2.0


@dataclass
class Held:
    """A lease: see service.inference.Lease."""

    target: Target
    desk: "Desk"
    entry: Resident | None
    route: str
    began: float
    open: bool = True

    @property
    def seconds(self) -> float:
        """How long the request may take, in all."""
        return self.desk.seconds

    @property
    def left(self) -> float:
        """Seconds of them that are left."""
        return max(0.0, self.began + self.desk.seconds - time.monotonic())

    def close(self, status: int) -> None:
        """Lets the weights and the place go and counts the request, once."""
        if self.open:
            self.open = False
            self.desk.let_go(self, status)


class Desk:
    """See service.inference.Admission, which this is. At most `places` requests are in, each for at most `seconds`."""

    def __init__(
        self,
        base: Base,
        engine: Engine,
        registry: Registry,
        residency: Residency,
        metrics: Metrics,
        terms: Terms,
        places: int,
        seconds: float,
    ) -> None:
        self._base, self._engine, self._registry, self._residency, self._metrics = base, engine, registry, residency, metrics
        self._terms, self._places, self.seconds = terms, places, seconds
        self.taken = 0

    @property
    def base_id(self) -> str:
        """The base's own model id."""
        return self._base.id

    def exact(self, model: str) -> str:
        """The model id that goes on meaning what `model` means now. Raises NotFound, or Conflict where it may not be served."""
        version = self._resolve(model)
        return version.engine_name if version else self._base.id

    def _resolve(self, model: str | None) -> Version | None:
        version = resolve(caller().view(self._registry.state), self._base.id, model)
        if version is not None:
            self._terms.check(version)
        return version

    async def admit(self, model: str | None, route: str) -> Held:
        """A hold on what `model` means now; the version does not change under a request that is in."""
        began = time.monotonic()
        try:
            return await self._admit(model, route, began)
        except PatchbayError as error:
            self._metrics.request(self._label(model), route, STATUS[type(error)], time.monotonic() - began)
            raise

    def _label(self, model: str | None) -> str:
        """What metrics call a request that was not let in; they leave out names that nobody knows."""
        name = split_model(model or self._base.id)[0]
        return (self._registry.state.default or self._base.id) if name == DEFAULT else name

    async def _admit(self, model: str | None, route: str, began: float) -> Held:
        if self._engine.state != "ready":
            raise Unavailable(f"the engine is {self._engine.state}", retry_after=RETRY_AFTER)
        version = self._resolve(model)
        base = f"{self._base.id}@{self._base.digest[:19]}"
        is_counted = route in INFERENCE  # evaluations bound themselves
        if is_counted and self.taken >= self._places:
            raise Busy(f"{self.taken} requests are in already, as many as there may be", retry_after=_RETRY_FULL)
        self.taken += is_counted
        if version is None:
            return Held(Target(None, self._base.id, base), self, None, route, began)
        try:
            hold = self._residency.hold(version)
            entry = await (in_time(hold, self.seconds, self.seconds) if is_counted else hold)
        except BaseException:  # whatever it was, this request is not in
            self.taken -= is_counted
            raise
        target = Target(self._residency.engine_version(version), version.name, f"{version.engine_name}+{base}")
        return Held(target, self, entry, route, began)

    def let_go(self, held: Held, status: int) -> None:
        """The end of a hold; see Held.close, which calls it once."""
        self.taken -= held.route in INFERENCE
        if held.entry is not None:
            self._residency.release(held.entry)
        self._metrics.request(held.target.label, held.route, status, time.monotonic() - held.began)
