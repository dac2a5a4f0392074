"""What a sweep tries: for each hyperparameter a list of values, or a range to draw from."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.errors import BadInput

NAMES = ("rank", "alpha", "dropout", "lr")
Value = float | int | str
Params = dict[str, Value]


@dataclass(frozen=True)
class Values:
    """Tried as they stand; "2r" is an alpha of twice the rank."""

    values: tuple[Value, ...]

    def draw(self, trial: Any, name: str) -> Value:
        """A value by optuna's choice."""
        chosen: Value = trial.suggest_categorical(name, list(self.values))
        return chosen

    def to_json(self) -> Any:
        """As the record holds it."""
        return list(self.values)


@dataclass(frozen=True)
class Range:
    """Drawn between two ends, evenly in the logarithm where the ends are above zero."""

    low: float
    high: float
    whole: bool

    def draw(self, trial: Any, name: str) -> Value:
        """A value by optuna's choice."""
        if self.whole:
            return int(trial.suggest_int(name, int(self.low), int(self.high), log=True))
        return float(trial.suggest_float(name, self.low, self.high, log=self.low > 0))

    def to_json(self) -> Any:
        """As the record holds it."""
        return {"low": self.low, "high": self.high}


Space = Mapping[str, Values | Range]


def read_space(given: Mapping[str, str | None]) -> Space:
    """The space of "4,8,16" (values) and "1e-4:1e-2" (a range) by name.

    Raises BadInput for what is neither, and when nothing varies.
    """
    space = {name: _read(name, text) for name, text in given.items() if text is not None}
    if not space:
        raise BadInput(
            "nothing varies; give values for at least one of " + ", ".join(f"--{name}" for name in NAMES), param="space"
        )
    return space


def _read(name: str, text: str) -> Values | Range:
    low, colon, high = text.partition(":")
    if colon:
        ends = _number(name, low, text), _number(name, high, text)
        if not isinstance(ends[0], str) and not isinstance(ends[1], str) and ends[0] < ends[1]:
            return Range(ends[0], ends[1], whole=name == "rank")
        raise BadInput(f"--{name} is {text!r}; a range is two numbers, the lower first, such as 1e-4:1e-2", param=name)
    values = tuple(dict.fromkeys(_number(name, part.strip(), text) for part in text.split(",")))
    return Values(values)


def _number(name: str, part: str, text: str) -> Value:
    if name == "alpha" and part.endswith("r"):
        _float(name, part[:-1], text)
        return part
    number = _float(name, part, text)
    if name == "rank":
        if not number.is_integer():
            raise BadInput(f"--{name} has {part!r}; ranks are whole numbers", param=name)
        return int(number)
    return number


def _float(name: str, part: str, text: str) -> float:
    """A number, or BadInput that shows the whole of what was given."""
    try:
        return float(part)
    except ValueError as error:
        raise BadInput(f"--{name} is {text!r}; give values such as 4,8,16 or a range such as 1e-4:1e-2", param=name) from error


def grid(space: Space) -> list[Params]:
    """Every combination, in order. Raises BadInput when there is a range in it."""
    lists: list[list[tuple[str, Value]]] = []
    for name, values in space.items():
        if isinstance(values, Range):
            raise BadInput(f"--{name} is a range; a grid needs values, or draw from it with --search tpe", param=name)
        lists.append([(name, value) for value in values.values])
    return [dict(chosen) for chosen in itertools.product(*lists)]


def ends(space: Space) -> list[Params]:
    """Two sets of parameters that any other lies between."""
    low = {name: values.low if isinstance(values, Range) else values.values[0] for name, values in space.items()}
    high = {name: values.high if isinstance(values, Range) else values.values[-1] for name, values in space.items()}
    return [low, high]


def draw(space: Space, trial: Any) -> Params:
    """The parameters of a trial, by optuna's choice or as they were enqueued."""
    return {name: values.draw(trial, name) for name, values in space.items()}


def settings(params: Params, rank: int) -> dict[str, Any]:
    """Parameters as training takes them; `rank` is that of a trial that does not vary it."""
    alpha = params.get("alpha")
    if isinstance(alpha, str):
        return {**params, "alpha": as_number(alpha) * int(params.get("rank", rank))}
    return dict(params)


def folder_name(params: Params) -> str:
    """Where a trial's run lies, readable."""
    return "_".join(_part(name, value) for name, value in params.items())


def _part(name: str, value: Value) -> str:
    return f"{name}-{value}" if isinstance(value, str) else f"{name}-{value:.6g}"


def as_number(value: Value) -> float:
    """A value's place on an axis: "2r" is 2 there."""
    return float(value[:-1] if isinstance(value, str) else value)
