"""Which layers an adapter's config names, by PEFT's rules; its patterns are a stranger's, and matched as such."""

import re
from dataclasses import dataclass
from typing import Any

import regex

from adapters.errors import Problem, shown

# A name, or the last parts of one.
_NAME = re.compile(r"[\w.-]{1,200}")
# The longest pattern taken, and the seconds that all of the base's layers may take to be matched with it.
_LONGEST = 1000
_SECONDS = 0.5
ALL = "all-linear"
# Where tokens come in and go out: never among all linear layers, and one and the same where they are tied.
ENDS = ("embed_tokens", "lm_head")


@dataclass(frozen=True)
class Targets:
    """PEFT's target_modules, exclude_modules, layers_to_transform and layers_pattern; `tied` counts tied layers as one."""

    wanted: tuple[str, ...] | str
    excluded: tuple[str, ...] | str = ()
    layers: tuple[int, ...] = ()
    patterns: tuple[str, ...] = ()
    tied: bool = False

    def missing(self, modules: list[str]) -> list[str]:
        """Those of the modules that PEFT would not touch with this config. Raises TimeoutError for a pattern that takes too long."""
        seconds = _SECONDS / max(1, len(modules))
        return [m for m in modules if not self._covers(m, seconds)]

    def _covers(self, module: str, seconds: float) -> bool:
        if _names(self.excluded, module, seconds):
            return False
        is_end = module.rsplit(".", 1)[-1] in ENDS
        if self.wanted == ALL or (self.tied and is_end):
            return self.tied or not is_end
        if module in self.wanted and not isinstance(self.wanted, str):
            return True  # named whole, whatever the layers
        return _names(self.wanted, module, seconds) and self._in_layers(module)

    def _in_layers(self, module: str) -> bool:
        if not self.layers:
            return True
        rules = [rf"(?:^|.*?\.){re.escape(name)}\.(\d+)\." for name in self.patterns] or [r".*?\.[^.]*\.(\d+)\."]
        found = next((match for rule in rules if (match := re.match(rule, module))), None)
        return found is not None and int(found.group(1)) in self.layers


def _names(rule: tuple[str, ...] | str, module: str, seconds: float) -> bool:
    if isinstance(rule, str):
        return regex.fullmatch(rule, module, timeout=seconds) is not None
    return any(module == name or module.endswith(f".{name}") for name in rule)


def read_targets(content: dict[str, Any], file: str) -> tuple[Targets | None, list[Problem]]:
    """The targets of a config, and what is wrong with them."""
    wanted, wrong = _rule(content.get("target_modules"), "target_modules", file)
    excluded, more = _rule(content.get("exclude_modules"), "exclude_modules", file)
    problems = [*wrong, *more]
    if not wanted and not wrong:
        problems.append(Problem("bad_config", f"target_modules is {shown(wanted)}; give the names of the layers", file))
    layers, patterns = _listed(content.get("layers_to_transform")), _listed(content.get("layers_pattern"))
    if not all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 10_000 for n in layers):
        problems.append(Problem("bad_config", f"layers_to_transform is {shown(layers)}; give the numbers of layers", file))
    if not all(isinstance(p, str) and _NAME.fullmatch(p) for p in patterns):
        problems.append(Problem("bad_pattern", f"layers_pattern is {shown(patterns)}; only names of modules are taken", file))
    if isinstance(wanted, str) and (layers or patterns):
        problems.append(
            Problem("bad_config", "layers_to_transform and layers_pattern go with a list of target_modules only", file)
        )
    if patterns and not layers:
        problems.append(Problem("bad_config", "layers_pattern needs layers_to_transform", file))
    tied = content.get("ensure_weight_tying", False)
    if not isinstance(tied, bool):
        problems.append(Problem("bad_config", f"ensure_weight_tying is {shown(tied)}; give true or false", file))
    if problems:
        return None, problems
    return Targets(wanted, excluded, tuple(layers), tuple(patterns), tied), []


def _listed(value: Any) -> list[Any]:
    return [] if value in (None, "") else value if isinstance(value, list) else [value]


def _rule(value: Any, field: str, file: str) -> tuple[tuple[str, ...] | str, list[Problem]]:
    """A list of names, or a pattern; braces and (? are left to PEFT's own users, as their cost is not bounded by length."""
    if value is None:
        return (), []
    if isinstance(value, str):
        reason = _pattern_fault(value)
        return value, [] if reason is None else [Problem("bad_pattern", f"{field} is {shown(value)}: {reason}", file)]
    if not isinstance(value, list) or not all(isinstance(name, str) and _NAME.fullmatch(name) for name in value):
        return (), [Problem("bad_config", f"{field} is {shown(value)}; give names of layers, or one pattern", file)]
    return tuple(value), []


def _pattern_fault(pattern: str) -> str | None:
    if not 0 < len(pattern) <= _LONGEST:
        return f"a pattern has 1 to {_LONGEST} characters"
    if "{" in pattern:
        return "counted repetitions are not taken"
    try:
        re.compile(pattern)
        regex.compile(pattern)
    except (re.error, regex.error, RecursionError, OverflowError) as error:
        return f"no pattern: {error}"
    return None
