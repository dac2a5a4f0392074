"""Our HTTP service against vLLM's own API server: the same base, engine options and environment, in one run.

    python -m bench.overhead [--rounds 12] [--seconds 4] [--out FILE.json]

Both servers are up all the time and one is loaded at a time. A round loads both, by slices that take turns: half a second
each for one client, the whole time at once for many, who take a while to begin and end. Rates and p50 latencies are compared
within a round, and the medians of the rounds' ratios are printed. What the two do beside answering (our metrics by
adapter, the check of unknown fields, the header that says which weights answered) is part of what is measured.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tqdm import tqdm

from adapters.base import describe_base, resolve_base
from bench.machine import machine
from bench.servers import Server, free_port, patchbay
from bench.traffic import Ask, Load, for_seconds, percentile, prompt, session
from service.engine.arguments import engine_options
from service.settings import Settings, engine_environment

OURS, THEIRS = "ours", "vLLM's"


@dataclass(frozen=True)
class Kind:
    """One kind of load."""

    clients: int
    stream: bool

    def slices(self, seconds: float) -> int:
        """In how many a round's load comes."""
        return max(1, round(seconds / 0.5)) if self.clients == 1 else 1

    @property
    def name(self) -> str:
        """As the table shows it."""
        return f"{'stream' if self.stream else 'whole'}, {self.clients} client{'s' if self.clients > 1 else ''}"


@dataclass
class Ratios:
    """Ours over theirs, one for each round, and both sides' own figures."""

    rate: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    rates: dict[str, list[float]] = field(default_factory=lambda: {OURS: [], THEIRS: []})
    p50s: dict[str, list[float]] = field(default_factory=lambda: {OURS: [], THEIRS: []})

    def add(self, loads: dict[str, Load]) -> None:
        """Takes in a round."""
        for side, load in loads.items():
            self.rates[side].append(load.rate)
            self.p50s[side].append(percentile([answer.seconds for answer in load.answers], 0.5))
        self.rate.append(self.rates[OURS][-1] / self.rates[THEIRS][-1])
        self.p50.append(self.p50s[OURS][-1] / self.p50s[THEIRS][-1])


def vllm_server(settings: Settings, log: Path) -> Server:
    """vLLM's own, with the options that ours gives its engine."""
    port = free_port()
    base = describe_base(resolve_base(settings.base), settings.base)
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *engine_options(base, settings)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--disable-uvicorn-access-log"]
    return Server(command, port, "/health", log, engine_environment(has_gpu=False))


def asks(kind: Kind, tokens: int, seed: int) -> Iterator[Ask]:
    """Prompts of 16 words, each another."""
    for number in count():
        yield Ask("embedded", prompt(f"{seed} {number}"), tokens, kind.stream, ignore_eos=True)


async def measure(urls: dict[str, str], kinds: list[Kind], rounds: int, seconds: float, tokens: int) -> dict[str, Ratios]:
    """Every kind of load, round by round. Round -1 warms up and is not counted."""
    found = {kind.name: Ratios() for kind in kinds}
    async with session(max(kind.clients for kind in kinds)) as http:
        for turn, kind in tqdm([(turn, kind) for turn in range(-1, rounds) for kind in kinds], desc="rounds", unit="load"):
            loads = {side: Load() for side in urls}
            work = {side: asks(kind, tokens, turn) for side in urls}
            slices = kind.slices(seconds)
            for number in range(slices):
                for side in (OURS, THEIRS) if (turn + number) % 2 else (THEIRS, OURS):
                    ends = time.perf_counter() + seconds / slices
                    loads[side] += await for_seconds(http, urls[side], work[side], kind.clients, ends)
            for side, load in loads.items():
                if failed := [answer for answer in load.answers if answer.status != 200]:
                    raise SystemExit(f"{side} answered {failed[0].status}: {failed[0].text}")
            if turn >= 0:
                found[kind.name].add(loads)
    return found


def table(found: dict[str, Ratios]) -> list[str]:
    """Markdown: medians of both sides and of the ratios within a round."""
    lines = ["| load | vLLM's, requests/s | ours | ratio | vLLM's p50, ms | ours | ratio |", "|---|---|---|---|---|---|---|"]
    for name, ratios in found.items():
        middle = statistics.median
        lines.append(
            f"| {name} | {middle(ratios.rates[THEIRS]):.1f} | {middle(ratios.rates[OURS]):.1f} | {middle(ratios.rate):.3f} "
            f"| {middle(ratios.p50s[THEIRS]) * 1e3:.1f} | {middle(ratios.p50s[OURS]) * 1e3:.1f} | {middle(ratios.p50):.3f} |"
        )
    return lines


def main() -> None:
    """Starts both, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=2.5, help="of one load on one server")
    parser.add_argument("--tokens", type=int, default=16, help="of each answer")
    parser.add_argument("--out", type=Path, help="every figure, as JSON")
    args = parser.parse_args()
    kinds = [Kind(clients, stream) for stream in (False, True) for clients in (1, 16)]
    with tempfile.TemporaryDirectory(prefix="patchbay-overhead-") as folder:
        home = Path(folder) / "home"
        settings = Settings("embedded", home, kv_cache=256 * 2**20, max_slots=4)
        servers = {OURS: patchbay(home, Path(folder) / "ours.log", "--kv-cache-mib", "256", "--max-slots", "4")}
        try:
            servers[OURS].wait()
            servers[THEIRS] = vllm_server(settings, Path(folder) / "vllm.log").wait()
            urls = {side: server.url for side, server in servers.items()}
            found = asyncio.run(measure(urls, kinds, args.rounds, args.seconds, args.tokens))
        finally:
            for server in servers.values():
                server.close()
    print(f"embedded base, {args.tokens} tokens an answer, {args.rounds} rounds; ratios are ours over vLLM's\n{machine()}\n")
    print("\n".join(table(found)))
    if args.out:
        args.out.write_text(json.dumps({name: vars(ratios) for name, ratios in found.items()}), encoding="utf-8")


if __name__ == "__main__":
    main()
