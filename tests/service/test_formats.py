"""Which bases are served, and what is said of the others; that what is served also runs is seen in tests/e2e/test_bases.py."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.errors import BadInput
from service.formats import require_servable, weight_bits
from tests.makers import EMBEDDED


def group(bits: int, activations: int | None = None, kind: str = "int", **weights: Any) -> dict[str, Any]:
    """A quantization_config of compressed-tensors with one group."""
    number = {"type": kind, "symmetric": True}
    inputs = {**number, "num_bits": activations} if activations else None
    return {
        "quant_method": "compressed-tensors",
        "config_groups": {"group_0": {"weights": {**number, "num_bits": bits, **weights}, "input_activations": inputs}},
    }


def base_with(folder: Path, settings: dict[str, Any] | None, origins: tuple[str, ...] = ()) -> Any:
    (folder / "config.json").write_text(json.dumps({"quantization_config": settings} if settings else {}))
    return replace(EMBEDDED, path=folder, origins=origins, quantization=settings and settings["quant_method"])


@pytest.mark.parametrize(
    "settings",
    [
        None,
        group(4),
        group(8),
        group(8, 8),
        group(8, 8, "float"),
        {"quant_method": "gptq", "bits": 4},
        {"quant_method": "awq", "bits": 4},
    ],
)
def test_what_runs_on_a_cpu_is_let_through(tmp_path: Path, settings: dict[str, Any] | None) -> None:
    require_servable(base_with(tmp_path, settings), on_cpu=True)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (group(4, 8), "W4A8"),
        (group(3), "W3A16"),
        (group(8, kind="float"), "W8A16 float"),
        (group(8, 8, "float", strategy="block"), "W8A8 float in blocks"),
        (group(4, kind="float"), "W4A16 float"),
        ({"quant_method": "gptq", "bits": 3}, "W3A16"),
        ({"quant_method": "fp8"}, "W8A8 float"),
    ],
)
def test_a_gpu_alone_runs(tmp_path: Path, settings: dict[str, Any], named: str) -> None:
    base = base_with(tmp_path, settings, ("org/whole", "sha256:00"))
    require_servable(base, on_cpu=False)
    with pytest.raises(
        BadInput, match=rf"quantized to {named} .*serve org/whole, .*patchbay quantize --base org/whole --method gptq"
    ):
        require_servable(base, on_cpu=True)


def test_bitsandbytes_runs_nowhere_and_without_an_origin_the_way_is_named_all_the_same(tmp_path: Path) -> None:
    base = base_with(tmp_path, {"quant_method": "bitsandbytes", "load_in_4bit": True})
    for on_cpu in (True, False):
        with pytest.raises(
            BadInput, match=r"bitsandbytes.*serve the base it was made from, .*quantize --base BASE --method gptq"
        ):
            require_servable(base, on_cpu)


@pytest.mark.parametrize(
    ("settings", "engine", "bits"),
    [
        (None, {}, 16),
        (None, {"quantization": "int8"}, 8),
        (group(8, 8), {}, 8),
        (group(4), {}, 4),
        ({"quant_method": "quark"}, {}, 4),
    ],
)
def test_what_probes_may_differ_by_follows_the_bits(
    tmp_path: Path, settings: dict[str, Any] | None, engine: dict[str, str], bits: int
) -> None:
    assert weight_bits(base_with(tmp_path, settings), engine) == bits
