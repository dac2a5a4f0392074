"""Every field of the installed PEFT's LoraConfig has been decided on; a new PEFT's new field fails here until it is."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from peft import LoraConfig

from adapters.check import check_adapter
from adapters.errors import AdapterRefused
from adapters.limits import Limits
from adapters.peft_fields import CHECKED, IGNORED, OFF, PLAIN_INITS
from tests.makers import EMBEDDED, lora_config, write_adapter

FIELDS = sorted(field.name for field in dataclasses.fields(LoraConfig))


@pytest.mark.parametrize("field", FIELDS)
def test_each_field_is_decided_on_once(field: str) -> None:
    assert [field in group for group in (CHECKED, IGNORED, OFF)].count(True) == 1


def test_nothing_is_decided_that_peft_does_not_know() -> None:
    assert {*CHECKED, *IGNORED, *OFF} == set(FIELDS)


def problems(tmp_path: Path, **changes: Any) -> list[str]:
    try:
        check_adapter(write_adapter(tmp_path, config=lora_config(**changes)), "a", EMBEDDED, Limits())
    except AdapterRefused as error:
        return [problem.message for problem in error.problems]
    return []


@pytest.mark.parametrize("field", sorted(OFF))
def test_what_is_off_may_not_be_set(tmp_path: Path, field: str) -> None:
    for number, value in enumerate((True, 1, "x", ["x"], {"x": 1})):
        found = problems(tmp_path / str(number), **{field: value})
        assert len(found) == 1
        assert OFF[field] in found[0]
    for number, value in enumerate((False, None, [], {})):
        assert problems(tmp_path / f"off-{number}", **{field: value}) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("peft_version", 1), ("peft_version", "$(x)"), ("revision", ["x"]), ("inference_mode", "yes"), ("lora_dropout", "0"),
        ("lora_dropout", 2), ("eva_config", {"rho": 0}), ("eva_config", {"odd": 1}), ("eva_config", "x"), ("qalora_group_size", -1),
        ("megatron_core", "os"), ("runtime_config", 1),
    ],
)  # fmt: skip
def test_what_is_ignored_still_has_to_be_readable(tmp_path: Path, field: str, value: Any) -> None:
    assert len(problems(tmp_path, **{field: value})) == 1


@pytest.mark.parametrize(
    "init", ["pissa", "pissa_niter_4", "olora", "corda", "loftq", "lora_ga", "PiSSA", "later", 1, None, ["eva"]]
)
def test_inits_that_change_the_base_are_refused(tmp_path: Path, init: Any) -> None:
    assert "path_initial_model_for_weight_conversion" in problems(tmp_path, init_lora_weights=init)[0]


@pytest.mark.parametrize("init", [True, False, *PLAIN_INITS])
def test_inits_that_do_not_are_taken(tmp_path: Path, init: Any) -> None:
    assert problems(tmp_path, init_lora_weights=init) == []


def test_what_peft_writes_by_itself_is_taken(tmp_path: Path) -> None:
    config = LoraConfig(
        r=4, lora_alpha=8, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM", base_model_name_or_path="embedded"
    )
    config.save_pretrained(tmp_path)
    text = (tmp_path / "adapter_config.json").read_text()
    check_adapter(write_adapter(tmp_path / "a", config=text), "a", EMBEDDED, Limits())
