"""A scenario: who asks for what, how many at once or how often, for how long, and what would be a failure."""

import hashlib
import importlib.resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from loadtest.errors import ScenarioError

OPERATING = ("upload", "switch", "unload", "evaluate")
_FOLDER = importlib.resources.files("loadtest").joinpath("scenarios")


class Traffic(BaseModel):
    """One kind of user. Those that ask for tokens (stream, completion, chat) do so again as soon as they are answered,
    or, with `rate`, at random moments, so many a second in all, whether the service keeps up or not. The others act
    each `every` seconds.

    `models` says whom they ask: the base, the first or the second adapter, the one that is switched or uploaded while
    the scenario runs, `default`, or the adapters and the base by popularity (zipf, exponent 1) or all alike (uniform).
    `words` lengthens the prompt. `after` is the share of the time that passes before they begin.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^\w[\w-]*$")
    kind: Literal["stream", "completion", "chat", "upload", "switch", "unload", "evaluate"] = "stream"
    users: int = Field(default=1, ge=1)
    rate: float | None = Field(default=None, gt=0)
    models: Literal["base", "first", "second", "switched", "uploaded", "default", "zipf", "uniform"] = "zipf"
    max_tokens: int = Field(default=32, ge=1)
    words: int = Field(default=0, ge=0)
    after: float = Field(default=0.0, ge=0, lt=1)
    every: float = Field(default=1.0, gt=0)

    @property
    def asks(self) -> bool:
        """Whether it asks for tokens."""
        return self.kind not in OPERATING


class Scenario(BaseModel):
    """`limits` are the largest values that pass and `least` the smallest, by the names of the result's figures: `failed`
    is the whole's, `quiet.first_token_p95` that of the traffic named quiet, `service.adapter_loads` the service's own.

    `adapters` is how many there have to be: what the service lacks is made from the adapters that are given.
    `cold` puts all of them out of the engine before the traffic begins. `beside_base` has the same traffic ask the base
    alone first, for as long, so that its figures stand beside.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    seconds: float = Field(gt=0)
    traffic: tuple[Traffic, ...] = Field(min_length=1)
    adapters: int = Field(default=0, ge=0)
    cold: bool = False
    beside_base: bool = False
    limits: dict[str, float] = Field(default_factory=dict)
    least: dict[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_differ(self) -> "Scenario":
        names = [traffic.name for traffic in self.traffic]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"the traffic {twice} is there twice")
        return self

    @property
    def users(self) -> int:
        """All of them."""
        return sum(traffic.users for traffic in self.traffic)

    def has(self, kind: str) -> bool:
        """Whether there is traffic of this kind."""
        return any(traffic.kind == kind for traffic in self.traffic)

    def on_base(self) -> "Scenario":
        """The traffic that asks for tokens, all of it on the base, without limits: what the others' figures are held against."""
        asking = tuple(traffic.model_copy(update={"models": "base"}) for traffic in self.traffic if traffic.asks)
        return Scenario(name=f"{self.name} on the base alone", seconds=self.seconds, traffic=asking)

    def record(self) -> dict[str, Any]:
        """As JSON; see `from_record`."""
        return self.model_dump(mode="json")

    def digest(self) -> str:
        """The same for the same scenario."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


def names() -> list[str]:
    """The scenarios that come with Patchbay."""
    return sorted(path.name.removesuffix(".yaml") for path in _FOLDER.iterdir() if path.name.endswith(".yaml"))


def load(name: str, *, users: int | None = None, seconds: float | None = None) -> Scenario:
    """A scenario by its name or its file's path; `users` and `seconds` stand in place of its own. `users` is then how many
    ask at once in each traffic that has no rate.

    Raises:
        ScenarioError: there is none, or it says something unknown.
    """
    try:
        found = yaml.safe_load(_text(name))
    except yaml.YAMLError as error:
        raise ScenarioError(f"scenario {name!r} is no YAML: {error}") from error
    if not isinstance(found, dict):
        raise ScenarioError(f"scenario {name!r} has to be a mapping with seconds and traffic")
    made = from_record({"name": Path(name).stem, **found})
    changed = [t.model_copy(update={"users": users}) if users and t.asks and t.rate is None else t for t in made.traffic]
    return made.model_copy(update={"traffic": tuple(changed), "seconds": seconds or made.seconds})


def _text(name: str) -> str:
    if name in names():
        return _FOLDER.joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    path = Path(name)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        return path.read_text(encoding="utf-8")
    raise ScenarioError(f"there is no scenario {name!r}; there are {', '.join(names())}, or give a .yaml file")


def from_record(record: dict[str, Any]) -> Scenario:
    """A scenario from its `record`, or from its file's mapping. Raises ScenarioError."""
    try:
        return Scenario.model_validate(record)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise ScenarioError(f"scenario {record.get('name')!r}: {where} is {first['input']!r}: {first['msg']}") from error
