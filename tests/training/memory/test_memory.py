"""The formula's parts beside what a step really takes, the known shapes, and the record of the command."""

import json
from pathlib import Path

import pytest
from transformers import AutoConfig

from adapters.base import describe_base
from adapters.errors import BadInput, Conflict
from tests.makers import EMBEDDED
from training.config import load_config
from training.memory import compare
from training.memory.formula import KNOWN, Batch, predict, predict_known, shape_of
from training.memory.measure import measure
from training.memory.show import show

BATCH = Batch(rows=2, length=64, labels=64)


@pytest.mark.parametrize("method", compare.METHODS)
def test_what_is_measured_is_what_the_formula_says(method: str, tiny: Path) -> None:
    flags = {"base": str(tiny), "data": "-", "method": method, "batch_size": 2, "dtype": "float32"}
    config = load_config(None, flags if method == "full" else flags | {"rank": 4})
    measured = measure(config, BATCH)
    parts = measured["allocated"]
    predicted = predict(shape_of(AutoConfig.from_pretrained(tiny)), method, 4, BATCH)
    for part in ("weights", "gradients", "optimizer"):
        assert parts[part] == pytest.approx(predicted[part], rel=0.02), part
    # The tiny base shares one key head between two heads of queries, and attention on a CPU keeps a copy for each.
    assert parts["activations"] == pytest.approx(predicted["activations"], rel=0.1)
    assert parts["peak"] == pytest.approx(predicted["peak"], rel=0.1)
    assert parts["peak"] == parts["weights"] + parts["optimizer"] + max(parts["gradients"], parts["activations"]) + parts["rest"]
    assert measured["resident"]["before"] < measured["resident"]["peak"]


def test_the_known_shapes_have_the_parameters_their_names_say() -> None:
    counted = {name: round(shape.parameters / 1e9, 2) for name, shape in KNOWN.items()}
    assert counted == {"Llama 3.2 1B": 1.24, "Llama 3.1 8B": 8.03, "Llama 3.1 70B": 70.55}
    embedded = shape_of(AutoConfig.from_pretrained(EMBEDDED.path))
    assert embedded.parameters == 6_688_000
    linear = [m for name, m in EMBEDDED.modules.items() if m.kind == "linear" and name != "lm_head"]
    assert embedded.linear_parameters == sum(m.in_features * m.out_features for m in linear)


def test_computed_rows_say_so_and_fewer_bits_take_less() -> None:
    rows = predict_known(compare.METHODS, 16)
    assert all(row["computed"] is True for row in rows)
    peaks = {row["method"]: row["predicted"]["peak"] for row in rows if row["model"] == "Llama 3.1 8B"}
    assert peaks["full"] > peaks["lora"] > peaks["qlora-8bit"] > peaks["qlora-4bit"]
    full = next(row["predicted"] for row in rows if row["model"] == "Llama 3.1 8B" and row["method"] == "full")
    assert full["weights"] + full["gradients"] + full["optimizer"] == 16 * KNOWN["Llama 3.1 8B"].parameters


def test_the_record_compares_each_method_with_full(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "in_fresh_process", lambda work, *given: work(*given))
    made = compare.compare(str(tiny), ("full", "lora"), 4, BATCH, tmp_path / "out" / "memory.json")
    assert json.loads((tmp_path / "out" / "memory.json").read_text()) == made
    full, lora = (made["methods"][name] for name in ("full", "lora"))
    state = {name: figures["measured"]["allocated"] for name, figures in made["methods"].items()}
    assert lora["saved"]["trained_state"] == pytest.approx(
        1 - (state["lora"]["gradients"] + state["lora"]["optimizer"]) / (state["full"]["gradients"] + state["full"]["optimizer"]),
        abs=1e-4,
    )
    assert full["saved"]["trained_state"] == 0
    assert made["base"]["digest"] == describe_base(tiny).digest
    text = show(made)
    assert "computed, not measured" in text
    assert "Llama 3.1 70B" in text
    with pytest.raises(Conflict):
        compare.compare(str(tiny), ("full",), 4, BATCH, tmp_path / "out" / "memory.json")


@pytest.mark.parametrize(
    ("methods", "batch", "says"), [(("magic",), BATCH, "magic"), ((), BATCH, "none"), (("lora",), Batch(1, 129, 64), "128")]
)
def test_what_cannot_be_measured_is_refused(
    methods: tuple[str, ...], batch: Batch, says: str, tiny: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=says):
        compare.compare(str(tiny), methods, 4, batch, tmp_path / "memory.json")
