"""Quantized bases under adapters: the engine beside PEFT on the same weights as plain numbers; and what cannot be served."""

import json
from collections.abc import Callable
from math import exp
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from evaluation.rows import Row, load_rows
from evaluation.tokens import encode_row
from tests.e2e.batches import Ask, answers
from tests.e2e.conftest import patchbay, quantized
from tests.makers import EMBEDDED
from tests.reference import Reference, dequantized, in_eight_bits

pytestmark = pytest.mark.e2e

# Nats a token on average: bfloat16 costs 0.03, and 8-bit activations, where the CPU computes with them, 0.07; docs/results.md.
MEAN = {"gptq": 0.06, "w8a8": 0.15, "int8": 0.15}


@pytest.fixture(scope="module")
def rows(samples: Path) -> list[Row]:
    return load_rows(samples / "route" / "test.jsonl")[:6]


def _base(work: Path, form: str) -> tuple[Path, dict[str, Any], Callable[[], Any]]:
    """A folder, the engine's options, and the same weights as a model."""
    if form == "int8":
        return EMBEDDED.path, {"quantization": "int8"}, in_eight_bits
    folder = quantized(work, form)
    return folder, {}, lambda: dequantized(folder)


@pytest.mark.parametrize("form", MEAN)
def test_adapters_on_a_quantized_base(form: str, work: Path, runs: dict[str, Path], rows: list[Row], tmp_path: Path) -> None:
    folder, options, model = _base(work, form)
    adapters = {name: runs[name] / "adapter" for name in ("one", "describe")}
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoded = [encode_row(row, tokenizer) for row in rows]
    asked = [Ask(list(row.ids), name) for name in (None, *adapters) for row in encoded]
    [made] = answers(tmp_path, folder, {"dtype": "bfloat16", **options}, adapters, [asked])
    peft = Reference(model(), adapters)
    gaps = {
        name: fmean(
            abs(a - b)
            for ask, answer in zip(asked, made, strict=True)
            if ask.adapter == name
            for a, b in zip(answer.logprobs, peft.logprobs(name, answer.ids), strict=True)
        )
        for name in (None, *adapters)
    }
    assert max(gaps.values()) < MEAN[form], gaps
    if options:
        return
    # What a person measures without a service is what is served.
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps({"prompt": row.prompt, "completion": row.answer}) + "\n" for row in rows))
    command = ("evaluate", "--base", folder, "--adapter", runs["one"], "--data", data, "--metric", "perplexity", "--json")
    done = patchbay(*command)
    assert done.returncode == 0, done.stderr[-2000:]
    figures = json.loads(done.stdout)["scores"]["perplexity"]
    for name, value in (("one", figures["value"]), (None, figures["baseline"])):
        of = [(answer, row) for ask, answer, row in zip(asked, made, encoded * 3, strict=True) if ask.adapter == name]
        scored = [p for answer, row in of for p in answer.logprobs[row.first_scored - 1 : len(row.ids) - 1]]
        assert value == pytest.approx(exp(-fmean(scored)), rel=MEAN[form] * 2)


@pytest.mark.parametrize("bits", [4, 8])
def test_a_folder_of_bitsandbytes_is_refused_before_the_engine(bits: int, tmp_path: Path) -> None:
    settings = BitsAndBytesConfig(load_in_4bit=bits == 4, load_in_8bit=bits == 8, bnb_4bit_quant_type="nf4")
    model = AutoModelForCausalLM.from_pretrained(EMBEDDED.path, quantization_config=settings, dtype=torch.bfloat16)
    model.save_pretrained(tmp_path / "base")
    done = patchbay("serve", "--base", tmp_path / "base", "--home", tmp_path / "home")
    assert done.returncode == 2
    assert "bitsandbytes, which vLLM 0.32 does not serve" in done.stderr
    assert "patchbay quantize --base BASE --method gptq" in done.stderr
    assert not (tmp_path / "home").exists()
