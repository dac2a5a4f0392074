"""PEFT's rule of which layers are meant, beside PEFT's own code; and that no pattern takes long."""

import time
from typing import Any

import pytest
from peft import LoraConfig
from peft.tuners.tuners_utils import check_target_module_exists

from adapters.targets import Targets, read_targets
from tests.makers import EMBEDDED

MODULES = [*EMBEDDED.modules, "model.layers.1.experts.0.up_proj", "q_proj"]


@pytest.mark.parametrize(
    "config",
    [
        {"target_modules": ["q_proj"]},
        {"target_modules": ["layers.0.self_attn.q_proj", "lm_head"]},
        {"target_modules": ["proj"]},
        {"target_modules": r".*\.[qv]_proj"},
        {"target_modules": r"model\.layers\.\d\..*"},
        {"target_modules": r"q_proj"},
        {"target_modules": ["q_proj", "v_proj"], "exclude_modules": ["layers.0.self_attn.q_proj"]},
        {"target_modules": ["q_proj", "up_proj"], "exclude_modules": r".*layers\.[01]\..*"},
        {"target_modules": ["q_proj", "up_proj", "lm_head"], "layers_to_transform": [0, 2]},
        {"target_modules": ["q_proj", "up_proj"], "layers_to_transform": 1},
        {"target_modules": ["q_proj", "up_proj"], "layers_to_transform": [1], "layers_pattern": "layers"},
        {"target_modules": ["q_proj", "up_proj"], "layers_to_transform": [0], "layers_pattern": ["blocks", "experts"]},
    ],
)
def test_the_same_layers_as_peft(config: dict[str, Any]) -> None:
    targets, problems = read_targets(config, "x")
    assert targets is not None, problems
    theirs = [m for m in MODULES if not check_target_module_exists(LoraConfig(**config), m)]
    assert targets.missing(MODULES) == theirs != []


def test_a_pattern_that_takes_long_is_stopped() -> None:
    began = time.process_time()
    with pytest.raises(TimeoutError):
        Targets(r"(?:(\w)|(\w\w)|(\.))+\d").missing(MODULES)
    assert time.process_time() - began < 20
