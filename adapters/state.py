"""A picture of the registry: names, versions, what is live."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from adapters.errors import Conflict, NotFound
from adapters.names import check_prefix

# The status of a version that has been stored but not yet proven: no picture shows it, and a restart discards it.
PENDING = "pending"


@dataclass(frozen=True)
class Version:
    """One version as requests need it. In the engine it goes by `engine_name` and `engine_id`, both its own.

    `base` is the digest of the base it was proven on.
    """

    name: str
    digest: str
    engine_id: int
    rank: int
    tensor_bytes: int
    status: str
    created: str
    base: str | None = None

    @property
    def engine_name(self) -> str:
        """`name@sha256:…`: no two contents share it."""
        return f"{self.name}@{self.digest}"


@dataclass(frozen=True)
class Adapter:
    """A name with its versions, oldest first."""

    name: str
    live: str | None
    previous: str | None
    pinned: bool
    created: str
    versions: tuple[Version, ...] = ()

    def version(self, prefix: str) -> Version:
        """The version whose digest begins with `prefix`. Raises NotFound or, where several do, Conflict."""
        wanted = check_prefix(prefix)
        found = [v for v in self.versions if v.digest.removeprefix("sha256:").startswith(wanted)]
        if not found:
            has = ", ".join(v.digest[:19] for v in self.versions) or "none"
            raise NotFound(f"{self.name!r} has no version {prefix!r}; it has {has}", param="version")
        if len(found) > 1:
            raise Conflict(f"{prefix!r} fits {len(found)} versions of {self.name!r}; give more digits", param="version")
        return found[0]

    @property
    def live_version(self) -> Version | None:
        """What the name serves, None where nothing has been promoted."""
        return next((v for v in self.versions if v.digest == self.live), None)


@dataclass(frozen=True)
class State:
    """A picture of the registry at one moment."""

    adapters: Mapping[str, Adapter] = field(default_factory=dict)
    default: str | None = None

    def adapter(self, name: str) -> Adapter:
        """Raises NotFound, which names those there are."""
        if name not in self.adapters:
            raise NotFound(
                f"there is no adapter {name!r}; there are {', '.join(sorted(self.adapters)[:10]) or 'none yet'}", param="name"
            )
        return self.adapters[name]
