"""A request for tokens and what its answer says: who made it, when each token came, and what it read."""

import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from loadtest.facts import FINGERPRINT, FINGERPRINT_TOKENS
from loadtest.scenario import Traffic

_PROMPTS = (
    "Please tell me what the weather will be like tomorrow in Porto",
    "name: Blue Lantern; kind: cafe; area: riverside; price: cheap",
    "I have lost my card and would like a new one",
    "What time does the last train leave on Sunday?",
)


@dataclass(frozen=True)
class Question:
    """`is_fingerprint` where the answer is known beforehand."""

    path: str
    body: dict[str, Any]
    is_fingerprint: bool


def question(traffic: Traffic, model: str, rng: random.Random) -> Question:
    """What this traffic asks of `model`; one in four completions asks the fingerprint. All write all their tokens, so that
    the load is the same, and models that would say nothing can be told apart."""
    body: dict[str, Any] = {"model": model, "max_tokens": traffic.max_tokens, "temperature": 0, "ignore_eos": True}
    if traffic.kind == "stream":
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    if traffic.kind != "chat" and traffic.words == 0 and rng.random() < 0.25:
        return Question("/v1/completions", body | {"prompt": FINGERPRINT, "max_tokens": FINGERPRINT_TOKENS}, True)
    prompt = rng.choice(_PROMPTS) + " please" * traffic.words
    if traffic.kind == "chat":
        return Question("/v1/chat/completions", body | {"messages": [{"role": "user", "content": prompt}]}, False)
    return Question("/v1/completions", body | {"prompt": prompt}, False)


@dataclass
class Answer:
    """Times are of time.perf_counter."""

    text: str = ""
    tokens: int = 0
    fingerprint: str | None = None
    times: list[float] = field(default_factory=list)
    error: str | None = None

    def take(self, chunk: dict[str, Any]) -> None:
        """One event of a stream, or a whole answer."""
        if "error" in chunk:
            self.error = str(chunk["error"]["message"])
        self.fingerprint = chunk.get("system_fingerprint") or self.fingerprint
        for choice in chunk.get("choices") or ():
            piece = choice.get("text") or (choice.get("delta") or choice.get("message") or {}).get("content") or ""
            if piece:
                self.times.append(time.perf_counter())
                self.text += piece
        self.tokens = (chunk.get("usage") or {}).get("completion_tokens", self.tokens)


def read(lines: Iterator[bytes]) -> Answer:
    """A stream of events, as it comes. One that ends without its last event has broken."""
    answer, is_whole = Answer(), False
    for line in lines:
        if not line.startswith(b"data:"):
            continue
        data = line.removeprefix(b"data:").strip()
        if data == b"[DONE]":
            is_whole = True
        else:
            answer.take(json.loads(data))
    if not is_whole and answer.error is None:
        answer.error = "the stream broke off"
    return answer
