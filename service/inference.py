"""A request for tokens, from its model id to its last token: what the routes ask of the lifecycle, and what they tell it."""

from dataclasses import dataclass
from typing import Protocol

from service.engine.version import EngineVersion


@dataclass(frozen=True)
class Target:
    """What a model id means at this moment. `label` is how metrics and fingerprints name it."""

    version: EngineVersion | None
    label: str
    fingerprint: str

    @property
    def header(self) -> str:
        """`name@sha256:…`, or `base`."""
        return self.version.name if self.version else "base"


class Lease(Protocol):
    """A hold on a target: while it is open, its weights stay in the engine."""

    @property
    def target(self) -> Target: ...

    @property
    def seconds(self) -> float:
        """How long the request may take, in all."""

    @property
    def left(self) -> float:
        """Seconds of them that are left."""

    def close(self, status: int) -> None:
        """Ends the hold, once; further calls do nothing."""


class Admission(Protocol):
    """Who may ask for tokens now, and from which weights."""

    async def admit(self, model: str | None, route: str) -> Lease:
        """Raises NotFound for an unknown model id, Unavailable while the engine is not ready, Busy when there is no room,
        TimedOut when the weights did not come in time."""


HEADER = "X-Patchbay-Adapter"
INFERENCE = ("/v1/completions", "/v1/chat/completions")
# What metrics call the status of a request whose client did not wait for the answer.
CLIENT_CLOSED = 499
# Seconds after which a request may be made again that came while the engine was not ready.
RETRY_AFTER = 5.0
