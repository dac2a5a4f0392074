"""Whether an answer came from the right weights: by its header, its fingerprint, and where possible its text."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf

from loadtest.facts import Facts


@dataclass
class Span:
    """When a maker may have answered, in seconds since the epoch."""

    maker: str
    begin: float = -inf
    end: float = inf


class Truth:
    """`knows_switches` where every switch is made by this process: then an answer has to come from a version that was
    live between its question and its header; else from any version of the name."""

    def __init__(self, facts: Facts, knows_switches: bool) -> None:
        self._facts, self._knows = facts, knows_switches
        self._spans = {name: [Span(facts.maker(name))] for name in (facts.base, *facts.versions)}
        self._spans["default"] = [Span(facts.maker(facts.default))]

    @contextmanager
    def switch(self, model: str, maker: str) -> Iterator[None]:
        """Around a request after which `model` means `maker`. While it is under way either may answer; where it fails, from then on."""
        spans = self._spans[model]
        spans.append(Span(maker, time.time()))
        yield
        now = time.time()
        for span in spans[:-1]:
            span.end = min(span.end, now)

    def is_right(self, model: str, maker: str, asked: float, answered: float) -> bool:
        """Whether `maker` may have answered for `model` between these moments."""
        if not self._knows:
            return model == "default" or maker.partition("@")[0] == ("base" if model == self._facts.base else model)
        return any(s.maker == maker and s.begin <= answered and s.end >= asked for s in reversed(self._spans[model]))

    def fits(self, maker: str, fingerprint: str | None) -> bool:
        """Whether a `system_fingerprint` says the same as the header; an answer without one says nothing else."""
        return fingerprint is None or fingerprint.startswith(f"{self._facts.base}@" if maker == "base" else f"{maker}+")

    def content(self, maker: str, text: str) -> str | None:
        """`same`, `wrong` (what another answers), `changed` (what nobody answered alone), or None where that cannot be told."""
        texts = self._facts.texts
        if not self._facts.told_apart(maker):
            return None
        if text == texts[maker]:
            return "same"
        return "wrong" if text in texts.values() else "changed"
