"""PEFT's LoraConfig, field by field: what an adapter may say in each. A field that is not here is refused where it is set.

tests/adapters/test_peft_fields.py compares this with the LoraConfig that is installed, so that a new
PEFT's new fields have to be decided on, and not be let by.
"""

import re
from collections.abc import Callable
from typing import Any

from adapters.errors import Problem, shown

# Read by adapters.config, adapters.targets and adapters.origin, each with its own rules.
CHECKED = frozenset(
    ("peft_type", "task_type", "base_model_name_or_path", "r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern",
     "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "ensure_weight_tying", "init_lora_weights", "bias")
)  # fmt: skip
# Refused where they are set: they change what the adapter computes, or the base, or name code to load.
OFF = {
    "use_dora": "DoRA cannot be served as an adapter; serve it merged into the base: the run's model/, or what patchbay merge writes",
    "modules_to_save": "whole modules cannot be swapped per request; train without modules_to_save",
    "auto_mapping": "it names code to load; remove it",
    "layer_replication": "it changes the base's layers; it cannot share a base",
    "fan_in_fan_out": "transposed weights are not served; this base has linear layers",
    "lora_bias": "biases in LoRA layers are not served; train with lora_bias=False",
    "trainable_token_indices": "trained token rows are not served; train without them",
    "target_parameters": "adapters on bare parameters are not served; target modules",
    "megatron_config": "Megatron's parallel layers are not served; train without it",
    "loftq_config": "LoftQ changes the base's weights; convert it to a plain LoRA",
    "corda_config": "CorDA changes the base's weights; convert it to a plain LoRA",
    "lora_ga_config": "LoRA-GA changes the base's weights; convert it to a plain LoRA",
    "kasa_config": "KaSA changes the base's weights and adds its own; it is not served",
    "use_qalora": "QALoRA pools the inputs, which is not served; train without it",
    "use_bdlora": "block-diagonal LoRA is not served; train without it",
    "alora_invocation_tokens": "activated LoRA begins in the middle of a prompt, which is not served; train without it",
    "monteclora_config": "MonteCLoRA samples its weights, which is not served; train without it",
    "arrow_config": "Arrow routes between adapters, which is not served; train without it",
    "velora_config": "VeLoRA is not known to compute what a plain LoRA does; train without it",
}
# Inits that set A and B alone. PiSSA, OLoRA, CorDA, LoftQ and LoRA-GA train beside a base that they changed.
PLAIN_INITS = ("gaussian", "eva", "orthogonal", "mica")
_EVA = ("rho", "tau", "use_label_mask", "label_mask_value", "whiten", "adjust_scaling_factors")


def _is_number(value: Any, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _is_text(value: Any) -> bool:
    return value is None or (isinstance(value, str) and len(value) <= 1000)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_eva(value: Any) -> bool:
    return value is None or (
        isinstance(value, dict)
        and set(value) <= set(_EVA)
        and all(isinstance(v, bool | int | float) for v in value.values())
        and value.get("rho", 2.0) >= 1
        and 0 <= value.get("tau", 0.99) <= 1
    )


# How it was trained: a saved adapter computes the same whatever they say. Only what PEFT could not read is refused.
IGNORED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "peft_version": (lambda v: v is None or bool(isinstance(v, str) and re.fullmatch(r"[\w.+-]{1,80}", v)), "a version or null"),
    "revision": (_is_text, "a text or null"),
    "inference_mode": (_is_flag, "true or false"),
    "lora_dropout": (lambda v: _is_number(v, 0, 1), "a number from 0 to 1"),
    "eva_config": (_is_eva, f"null or an object of {', '.join(_EVA)}"),
    "qalora_group_size": (lambda v: _is_number(v, 1, 2**31), "a positive number"),
    # Only read beside megatron_config, and then imported.
    "megatron_core": (lambda v: v in (None, "megatron.core"), "megatron.core: it names code to load"),
    "runtime_config": (lambda v: v is None or isinstance(v, dict), "an object or null"),
}


def field_problems(content: dict[str, Any], file: str) -> list[Problem]:
    """What is wrong with the fields that need no more than a look at each."""
    found = []
    for key, value in content.items():
        if key in CHECKED:
            continue
        if key in IGNORED:
            is_fine, wanted = IGNORED[key]
            if not is_fine(value):
                found.append(Problem("bad_config", f"{key} is {shown(value)}; give {wanted}", file))
        elif value:
            reason = OFF.get(key, "nothing here knows what it does; remove it, or train without it")
            found.append(Problem("unsupported_feature", f"{shown(key)} is {shown(value)}: {reason}", file))
    return found
