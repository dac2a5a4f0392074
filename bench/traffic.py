"""Clients of a completions route: so many at once, each asking again as soon as it has its answer."""

import asyncio
import json
import math
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

HEADER = "X-Patchbay-Adapter"
_WORDS = "name place order list every green chair sent Friday Maria two old lamps note"


@dataclass(frozen=True)
class Ask:
    """One request. `ignore_eos` makes the answer as long as `tokens` whatever the model would say."""

    model: str
    prompt: str
    tokens: int
    stream: bool = False
    ignore_eos: bool = False

    def body(self) -> dict[str, Any]:
        """As the route takes it: greedy."""
        return {
            "model": self.model, "prompt": self.prompt, "max_tokens": self.tokens, "temperature": 0.0, "stream": self.stream,
            "ignore_eos": self.ignore_eos,
        }  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """Seconds from the request to the first token (streams) and to the end; what it said, and which weights it said it was from."""

    ask: Ask
    status: int
    text: str
    made_by: str | None
    first: float
    seconds: float


@dataclass
class Load:
    """Answers of one stretch of load, and how long it took."""

    seconds: float = 0.0
    answers: list[Answer] = field(default_factory=list)

    def __add__(self, other: "Load") -> "Load":
        """Both, one after the other."""
        return Load(self.seconds + other.seconds, self.answers + other.answers)

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.answers) / self.seconds


def session(clients: int) -> aiohttp.ClientSession:
    """Connections that stay open, one a client."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=clients), timeout=aiohttp.ClientTimeout(total=300))


async def ask(http: aiohttp.ClientSession, url: str, what: Ask) -> Answer:
    """Asks, and reads the answer to its end."""
    began = time.perf_counter()
    async with http.post(f"{url}/v1/completions", json=what.body()) as response:
        if what.stream and response.status == 200:
            first, text = await _read_stream(response, began)
        else:
            body = await response.read()
            first = time.perf_counter() - began
            text = json.loads(body)["choices"][0]["text"] if response.status == 200 else body.decode("utf-8", "replace")
        return Answer(what, response.status, text, response.headers.get(HEADER), first, time.perf_counter() - began)


async def _read_stream(response: aiohttp.ClientResponse, began: float) -> tuple[float, str]:
    first, parts = 0.0, []
    async for line in response.content:
        if line.startswith(b"data: {"):
            choices = json.loads(line[6:])["choices"]
            if choices and choices[0]["text"]:
                first = first or time.perf_counter() - began
                parts.append(choices[0]["text"])
    return first, "".join(parts)


async def drive(http: aiohttp.ClientSession, url: str, work: Iterable[Ask], clients: int) -> Load:
    """All of `work`, by so many clients that take the next from the same pile."""
    pile: Iterator[Ask] = iter(work)
    load = Load()

    async def client() -> None:
        for what in pile:
            load.answers.append(await ask(http, url, what))

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    load.seconds = time.perf_counter() - began
    return load


async def for_seconds(http: aiohttp.ClientSession, url: str, work: Iterator[Ask], clients: int, ends: float) -> Load:
    """As `drive`, until the clock (time.perf_counter) says `ends`."""

    def until() -> Iterator[Ask]:
        while time.perf_counter() < ends:
            yield next(work)

    return await drive(http, url, until(), clients)


def prompt(seed: str) -> str:
    """16 words, another prompt for another seed."""
    return " ".join(random.Random(seed).choices(_WORDS.split(), k=16))


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of them lie (nearest rank)."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
