"""What is known of the service before the traffic: whom to ask, and how to tell who answered."""

import random
from dataclasses import asdict, dataclass, field
from typing import Any

from loadtest.errors import LoadTestError
from loadtest.scenario import Scenario, Traffic

PREFIX = "loadtest-"
SWITCHED = f"{PREFIX}switched"
UPLOADED = f"{PREFIX}uploaded"
_PLACES = ("first", "second")
# Asked of every model alone beforehand, greedily, and now and then in the traffic: the texts have to be the same.
FINGERPRINT = "Order 4821: two green chairs for Maria Lopez, to be sent on Friday."
FINGERPRINT_TOKENS = 16


@dataclass
class Facts:
    """Model ids are those of the service. `adapters` are asked; `versions` holds every version of a name, its live one
    first; `texts` is what each maker (as `X-Patchbay-Adapter` names it) answers to the fingerprint when asked alone;
    `began` is when the traffic did, in seconds since the epoch."""

    base: str
    adapters: list[str] = field(default_factory=list)
    versions: dict[str, list[str]] = field(default_factory=dict)
    default: str | None = None
    texts: dict[str, str] = field(default_factory=dict)
    began: float = 0.0

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    def maker(self, name: str | None, version: str | None = None) -> str:
        """As the header names who answers for `name`, None being the base."""
        return "base" if name is None or name == self.base else f"{name}@{version or self.versions[name][0]}"

    def pick(self, traffic: Traffic, rng: random.Random) -> str:
        """A model id that this traffic asks."""
        named = {"base": self.base, "default": "default", "switched": SWITCHED, "uploaded": UPLOADED}
        if traffic.models in named:
            return named[traffic.models]
        if traffic.models in _PLACES:
            return self.adapters[_PLACES.index(traffic.models)]
        ranked = [*self.adapters, self.base]
        weights = [1 / (rank + 1) for rank in range(len(ranked))] if traffic.models == "zipf" else None
        return rng.choices(ranked, weights)[0]

    def told_apart(self, maker: str) -> bool:
        """Whether the fingerprint of `maker` is known and no other's."""
        return maker in self.texts and sum(text == self.texts[maker] for text in self.texts.values()) == 1

    def check(self, scenario: Scenario) -> None:
        """Raises LoadTestError where the scenario asks adapters that there are not."""
        wanted = max([scenario.adapters, *(_PLACES.index(t.models) + 1 for t in scenario.traffic if t.models in _PLACES)])
        if len(self.adapters) < wanted:
            raise LoadTestError(
                f"scenario {scenario.name!r} asks {wanted} adapters and the service has {len(self.adapters)}; "
                "give an adapter or run folder that more are made from (--adapter DIR)"
            )
