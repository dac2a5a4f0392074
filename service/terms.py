"""What a version must be to be served here: proven on this base, its files there, and verified where only such are admitted."""

from dataclasses import dataclass, field

from adapters.base import Base
from adapters.errors import Conflict
from adapters.state import Version


@dataclass
class Terms:
    """`missing` holds the engine ids of versions whose files are gone from the store, `weight_bits` are the base's as it is served."""

    base: Base
    require_verified: bool = False
    weight_bits: int = 16
    missing: set[int] = field(default_factory=set)

    def objection(self, version: Version) -> str | None:
        """Why this version may not be served now, with the way out; None when it may."""
        if version.engine_id in self.missing:
            return "its files are gone from the store; upload it again, or delete it"
        if version.base != self.base.digest:
            return f"it is not proven on {self.base.id}; promote it, or upload it again, and that is done"
        if self.require_verified and version.status != "verified":
            return f"it is {version.status}, and this service admits only verified ones (--require-verified)"
        return None

    def check(self, version: Version) -> None:
        """Raises Conflict for a version that may not be served now."""
        if reason := self.objection(version):
            raise Conflict(f"{version.engine_name} is not served: {reason}", param="model", code="version_not_served")
