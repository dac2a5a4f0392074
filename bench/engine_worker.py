"""One vLLM engine in a process of its own, so that several kinds can take turns: jobs come as JSON lines, seconds go back.

argv[1] is JSON: {"model", "adapters": [folders], "lora": bool, "engine": vLLM's own options}. A job is {"adapters": the number of each
stream's (none: base only), "streams", "prompt": tokens of each, "tokens": to generate, "seed"}; the answer {"seconds", "tokens": those worked on}.
"""

import json
import random
import sys
import time
from typing import Any


def main() -> None:
    """Serves jobs until its input ends."""
    given = json.loads(sys.argv[1])
    answers, sys.stdout = sys.stdout, sys.stderr  # vLLM prints where answers have to go
    from vllm import LLM

    room = {
        "enable_lora": True,
        "max_loras": len(given["adapters"]),
        "max_cpu_loras": len(given["adapters"]),
        "max_lora_rank": 64,
    }
    llm = LLM(
        given["model"], max_model_len=1024, max_num_seqs=64, enable_prefix_caching=False,
        **given["engine"], **(room if given["lora"] else {}),
    )  # fmt: skip
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(_run(llm, given["adapters"], json.loads(line))), file=answers, flush=True)


def _run(llm: Any, folders: list[str], job: dict[str, Any]) -> dict[str, float]:
    from vllm import SamplingParams, TokensPrompt
    from vllm.lora.request import LoRARequest

    drawn = random.Random(job["seed"])
    prompts = [
        TokensPrompt(prompt_token_ids=[drawn.randrange(16, 4000) for _ in range(job["prompt"])]) for _ in range(job["streams"])
    ]
    requests = None
    if job["adapters"]:
        requests = [LoRARequest(f"a{number}", number + 1, folders[number]) for number in job["adapters"]]
    params = SamplingParams(temperature=0.0, max_tokens=job["tokens"], ignore_eos=True, detokenize=False)
    began = time.perf_counter()
    llm.generate(prompts, params, lora_request=requests, use_tqdm=False)
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "tokens": job["streams"] * (job["prompt"] if job["tokens"] == 1 else job["tokens"])}


if __name__ == "__main__":
    main()
