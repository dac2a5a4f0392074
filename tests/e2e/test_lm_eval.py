"""The requests that EleutherAI's lm-eval sends (`local-completions`): token ids, echo, log-probabilities, and what it reads of the answers."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from adapters.base import describe_base, resolve_base
from evaluation.local import LocalBase
from evaluation.rows import Row, load_rows
from evaluation.tokens import encode_row
from tests.e2e.conftest import ROOT, Process

pytestmark = pytest.mark.e2e


def scored(service: Process, model: str, prompts: list[list[int]], max_tokens: int) -> list[dict[str, Any]]:
    body = {
        "model": model,
        "prompt": prompts,
        "temperature": 0,
        "max_tokens": max_tokens,
        "logprobs": 1,
        "seed": 1234,
        "echo": True,
    }
    answer = httpx.post(f"{service.url}/v1/completions", json=body, timeout=120)
    assert answer.status_code == 200, answer.text
    return sorted(answer.json()["choices"], key=lambda choice: choice["index"])


def test_loglikelihoods_are_those_of_this_machine(service: Process, samples: Path, runs: dict[str, Path]) -> None:
    """Two rows in one request, of an adapter's name and of the base's; one generated token, which lm-eval drops, or none."""
    rows = [row for row in load_rows(samples / "describe" / "train.jsonl") if row.completion][:2]
    local = LocalBase(describe_base(resolve_base("embedded"), "embedded"), runs["describe"] / "adapter")
    encoded = [encode_row(row, local.tokenizer) for row in rows]
    for model, name in (("given", "given"), ("embedded", None)):
        found = scored(service, model, [list(e.ids) for e in encoded], 1)
        for row, e, choice in zip(rows, encoded, found, strict=True):
            figures = choice["logprobs"]
            assert len(figures["token_logprobs"]) == len(figures["top_logprobs"]) == len(e.ids) + 1
            assert figures["token_logprobs"][0] is None
            kept = slice(len(e.prompt_ids), -1)
            for chosen, top in zip(figures["token_logprobs"][kept], figures["top_logprobs"][kept], strict=True):
                assert chosen in top.values()
            assert -sum(figures["token_logprobs"][kept]) == pytest.approx(nll(local, name, row), abs=0.1 * len(e.completion_ids))
        without = scored(service, model, [list(e.ids) for e in encoded], 0)
        assert [len(choice["logprobs"]["token_logprobs"]) for choice in without] == [len(e.ids) for e in encoded]
        assert [choice["text"] for choice in without] == [local.tokenizer.decode(e.ids) for e in encoded]


def nll(local: LocalBase, name: str | None, row: Row) -> float:
    return asyncio.run(local.model(name).score(row)).sum_nll


def test_answers_of_token_ids_stop_where_asked(service: Process, samples: Path) -> None:
    ids = list(LocalBase(describe_base(resolve_base("embedded"), "embedded"), None).tokenizer("The")["input_ids"])
    body = {"model": "given", "prompt": [ids, ids], "max_tokens": 8, "temperature": 0, "stop": ["\n", "</s>"], "seed": 1234}
    answer = httpx.post(f"{service.url}/v1/completions", json=body, timeout=120).json()
    texts = [choice["text"] for choice in answer["choices"]]
    assert len(texts) == 2
    assert texts[0] == texts[1]
    assert "\n" not in texts[0]


def test_the_committed_tasks_fit_the_sample_rows(samples: Path) -> None:
    """The task of choices lists every queue as its rows write it, and both read the split that `patchbay samples` writes."""
    choice, written = (
        yaml.safe_load((ROOT / "docs" / "lm-eval" / f"route_{name}.yaml").read_text()) for name in ("choice", "answer")
    )
    rows = load_rows(samples / "route" / "test.jsonl")
    assert sorted({str(row.completion) for row in rows}) == choice["doc_to_choice"]
    assert str(choice["doc_to_choice"]) in choice["doc_to_target"]
    for task in (choice, written):
        assert task["dataset_kwargs"]["data_files"] == {"test": "data/route/test.jsonl"}
