"""A scenario: who asks for what, how many at once, for how long, and what would be a failure."""

import importlib.resources
import json
from dataclasses import asdict, dataclass, field
from typing import Any

import yaml

MIXES = ("base", "one", "many")
_FOLDER = importlib.resources.files("loadtest").joinpath("scenarios")


class ScenarioError(ValueError):
    """A scenario that is not there or says something unknown; the message names the way out."""


@dataclass(frozen=True)
class Scenario:
    """`limits` are the largest values that pass, by the names of the result's figures."""

    name: str
    mix: str
    users: int
    seconds: float
    max_tokens: int = 32
    limits: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> str:
        """For the process that runs it."""
        return json.dumps(asdict(self))


def names() -> list[str]:
    """The scenarios there are."""
    return sorted(path.name.removesuffix(".yaml") for path in _FOLDER.iterdir() if path.name.endswith(".yaml"))


def load(name: str, **changes: Any) -> Scenario:
    """A scenario by its name, with changes laid over it. Raises ScenarioError."""
    if name not in names():
        raise ScenarioError(f"there is no scenario {name!r}; there are {', '.join(names())}")
    settings = yaml.safe_load(_FOLDER.joinpath(f"{name}.yaml").read_text(encoding="utf-8"))
    settings |= {key: value for key, value in changes.items() if value is not None}
    try:
        found = Scenario(name=name, **settings)
    except TypeError as error:
        raise ScenarioError(f"scenario {name!r}: {error}") from error
    if found.mix not in MIXES:
        raise ScenarioError(f"scenario {name!r} has the mix {found.mix!r}; there are {', '.join(MIXES)}")
    return found
