"""Bases in fewer bits by bitsandbytes: what the note says, what they compute, and that the service names the way out."""

import json
from pathlib import Path

import pytest

from adapters.base import describe_base
from adapters.errors import BadInput
from evaluation.local import LocalBase
from service.formats import require_servable, weights_format
from training.quantize import quantize


@pytest.mark.parametrize(("kind", "layer"), [("nf4", "Linear4bit"), ("int8", "Linear8bitLt")])
def test_a_base_by_bitsandbytes_is_noted_loads_again_and_is_refused_by_the_service(
    kind: str, layer: str, tiny: Path, tmp_path: Path
) -> None:
    note = quantize(str(tiny), tmp_path / "made", kind)
    assert note == json.loads((tmp_path / "made" / "patchbay.json").read_text())
    assert note["method"] == kind
    assert note["settings"]["classes"] == {layer: 14}
    assert note["weight_bytes"]["after"] < note["weight_bytes"]["before"]
    assert note["derived_from"]["digest"] == describe_base(tiny).digest
    made = describe_base(tmp_path / "made")
    assert (made.quantization, made.origins[0], made.modules) == ("bitsandbytes", "tiny", describe_base(tiny).modules)
    assert weights_format(made, {}) == kind
    layers = {type(module).__name__ for module in LocalBase(made, None).net.modules()}
    assert layer in layers
    with pytest.raises(BadInput, match=r"serve tiny, .*patchbay quantize --base tiny --method gptq"):
        require_servable(made, on_cpu=True)


def test_what_bitsandbytes_does_not_fit_to_data_takes_none(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--calibration"):
        quantize(str(tiny), tmp_path / "made", "nf4", [tmp_path / "rows.jsonl"])
    assert not (tmp_path / "made").exists()
