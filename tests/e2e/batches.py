"""Batches through an engine of vLLM's, all requests of one at once, in a process that ends with it.

python -m tests.e2e.batches JOB.json ANSWERS.json
"""

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from service.settings import engine_environment

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ask:
    """`tokens` greedy tokens after `ids`, by an adapter or by the base."""

    ids: list[int]
    adapter: str | None = None
    tokens: int = 1


@dataclass(frozen=True)
class Answer:
    """`logprobs[i]` is the log-probability of token i + 1 of the prompt and the answer."""

    ids: list[int]
    logprobs: list[float]


def answers(
    work: Path, model: Path, options: dict[str, Any], adapters: dict[str, Path], batches: list[list[Ask]]
) -> list[list[Answer]]:
    """Each batch's answers, one batch after the other on one engine."""
    job, out = work / "job.json", work / "answers.json"
    folders = {name: str(folder) for name, folder in adapters.items()}
    asked = [[asdict(ask) for ask in batch] for batch in batches]
    job.write_text(json.dumps({"model": str(model), "options": options, "adapters": folders, "batches": asked}))
    # One process for all of the engine: it starts sooner. VLLM_PLUGINS= in front of pytest shows vLLM as it comes.
    environment = {**engine_environment(False), **os.environ}
    command = [sys.executable, "-m", "tests.e2e.batches", str(job), str(out)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    return [[Answer(**answer) for answer in batch] for batch in json.loads(out.read_text())]


def main(job: Path, out: Path) -> None:
    """Does a job."""
    from vllm import LLM

    given = json.loads(job.read_text())
    room = {"max_model_len": 512, "max_num_seqs": 32, "kv_cache_memory_bytes": 64 << 20, "enable_prefix_caching": False}
    lora = {"enable_lora": True, "max_loras": 2, "max_cpu_loras": 8, "max_lora_rank": 64}
    llm = LLM(given["model"], enforce_eager=True, **room, **lora, **given["options"])
    out.write_text(json.dumps([_run(llm, given["adapters"], batch) for batch in given["batches"]]))


def _run(llm: Any, adapters: dict[str, str], batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
    from vllm import SamplingParams, TokensPrompt
    from vllm.lora.request import LoRARequest

    numbers = {name: number for number, name in enumerate(adapters, start=1)}
    names = [ask["adapter"] for ask in batch]
    outputs = llm.generate(
        [TokensPrompt(prompt_token_ids=ask["ids"]) for ask in batch],
        [
            SamplingParams(temperature=0, max_tokens=ask["tokens"], logprobs=1, prompt_logprobs=0, ignore_eos=True)
            for ask in batch
        ],
        lora_request=[LoRARequest(name, numbers[name], adapters[name]) if name else None for name in names],
        use_tqdm=False,
    )
    return [_answer(ask["ids"], output) for ask, output in zip(batch, outputs, strict=True)]


def _answer(ids: list[int], output: Any) -> dict[str, Any]:
    made = output.outputs[0]
    prompt = [found[token].logprob for token, found in zip(ids[1:], output.prompt_logprobs[1:], strict=True)]
    drawn = [found[token].logprob for token, found in zip(made.token_ids, made.logprobs, strict=True)]
    return {"ids": [*ids, *made.token_ids], "logprobs": [*prompt, *drawn]}


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
