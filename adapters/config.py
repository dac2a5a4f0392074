"""adapter_config.json: read and checked by our own code, since engines and PEFT take much of it on trust."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from adapters.archive import CONFIG
from adapters.errors import Problem
from adapters.limits import Limits

MAX_ALPHA = 1e5
# What PEFT writes that changes neither the function nor how it is loaded, or that is checked below.
_FREE = frozenset(
    ("task_type", "peft_type", "peft_version", "base_model_name_or_path", "revision", "inference_mode", "r", "target_modules",
     "exclude_modules", "lora_alpha", "lora_dropout", "bias", "use_rslora", "init_lora_weights", "layers_to_transform", "layers_pattern",
     "rank_pattern", "alpha_pattern", "megatron_core", "loftq_config", "eva_config", "lora_ga_config", "qalora_group_size", "ensure_weight_tying")
)  # fmt: skip
_REASONS = {
    "use_dora": "DoRA cannot be served as an adapter; merge it into the base",
    "modules_to_save": "whole modules cannot be swapped per request; train without modules_to_save",
    "auto_mapping": "it names code to load; remove it",
    "layer_replication": "it changes the base's layers; it cannot share a base",
    "fan_in_fan_out": "transposed weights are not served; this base has linear layers",
    "lora_bias": "biases in LoRA layers are not served; train with lora_bias=False",
    "trainable_token_indices": "trained token rows are not served; train without them",
}
# Inits that only set A and B; the others (PiSSA, OLoRA, CorDA, LoftQ) change the base's weights as PEFT loads the adapter.
_PLAIN_INITS = ("gaussian", "eva", "orthogonal", "mica", "lora_ga")
# Keys of rank_pattern become regular expressions in engines: names, dots and anchors only.
_SAFE_PATTERN = re.compile(r"^\^?(?:[\w.]|\\\.){1,200}\$?$")


@dataclass(frozen=True)
class AdapterConfig:
    """What matters of a PEFT LoRA configuration; the scale of a module is alpha/r, or alpha/sqrt(r) with rsLoRA."""

    rank: int
    alpha: float
    rslora: bool
    rank_pattern: Mapping[str, int]
    base_name: str | None

    def rank_of(self, module: str) -> int:
        """The rank declared for a module, by PEFT's rule: a key matches a suffix that begins at a dot."""
        for key, rank in self.rank_pattern.items():
            if re.match(rf"(.*\.)?({key})$", module):
                return rank
        return self.rank

    @property
    def largest_rank(self) -> int:
        """The rank the engine has to make room for."""
        return max([self.rank, *self.rank_pattern.values()])


def read_config(folder: Path, limits: Limits) -> tuple[AdapterConfig | None, list[Problem]]:
    """The configuration in `folder`, and every problem with it; None where it cannot be read at all."""
    content, problem = read_json(folder / CONFIG, limits.json_file)
    if problem:
        return None, [problem]
    problems = [*_features(content), *_numbers(content, limits), *_patterns(content, limits), *_targets(content)]
    if any(p.code in ("bad_rank", "bad_alpha", "bad_pattern") for p in problems):
        return None, problems
    return _config(content), problems


def read_json(path: Path, most: int) -> tuple[dict[str, Any], Problem | None]:
    """A JSON object from a file of at most `most` bytes; numbers that are none (NaN, Infinity) are refused."""
    if not path.is_file():
        return {}, Problem("missing_file", "is missing; upload it beside the weights", path.name)
    if path.stat().st_size > most:
        return {}, Problem("file_too_large", f"has {path.stat().st_size} bytes, at most {most} are read", path.name)
    try:
        content = json.loads(path.read_bytes().decode("utf-8"), parse_constant=_no_constant)
    except RecursionError:
        return {}, Problem("bad_json", "is nested too deeply", path.name)
    except ValueError as error:
        return {}, Problem("bad_json", f"is not JSON: {error}", path.name)
    if not isinstance(content, dict):
        return {}, Problem("bad_json", f"holds a {type(content).__name__}, not an object", path.name)
    return content, None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _problem(code: str, message: str) -> Problem:
    return Problem(code, message, CONFIG)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _features(content: dict[str, Any]) -> list[Problem]:
    found = []
    if content.get("peft_type") != "LORA":
        found.append(_problem("unsupported_peft_type", f"peft_type is {_shown(content.get('peft_type'))}; only LORA is served"))
    if content.get("task_type") not in (None, "CAUSAL_LM"):
        found.append(_problem("unsupported_task", f"task_type is {_shown(content['task_type'])}; only CAUSAL_LM is served"))
    if content.get("bias", "none") != "none":
        found.append(
            _problem("unsupported_feature", f"bias is {_shown(content['bias'])}; biases are not served, train with bias='none'")
        )
    init = content.get("init_lora_weights", True)
    if isinstance(init, str) and init.lower() not in _PLAIN_INITS:
        found.append(
            _problem(
                "unsupported_feature", f"init_lora_weights is {_shown(init)}, which changes the base; convert it to a plain LoRA"
            )
        )
    for key, value in content.items():
        if key not in _FREE and value:
            reason = _REASONS.get(key, "nothing here knows what it does; remove it, or train without it")
            found.append(_problem("unsupported_feature", f"{_shown(key)} is {_shown(value)}: {reason}"))
    if not isinstance(content.get("use_rslora", False), bool):
        found.append(_problem("bad_config", f"use_rslora is {_shown(content['use_rslora'])}; give true or false"))
    return found


def _is_rank(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_alpha(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= MAX_ALPHA and math.isfinite(value)


def _numbers(content: dict[str, Any], limits: Limits) -> list[Problem]:
    found = []
    rank, alpha = content.get("r"), content.get("lora_alpha")
    if not _is_rank(rank):
        found.append(_problem("bad_rank", f"r is {_shown(rank)}; a rank is a positive whole number"))
    elif isinstance(rank, int) and rank > limits.rank:
        found.append(
            _problem("rank_too_large", f"r is {rank}, this service takes at most {limits.rank} (patchbay serve --max-rank)")
        )
    if not _is_alpha(alpha):
        found.append(_problem("bad_alpha", f"lora_alpha is {_shown(alpha)}; give a number above 0, at most {MAX_ALPHA:g}"))
    return found


def _patterns(content: dict[str, Any], limits: Limits) -> list[Problem]:
    found = []
    for field, is_good in (("rank_pattern", _is_rank), ("alpha_pattern", _is_alpha)):
        pattern = content.get(field) or {}
        if not isinstance(pattern, dict):
            found.append(_problem("bad_pattern", f"{field} is {_shown(pattern)}; give an object"))
            continue
        for key, value in pattern.items():
            if not _SAFE_PATTERN.match(key):
                found.append(_problem("bad_pattern", f"{field} has the key {_shown(key)}; only names of modules are taken"))
            if not is_good(value):
                found.append(_problem("bad_pattern", f"{field}[{_shown(key)}] is {_shown(value)}; give a positive number"))
            elif field == "rank_pattern" and value > limits.rank:
                found.append(
                    _problem(
                        "rank_too_large", f"rank_pattern[{_shown(key)}] is {value}, this service takes at most {limits.rank}"
                    )
                )
    return found


def _targets(content: dict[str, Any]) -> list[Problem]:
    targets = content.get("target_modules")
    texts = [targets] if isinstance(targets, str) else targets
    if not isinstance(texts, list) or not texts or not all(isinstance(t, str) and 0 < len(t) <= 1000 for t in texts):
        return [_problem("bad_config", f"target_modules is {_shown(targets)}; give the names of the layers")]
    return []


def _config(content: dict[str, Any]) -> AdapterConfig:
    name = content.get("base_model_name_or_path")
    return AdapterConfig(
        rank=content["r"],
        alpha=float(content["lora_alpha"]),
        rslora=bool(content.get("use_rslora", False)),
        rank_pattern=dict(content.get("rank_pattern") or {}),
        base_name=name if isinstance(name, str) and name else None,
    )
