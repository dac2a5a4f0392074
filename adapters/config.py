"""adapter_config.json: read and checked by our own code, since engines and PEFT take much of it on trust."""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.archive import CONFIG
from adapters.errors import Problem, shown
from adapters.json_file import read_json
from adapters.limits import Limits
from adapters.peft_fields import PLAIN_INITS, field_problems
from adapters.targets import Targets, read_targets

MAX_ALPHA = 1e5
# Keys of rank_pattern become regular expressions in engines: names, dots and anchors only, one for each layer at most.
_SAFE_PATTERN = re.compile(r"\^?(?:[\w.]|\\\.){1,200}\$?")
_MOST_PATTERNS = 4096


@dataclass(frozen=True)
class AdapterConfig:
    """What matters of a PEFT LoRA configuration; the scale of a module is alpha/r, or alpha/sqrt(r) with rsLoRA.

    Of one with problems: rank and alpha are 0 and targets None where they cannot be read.
    """

    rank: int
    alpha: float
    rslora: bool
    ranks: tuple[tuple[re.Pattern[str], int], ...]
    base_name: str | None
    targets: Targets | None = field(default=None)

    def rank_of(self, module: str) -> int:
        """The rank declared for a module, by PEFT's rule: a key matches a suffix that begins at a dot."""
        return next((rank for pattern, rank in self.ranks if pattern.match(module)), self.rank)

    @property
    def largest_rank(self) -> int:
        """The rank the engine has to make room for."""
        return max([self.rank, *(rank for _, rank in self.ranks)])


def read_config(folder: Path, limits: Limits) -> tuple[AdapterConfig | None, list[Problem]]:
    """The configuration in `folder`, and every problem with it; None where it cannot be read at all."""
    content, problem = read_json(folder / CONFIG, limits.config_file)
    if problem:
        return None, [problem]
    numbers, targets = [*_numbers(content, limits), *_patterns(content, limits)], read_targets(content, CONFIG)
    problems = [*_features(content), *field_problems(content, CONFIG), *numbers, *targets[1]]
    return _config(content, targets[0], is_sound=not numbers), problems


def _problem(code: str, message: str) -> Problem:
    return Problem(code, message, CONFIG)


def _features(content: dict[str, Any]) -> list[Problem]:
    found = []
    if content.get("peft_type") != "LORA":
        found.append(_problem("unsupported_peft_type", f"peft_type is {shown(content.get('peft_type'))}; only LORA is served"))
    if content.get("task_type") not in (None, "CAUSAL_LM"):
        found.append(_problem("unsupported_task", f"task_type is {shown(content['task_type'])}; only CAUSAL_LM is served"))
    if content.get("bias", "none") != "none":
        found.append(
            _problem("unsupported_feature", f"bias is {shown(content['bias'])}; biases are not served, train with bias='none'")
        )
    init = content.get("init_lora_weights", True)
    if not isinstance(init, bool) and init not in PLAIN_INITS:
        found.append(
            _problem(
                "unsupported_feature",
                f"init_lora_weights is {shown(init)}, which trains beside a changed base; convert it to a plain LoRA "
                "(PEFT's save_pretrained with path_initial_model_for_weight_conversion)",
            )
        )
    if not isinstance(content.get("use_rslora", False), bool):
        found.append(_problem("bad_config", f"use_rslora is {shown(content['use_rslora'])}; give true or false"))
    name = content.get("base_model_name_or_path")
    if name is not None and not isinstance(name, str):
        found.append(_problem("bad_config", f"base_model_name_or_path is {shown(name)}; give a text"))
    return found


def _is_rank(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_alpha(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= MAX_ALPHA and math.isfinite(value)


def _numbers(content: dict[str, Any], limits: Limits) -> list[Problem]:
    found = []
    rank, alpha = content.get("r"), content.get("lora_alpha")
    if not _is_rank(rank):
        found.append(_problem("bad_rank", f"r is {shown(rank)}; a rank is a positive whole number"))
    elif isinstance(rank, int) and rank > limits.rank:
        found.append(
            _problem("rank_too_large", f"r is {rank}, this service takes at most {limits.rank} (patchbay serve --max-rank)")
        )
    if not _is_alpha(alpha):
        found.append(_problem("bad_alpha", f"lora_alpha is {shown(alpha)}; give a number above 0, at most {MAX_ALPHA:g}"))
    return found


def _patterns(content: dict[str, Any], limits: Limits) -> list[Problem]:
    found = []
    for field_name, is_good in (("rank_pattern", _is_rank), ("alpha_pattern", _is_alpha)):
        pattern = content.get(field_name)
        if pattern is None:
            continue
        if not isinstance(pattern, dict) or len(pattern) > _MOST_PATTERNS:
            wanted = f"an object of at most {_MOST_PATTERNS} names"
            found.append(_problem("bad_pattern", f"{field_name} is {shown(pattern)}; give {wanted}"))
            continue
        for key, value in pattern.items():
            where = f"{field_name}[{shown(key)}]"
            if not _SAFE_PATTERN.fullmatch(key):
                found.append(_problem("bad_pattern", f"{where}: only names of modules are taken as keys"))
            if not is_good(value):
                found.append(_problem("bad_pattern", f"{where} is {shown(value)}; give a positive number"))
            elif field_name == "rank_pattern" and value > limits.rank:
                found.append(_problem("rank_too_large", f"{where} is {value}, this service takes at most {limits.rank}"))
    return found


def _config(content: dict[str, Any], targets: Targets | None, is_sound: bool) -> AdapterConfig:
    name = content.get("base_model_name_or_path")
    patterns = (content.get("rank_pattern") or {}) if is_sound else {}
    return AdapterConfig(
        rank=content["r"] if is_sound else 0,
        alpha=float(content["lora_alpha"]) if is_sound else 0.0,
        rslora=content.get("use_rslora", False) is True,
        ranks=tuple((re.compile(rf"(.*\.)?({key})$"), rank) for key, rank in patterns.items()),
        base_name=name if isinstance(name, str) and name else None,
        targets=targets,
    )
