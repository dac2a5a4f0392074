"""Two versions of one name, promoted back and forth under load: every answer must be that of the version its header names.

    patchbay serve --base embedded &
    python -m bench.switch_storm --first runs/route --second runs/describe --requests 10000

What each version answers is asked for first, by `name@digest`; prompts that both answer alike, or that one of them answers
now so and now so (two tokens nearly as likely, rounded differently in another batch), would tell nothing and are left out.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from tqdm import tqdm

from bench.machine import machine
from service.client import Client

_HEADER = "X-Patchbay-Adapter"
_SUBJECTS = ("a lost card", "the weather in Porto", "two green chairs", "a table for four", "the last train", "my bill")
_PROMPTS = tuple(f"{n}. Please tell me about {subject}, before {n + 3} o'clock" for n in range(1, 6) for subject in _SUBJECTS)


@dataclass(frozen=True)
class Answer:
    """One answer: who says that it made it, what it is, and when (seconds of the clock)."""

    made_by: str
    text: str
    prompt: str
    began: float
    ended: float


@dataclass
class Storm:
    """The load, the switches, and what was seen."""

    url: str
    name: str
    versions: tuple[str, str]
    tokens: int = 12
    expected: dict[tuple[str, str], str] = field(default_factory=dict)
    switches: list[float] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)

    async def learn(self, http: httpx.AsyncClient) -> None:
        """What each version answers: one at a time, then many at once."""
        ids = [f"{self.name}@{version}" for version in self.versions]
        asked = [(model, prompt) for prompt in _PROMPTS for model in ids]
        seen: dict[tuple[str, str], set[str]] = {pair: {(await self._ask(http, *pair, False)).text} for pair in asked}
        for _ in range(3):
            for pair, answer in zip(asked, await asyncio.gather(*(self._ask(http, *pair, False) for pair in asked)), strict=True):
                seen[pair].add(answer.text)
        for prompt in _PROMPTS:
            one, other = (seen[model, prompt] for model in ids)
            if len(one) == len(other) == 1 and one != other:
                self.expected |= {(model, prompt): next(iter(seen[model, prompt])) for model in ids}

    @property
    def prompts(self) -> list[str]:
        """Those that tell the two versions apart."""
        return sorted({prompt for _, prompt in self.expected})

    async def _ask(self, http: httpx.AsyncClient, model: str, prompt: str, stream: bool) -> Answer:
        """Raises ValueError for an answer that is not whole, or that contradicts itself."""
        body = {
            "model": model,
            "prompt": prompt,
            "max_tokens": self.tokens,
            "temperature": 0,
            "ignore_eos": True,
            "stream": stream,
        }
        began = time.monotonic()
        answer = await http.post("/v1/completions", json=body)
        if answer.status_code != 200:
            raise ValueError(f"{answer.status_code}: {answer.text[:200]}")
        lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
        if stream and lines[-1:] != ["[DONE]"]:
            raise ValueError(f"a stream that was cut off: {lines[-1:]}")
        parts = [json.loads(line) for line in lines[:-1]] if stream else [answer.json()]
        made_by = answer.headers[_HEADER]
        if not all(part["system_fingerprint"].startswith(made_by + "+") for part in parts):
            raise ValueError(f"a fingerprint does not name {made_by}")
        text = "".join(choice["text"] for part in parts for choice in part["choices"])
        return Answer(made_by, text, prompt, began, time.monotonic())

    async def run(self, requests: int, users: int, every: float, on_answer: Callable[[], object]) -> None:
        """So many requests by so many users at a time, and a switch each `every` seconds until the last is answered."""
        limits = httpx.Limits(max_connections=users + 1)
        async with httpx.AsyncClient(base_url=self.url, timeout=120, limits=limits) as http:
            switcher = asyncio.create_task(self._switch(http, every))
            left = iter(range(requests))
            await asyncio.gather(*(self._user(http, random.Random(number), left, on_answer) for number in range(users)))
            switcher.cancel()

    async def _switch(self, http: httpx.AsyncClient, every: float) -> None:
        number = 0
        while True:
            await asyncio.sleep(every)
            number += 1
            answer = await http.put(f"/v1/adapters/{self.name}/live", json={"version": self.versions[number % 2]})
            if answer.status_code != 200:
                self.failures[f"switch: {answer.status_code} {answer.text[:200]}"] += 1
            self.switches.append(time.monotonic())

    async def _user(self, http: httpx.AsyncClient, chance: random.Random, left: Any, on_answer: Callable[[], object]) -> None:
        for _ in left:
            try:
                self.answers.append(await self._ask(http, self.name, chance.choice(self.prompts), chance.random() < 0.5))
            except (ValueError, KeyError, httpx.HTTPError) as error:
                self.failures[f"{type(error).__name__}: {error}"[:200]] += 1
            on_answer()

    def verdict(self) -> dict[str, Any]:
        """The counts; `wrong_version` are answers of the version that the header does not name, `wrong` those of neither."""
        wrong = [a for a in self.answers if a.text != self.expected.get((a.made_by, a.prompt))]
        others = [a for a in wrong if a.text in {self.expected.get((f"{self.name}@{v}", a.prompt)) for v in self.versions}]
        seconds = sorted(a.ended - a.began for a in self.answers)
        across = sum(any(a.began < at < a.ended for at in self.switches) for a in self.answers)
        return {
            "requests": len(self.answers) + sum(self.failures.values()),
            "failed": sum(self.failures.values()),
            "failures": dict(self.failures.most_common(3)),
            "wrong_version": len(others),
            "wrong": len(wrong) - len(others),
            "switches": len(self.switches),
            "under_way_at_a_switch": across,
            "by_version": dict(sorted(Counter(a.made_by for a in self.answers).items())),
            "prompts": len(self.prompts),
            "seconds": round(max(a.ended for a in self.answers) - min(a.began for a in self.answers), 1),
            "answer_p50": round(seconds[len(seconds) // 2], 4),
            "answer_p99": round(seconds[len(seconds) * 99 // 100], 4),
        }


def storm(
    url: str,
    first: Path,
    second: Path,
    requests: int,
    *,
    users: int = 16,
    every: float = 1.0,
    name: str = "storm",
    on_answer: Callable[[], object] = lambda: None,
) -> dict[str, Any]:
    """Uploads both as versions of `name`, lets the storm pass, and takes the name away again; what was seen.

    Raises:
        PatchbayError: an upload was refused, or the service does not answer.
        ValueError: no prompt tells the two versions apart.
    """
    client = Client(url)
    versions = (client.push(first, name)["version"], client.push(second, name)["version"])
    passing = Storm(url, name, versions)

    async def whole() -> None:
        async with httpx.AsyncClient(base_url=url, timeout=120) as http:
            await passing.learn(http)
        if not passing.prompts:
            raise ValueError(f"{first} and {second} answer alike; train them for different tasks, or longer")
        await passing.run(requests, users, every, on_answer)

    try:
        asyncio.run(whole())
        left = _resident(client, name)
    finally:
        client.call("DELETE", f"/v1/adapters/{name}")
    return passing.verdict() | {"resident_afterwards": left}


def _resident(client: Client, name: str) -> str:
    """Which versions the engine still holds when the last request has ended: the live one, and only that, within seconds."""
    for _ in range(100):
        shown = client.call("GET", f"/v1/adapters/{name}")
        resident = [v["version"] for v in shown["versions"] if v["resident"]]
        if resident == [shown["live"]]:
            return "the live version"
        time.sleep(0.1)
    return f"{resident}, live is {shown['live']}"


def main() -> int:
    """Prints what was seen, as JSON; 1 when an answer failed or was wrong, or an old version stayed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="a running service on the base of both")
    parser.add_argument("--first", type=Path, required=True, help="an adapter's folder, or a run's")
    parser.add_argument("--second", type=Path, required=True, help="another, for another task")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--users", type=int, default=16, help="how many ask at once")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between switches")
    given = parser.parse_args()
    with tqdm(total=given.requests, unit="answer") as bar:
        found = storm(
            given.url, given.first, given.second, given.requests, users=given.users, every=given.every, on_answer=bar.update
        )
    print(json.dumps({**found, "machine": machine()}, indent=1))
    good = found["failed"] == found["wrong_version"] == found["wrong"] == 0
    return 0 if good and found["resident_afterwards"] == "the live version" else 1


if __name__ == "__main__":
    sys.exit(main())
