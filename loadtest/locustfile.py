"""What locust runs: users that stream completions and look at who answered.

Run by `patchbay loadtest`, or by `locust -f` with PATCHBAY_SCENARIO and PATCHBAY_RESULT set: nothing
else of this project is imported, and locust patches the whole process.
"""

import json
import os
import random
import time
from pathlib import Path
from typing import Any

from locust import HttpUser, constant, events, task

SCENARIO = json.loads(os.environ["PATCHBAY_SCENARIO"])
RESULT = os.environ.get("PATCHBAY_RESULT")
KEY = os.environ.get("PATCHBAY_KEY")
PROMPTS = (
    "Order 4821: two green chairs for Maria Lopez, to be sent on Friday.",
    "Please tell me what the weather will be like tomorrow in Porto",
    "name: Blue Lantern; kind: cafe; area: riverside; price: cheap",
    "I have lost my card and would like a new one",
    "What time does the last train leave on Sunday?",
)
ANSWERS: list[dict[str, Any]] = []


class Reader(HttpUser):
    """Asks one model at a time, again as soon as it is answered."""

    wait_time = constant(0)

    def on_start(self) -> None:
        """Learns which models there are, and what each name serves."""
        if KEY:
            self.client.headers["Authorization"] = f"Bearer {KEY}"
        adapters = self.client.get("/v1/adapters", name="setup").json()["data"]
        self.base = self.client.get("/version", name="setup").json()["base"]["id"]
        self.versions = {a["name"]: {v["version"] for v in a["versions"]} for a in adapters if a["live"]}
        self.models = sorted(self.versions)
        self.random = random.Random(id(self))

    def _pick(self) -> str:
        if SCENARIO["mix"] == "base" or not self.models:
            return str(self.base)
        if SCENARIO["mix"] == "one":
            return str(self.models[0])
        ranked = [*self.models, self.base]
        return str(self.random.choices(ranked, [1 / (rank + 1) for rank in range(len(ranked))])[0])

    @task
    def complete(self) -> None:
        """One streamed completion: its first token, its tokens, its end, and the version that made it."""
        model = self._pick()
        body = {
            "model": model,
            "prompt": self.random.choice(PROMPTS),
            "max_tokens": SCENARIO["max_tokens"],
            "temperature": 0,
            "stream": True,
        }
        body["stream_options"] = {"include_usage": True}
        began = time.perf_counter()
        first, tokens = None, 0
        with self.client.post("/v1/completions", json=body, stream=True, name="completion", catch_response=True) as answer:
            if answer.status_code != 200:
                answer.failure(f"{answer.status_code}: {answer.text[:120]}")
                ANSWERS.append({"model": model, "status": answer.status_code})
                return
            for line in answer.iter_lines():
                if first is None and line.startswith(b"data: "):
                    first = time.perf_counter() - began
                if b'"usage":{' in line:
                    tokens = json.loads(line.removeprefix(b"data: "))["usage"]["completion_tokens"]
            made_by = answer.headers.get("X-Patchbay-Adapter", "")
            right = self._is_right(model, made_by)
            if right:
                answer.success()
            else:
                answer.failure(f"asked {model}, answered by {made_by}")
        ANSWERS.append(
            {
                "model": model,
                "status": 200,
                "right": right,
                "first": first,
                "seconds": time.perf_counter() - began,
                "tokens": tokens,
            }
        )

    def _is_right(self, model: str, made_by: str) -> bool:
        if model == self.base:
            return bool(made_by == "base")
        name, _, version = made_by.partition("@")
        return bool(name == model and version in self.versions[model])


@events.quitting.add_listener
def write(environment: Any, **_: Any) -> None:
    """Leaves every answer for the one who counts."""
    if RESULT:
        Path(RESULT).write_text(json.dumps(ANSWERS), encoding="utf-8")
