"""A base with an adapter on transformers: what int8 and nf4 of bitsandbytes run on, and the original beside them."""

import asyncio
import importlib.metadata
import time
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import torch

from adapters.archive import adapter_files
from adapters.base import describe_base, resolve_base
from evaluation.evaluate import evaluate, plan
from evaluation.local import LocalBase
from evaluation.rows import load_rows
from evaluation.tokens import encode_prompt
from training.tradeoff.asked import Asked


def measure_local(base: str, adapter: Path, asked: Asked) -> dict[str, Any]:
    """Figures of one base, for a process of its own: resident bytes are this process's."""
    rows = load_rows(asked.data)
    wanted = plan(rows, asked.metrics, max_tokens=asked.max_tokens, limit=asked.limit, seed=asked.seed)
    local = LocalBase(describe_base(resolve_base(base), base), adapter_files(adapter)[0].parent)
    report = asyncio.run(evaluate(local.model("adapter"), local.model(None), wanted, concurrency=1))
    prompts = [encode_prompt(row.question or "", local.tokenizer) for row in rows[: asked.turns]]
    return {
        "engine": f"transformers {importlib.metadata.version('transformers')}",
        "scores": report.scores,
        "n": report.n,
        "tokens_per_second": {str(n): _speed(local, prompts, n, asked.tokens) for n in asked.streams},
        "weights_bytes": int(local.net.get_base_model().get_memory_footprint()),
        "resident_bytes": int(psutil.Process().memory_info().rss),
    }


@torch.inference_mode()
def _speed(local: LocalBase, prompts: list[tuple[int, ...]], streams: int, tokens: int) -> float:
    """Generated tokens a second, the median over the prompts; the adapter is on."""
    rates = []
    for prompt in prompts:
        ids = torch.tensor([list(prompt)] * streams, device=local.net.device)
        began = time.monotonic()
        local.net.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=tokens, min_new_tokens=tokens,
            pad_token_id=local.tokenizer.pad_token_id or local.tokenizer.eos_token_id,
        )  # fmt: skip
        rates.append(streams * tokens / (time.monotonic() - began))
    return round(median(rates), 2)
