"""The trade-off: figures from a service over HTTP and from transformers, the rule that chooses, the record of the command."""

import json
from pathlib import Path
from typing import Any

import pytest

from adapters.errors import BadInput, Conflict
from tests.makers import lora_config, write_adapter
from tests.served import Site
from training.tradeoff import run
from training.tradeoff.asked import Asked
from training.tradeoff.choose import choose, compared
from training.tradeoff.local import measure_local
from training.tradeoff.served import measure_at
from training.tradeoff.show import show

KEYS = {"engine", "scores", "n", "tokens_per_second", "weights_bytes", "resident_bytes"}


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    rows = [json.dumps({"prompt": f"Number {n}:", "completion": f" {n}"}) for n in range(3)]
    (tmp_path / "test.jsonl").write_text("\n".join(rows) + "\n")
    return Asked(tmp_path / "test.jsonl", ("accuracy",), max_tokens=4, tokens=4, streams=(1, 2), turns=1)


def row(technique: str, engine: str, accuracy: float, rate: float, weights: int, disk: int) -> dict[str, Any]:
    return {
        "technique": technique,
        "engine": engine,
        "scores": {"perplexity": {"value": 2.0, "baseline": 3.0}, "accuracy": {"value": accuracy, "baseline": 0.0}},
        "tokens_per_second": {"1": rate / 4, "8": rate},
        "weights_bytes": weights,
        "disk_bytes": disk,
    }


def test_a_service_is_measured_over_http(asked: Asked, tmp_path: Path) -> None:
    with Site(tmp_path / "home") as site:
        site.upload("adapter", tmp_path / "adapter")
        found = measure_at(site.url, asked)
    assert found.keys() == KEYS
    assert found["engine"].startswith("vLLM ")
    assert found["n"] == 3
    assert found["scores"]["accuracy"].keys() >= {"value", "baseline"}
    assert min(found["tokens_per_second"].values()) > 0
    assert found["resident_bytes"] > 0


def test_transformers_is_measured_in_this_process(asked: Asked, tiny: Path, tmp_path: Path) -> None:
    from adapters.base import describe_base
    from tests.makers import lora_tensors

    base = describe_base(tiny)
    modules = ("model.layers.0.self_attn.q_proj", "model.layers.1.mlp.down_proj")
    adapter = write_adapter(tmp_path / "a", lora_tensors(base, modules), lora_config(base_model_name_or_path="tiny"))
    found = measure_local(str(tiny), adapter, asked)
    assert found.keys() == KEYS
    assert found["engine"].startswith("transformers ")
    assert found["tokens_per_second"].keys() == {"1", "2"}


def test_each_is_held_against_the_original_on_its_own_engine_and_the_rule_chooses() -> None:
    rows = compared(
        [
            row("original", "vLLM 1", 0.90, 100, 16, 16),
            row("original", "transformers 1", 0.90, 10, 32, 16),
            row("gptq", "vLLM 1", 0.80, 150, 5, 5),
            row("w8a8", "vLLM 1", 0.89, 120, 8, 8),
            row("int8", "transformers 1", 0.90, 5, 9, 9),
            row("nf4", "transformers 1", 0.895, 8, 4, 4),
        ]
    )
    by = {(r["technique"], r["engine"]): r for r in rows}
    assert by["nf4", "transformers 1"]["speed_up"] == {"1": 0.8, "8": 0.8}
    assert by["gptq", "vLLM 1"]["quality_loss"] == {"perplexity": 0.0, "accuracy": 10.0}
    best = choose(rows)
    assert {use: found["technique"] for use, found in best.items()} == {
        "prototyping": "nf4",
        "production": "w8a8",
        "fast_inference": "w8a8",
    }
    assert best["production"]["loses"] == 1.0


def test_where_vllm_serves_none_of_them_nothing_is_named_for_production() -> None:
    rows = compared([row("original", "transformers 1", 0.9, 10, 32, 16), row("nf4", "transformers 1", 0.9, 8, 4, 4)])
    assert choose(rows).keys() == {"prototyping", "fast_inference"}


def test_the_command_measures_each_where_it_is_served(
    asked: Asked, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, str]] = []

    def measured(engine: str) -> Any:
        def one(base: str, adapter: Path, asked: Asked) -> dict[str, Any]:
            calls.append((engine, base))
            figures = row("", f"{engine} 1", 0.9, 10, 16, 16)
            return {key: figures.get(key, 7) for key in KEYS}

        return one

    monkeypatch.setattr(run, "in_fresh_process", lambda work, *given: work(*given))
    monkeypatch.setattr(run, "measure_local", measured("transformers"))
    monkeypatch.setattr(run, "measure_served", measured("vLLM"))
    adapter, out = write_adapter(tmp_path / "a"), tmp_path / "out"
    made = run.tradeoff(str(tiny), adapter, ("int8", "nf4"), asked, out)
    assert calls == [("transformers", str(tiny)), ("transformers", str(out / "int8")), ("transformers", str(out / "nf4"))]
    assert json.loads((out / "quantization.json").read_text()) == made
    assert [r["technique"] for r in made["rows"]] == ["original", "int8", "nf4"]
    assert made["rows"][2]["disk_bytes"] < made["rows"][0]["disk_bytes"]
    assert made["rule"] in show(made)
    with pytest.raises(Conflict):
        run.tradeoff(str(tiny), adapter, ("int8",), asked, out)
    with pytest.raises(BadInput, match="magic"):
        run.tradeoff(str(tiny), adapter, ("magic",), asked, tmp_path / "other")
