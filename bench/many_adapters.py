"""1,000 adapters on the embedded base: throughput, loading, what hot adapters notice of cold ones, memory, and wrong answers.

    python -m bench.many_adapters [--adapters 1000] [--requests 10000] [--folder DIR] [--out FILE.json]

Every adapter says a word of its own (bench/codes.py), so an answer shows by itself which weights gave it; that, and the
header that says so, are compared on every request of the run. Adapters and home are kept under --folder: a second run
uploads nothing, and asks alone only who was not yet. What is compared runs interleaved, round by round:

- Zipf traffic (exponent 1) over all adapters against the same prompts in Zipf traffic over five;
- clients of hot adapters while others ask for cold ones, against the same while the others ask for more hot ones.
"""

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import Any

import aiohttp
from tqdm import tqdm

from adapters.base import resolve_base
from bench.codes import write_codes
from bench.machine import machine
from bench.servers import Server, patchbay
from bench.traffic import Answer, Ask, Load, ask, drive, for_seconds, percentile, prompt, session

FEW = 5
TOKENS = 8
CLIENTS = 16
HOT, HOT_CLIENTS, COLD_CLIENTS = 4, 4, 4


@dataclass
class Report:
    """What is printed, and written with --out. Seconds, bytes, requests a second."""

    uploads_a_second: list[float] = field(default_factory=list)
    load_seconds: list[float] = field(default_factory=list)
    rates: dict[str, list[float]] = field(default_factory=lambda: {"many": [], "few": []})
    first: dict[str, list[float]] = field(default_factory=lambda: {"churn": [], "calm": [], "alone": []})
    cold_first: list[float] = field(default_factory=list)
    memory: dict[str, dict[str, float]] = field(default_factory=dict)
    loads: int = 0
    most_resident: int = 0
    answers: int = 0
    failed: int = 0
    wrong_words: int = 0
    wrong_headers: int = 0
    examples: list[str] = field(default_factory=list)


class Bench:
    """The adapters by number: their words, and the versions that the service knows them by."""

    def __init__(self, server: Server, http: aiohttp.ClientSession, adapters: Sequence[tuple[Path, str]]) -> None:
        self.server, self.http, self.adapters = server, http, adapters
        self.versions: dict[str, str] = {}
        self.report = Report()

    async def upload(self) -> None:
        """Those that the service does not have yet, four at a time; the rate of each hundred."""
        there = {adapter["name"] for adapter in (await self._get("/v1/adapters"))["data"]}
        missing = [number for number in range(len(self.adapters)) if _name(number) not in there]
        with tqdm(total=len(missing), desc="uploads", unit="adapter") as bar:
            for start in range(0, len(missing), 100):
                part = missing[start : start + 100]
                pile, began = iter(part), time.perf_counter()
                await asyncio.gather(*(self._uploader(pile, bar) for _ in range(4)))
                self.report.uploads_a_second.append(len(part) / (time.perf_counter() - began))
        for adapter in (await self._get("/v1/adapters"))["data"]:
            self.versions[adapter["name"]] = adapter["live"]

    async def _uploader(self, pile: Iterator[int], bar: Any) -> None:
        for number in pile:
            form = aiohttp.FormData({"name": _name(number)})
            for path in sorted(self.adapters[number][0].iterdir()):
                form.add_field("files", path.read_bytes(), filename=path.name)
            async with self.http.post(f"{self.server.url}/v1/adapters", data=form) as response:
                if response.status not in (200, 201):
                    raise SystemExit(f"{_name(number)} was not taken: {response.status} {await response.text()}")
            bar.update()

    async def alone(self, record: Path) -> None:
        """Each adapter asked by itself: that it says its own word is what all that follows leans on. Once a version: `record` keeps which."""
        heard = set(record.read_text(encoding="utf-8").split()) if record.is_file() else set()
        with record.open("a", encoding="utf-8") as said:
            for number in tqdm(range(len(self.adapters)), desc="each alone", unit="adapter"):
                if self.versions[_name(number)] in heard:
                    continue
                answer = await ask(self.http, self.server.url, _ask(number, f"alone {number}"))
                if self.wrong(answer):
                    raise SystemExit(f"alone, {_name(number)} should say {self.adapters[number][1]!r}: {answer}")
                print(self.versions[_name(number)], file=said, flush=True)

    async def loading(self, times: int) -> None:
        """Adapters that are not in the engine, loaded one after another over HTTP while nothing else is asked."""
        cold = [a["name"] for a in (await self._get("/v1/adapters"))["data"] if not a["resident"]]
        for name in random.Random(1).sample(cold, min(times, len(cold))):
            began = time.perf_counter()
            async with self.http.post(f"{self.server.url}/v1/adapters/{name}/load") as response:
                response.raise_for_status()
            self.report.load_seconds.append(time.perf_counter() - began)

    async def throughput(self, requests: int, rounds: int, warm_up: int) -> None:
        """Half of `requests` over all adapters, half over five, the same prompts on both sides.

        Before that, `warm_up` over all of them, not measured: in the engine are then those that this traffic asks for.
        """
        sides = {"many": _Zipf(len(self.adapters)), "few": _Zipf(FEW)}
        for done in tqdm(range(0, warm_up, 500), desc="warming up", unit="500 requests"):
            traffic = islice(_traffic(sides["many"], -2 - done), min(500, warm_up - done))
            self.check(await drive(self.http, self.server.url, traffic, CLIENTS))
        for turn in tqdm(range(-1, rounds), desc="Zipf traffic", unit="round"):
            for side in ("many", "few") if turn % 2 else ("few", "many"):
                size = requests // rounds // 2 if turn >= 0 else 200
                load = await drive(self.http, self.server.url, islice(_traffic(sides[side], turn), size), CLIENTS)
                self.check(load)
                if turn >= 0:
                    self.report.rates[side].append(load.rate)
            await self.look()

    async def churn(self, rounds: int, seconds: float) -> None:
        """Clients of hot adapters, and beside them ("churn") as many of cold ones, ("calm") of other hot ones, ("alone") none."""
        hot, others = range(HOT), range(HOT, 2 * HOT)
        cold = range(len(self.adapters) // 4, len(self.adapters))
        order = random.Random(2)
        for turn in tqdm(range(-1, rounds), desc="churn", unit="round"):
            for kind in order.sample(("churn", "calm", "alone"), 3):
                ends = time.perf_counter() + seconds
                beside = {"churn": cold, "calm": others, "alone": ()}[kind]
                loads = await asyncio.gather(
                    for_seconds(self.http, self.server.url, _evenly(hot, f"{turn} {kind} hot"), HOT_CLIENTS, ends),
                    *(
                        [for_seconds(self.http, self.server.url, _evenly(beside, f"{turn} {kind}"), COLD_CLIENTS, ends)]
                        if beside
                        else []
                    ),
                )
                for load in loads:
                    self.check(load)
                if turn >= 0:
                    self.report.first[kind] += [answer.first for answer in loads[0].answers]
                    self.report.cold_first += [answer.first for answer in loads[1].answers] if kind == "churn" else []
            await self.look()

    def check(self, load: Load) -> None:
        """Counts what is wrong: another word than the adapter's own, or a header that names another version."""
        self.report.answers += len(load.answers)
        for answer in load.answers:
            if reason := self.wrong(answer):
                setattr(self.report, reason, getattr(self.report, reason) + 1)
                self.report.examples.append(f"{reason}: {answer}"[:400])

    def wrong(self, answer: Answer) -> str | None:
        """The name of the report's count that this answer belongs to, None for a right one."""
        if answer.status != 200:
            return "failed"
        if answer.made_by != f"{answer.ask.model}@{self.versions[answer.ask.model]}":
            return "wrong_headers"
        words = answer.text.split()
        return None if words == [self.adapters[int(answer.ask.model[1:])][1]] * TOKENS else "wrong_words"

    async def look(self) -> None:
        """How many adapters are in the engine, by the service's own metrics."""
        values = await self._metrics()
        resident = sum(value for name, value in values.items() if name.startswith("patchbay_adapter_resident{"))
        self.report.most_resident = max(self.report.most_resident, int(resident))
        self.report.loads = int(sum(value for name, value in values.items() if name.startswith("patchbay_adapter_loads_total{")))

    async def weigh(self, when: str) -> None:
        """Memory by part, and of all the service's processes."""
        parts = {k: v for k, v in (await self._metrics()).items() if k.startswith("patchbay_memory_bytes{")}
        self.report.memory[when] = {k.split('"')[1]: v for k, v in parts.items()} | {"all processes": self.server.bytes()}

    async def _metrics(self) -> dict[str, float]:
        async with self.http.get(f"{self.server.url}/metrics") as response:
            lines = (await response.text()).splitlines()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line.startswith("patchbay_"))}

    async def _get(self, path: str) -> Any:
        async with self.http.get(self.server.url + path) as response:
            response.raise_for_status()
            return await response.json()


class _Zipf:
    """Numbers from 0, the n-th with a share of 1/n."""

    def __init__(self, size: int) -> None:
        self._numbers, self._shares = range(size), [1 / (rank + 1) for rank in range(size)]

    def draw(self, drawn: random.Random) -> int:
        return drawn.choices(self._numbers, self._shares)[0]


def _traffic(zipf: _Zipf, turn: int) -> Iterator[Ask]:
    """The n-th prompt of a round is the same whatever the adapters."""
    chosen = random.Random(turn)
    for number in count():
        yield _ask(zipf.draw(chosen), f"{turn} {number}")


def _evenly(numbers: Sequence[int], seed: str) -> Iterator[Ask]:
    drawn = random.Random(seed)
    for number in count():
        yield _ask(drawn.choice(numbers), f"{seed} {number}", stream=True)


def _ask(number: int, seed: str, stream: bool = False) -> Ask:
    return Ask(_name(number), prompt(seed), TOKENS, stream)


def _name(number: int) -> str:
    return f"a{number}"


def _lines(report: Report, args: argparse.Namespace) -> list[str]:
    def ms(values: Sequence[float], share: float) -> str:
        return f"{percentile(values, share) * 1e3:.1f} ms"

    many, few = report.rates["many"], report.rates["few"]
    ratio = statistics.median(a / b for a, b in zip(many, few, strict=True))
    p99 = {kind: percentile(values, 0.99) for kind, values in report.first.items()}
    lines = [
        f"{args.adapters} adapters of rank 8 and 16, {args.max_resident} resident at most, {args.max_slots} slots, {CLIENTS} clients, {TOKENS} tokens",
        machine(),
        "",
        f"uploads/s by hundreds: {', '.join(f'{rate:.1f}' for rate in report.uploads_a_second) or 'all were there'}",
        f"Zipf over all {statistics.median(many):.1f} requests/s, over {FEW} {statistics.median(few):.1f}: ratio {ratio:.3f} "
        f"(rounds {min(a / b for a, b in zip(many, few, strict=True)):.3f} to {max(a / b for a, b in zip(many, few, strict=True)):.3f})",
        f"loading a stored adapter: p50 {ms(report.load_seconds, 0.5)}, p99 {ms(report.load_seconds, 0.99)}, n {len(report.load_seconds)}",
    ]
    for kind, values in report.first.items():
        lines.append(f"first token of hot adapters, {kind}: p50 {ms(values, 0.5)}, p99 {ms(values, 0.99)}, n {len(values)}")
    lines += [
        f"p99 with churn: {p99['churn'] / p99['calm']:.2f} times that without, the others asking for resident adapters; "
        f"{p99['churn'] / p99['alone']:.2f} times that with no others",
        f"first token of cold adapters: p50 {ms(report.cold_first, 0.5)}, p99 {ms(report.cold_first, 0.99)}, n {len(report.cold_first)}",
        f"loads {report.loads}, most resident at once {report.most_resident}",
    ]
    for when, parts in report.memory.items():
        lines.append(f"memory {when}: " + ", ".join(f"{part} {size / 2**20:.0f} MiB" for part, size in parts.items()))
    lines.append(
        f"of {report.answers} answers: {report.wrong_words} with another word than their adapter's, {report.wrong_headers} with another "
        f"adapter's header, {report.failed} failed"
    )
    return lines + report.examples[:10]


async def run(server: Server, args: argparse.Namespace, adapters: Sequence[tuple[Path, str]]) -> Report:
    """All of it, in the order of the page."""
    async with session(CLIENTS) as http:
        bench = Bench(server, http, adapters)
        await bench.weigh("at the start")
        await bench.upload()
        await bench.alone(args.folder / f"alone-{args.adapters}.txt")
        await bench.weigh("each asked once")
        await bench.loading(200)
        await bench.throughput(args.requests, args.rounds, args.warm_up)
        await bench.churn(args.churn_rounds, args.churn_seconds)
        await bench.weigh("at the end")
        return bench.report


def main() -> None:
    """Starts the service, measures, prints; ends with 1 when an answer was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--adapters", type=int, default=1000)
    parser.add_argument("--requests", type=int, default=10_000, help="of Zipf traffic, both sides together")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--warm-up", type=int, default=3_000, help="requests of Zipf traffic before any is measured")
    parser.add_argument("--churn-rounds", type=int, default=4)
    parser.add_argument("--churn-seconds", type=float, default=6.0)
    parser.add_argument("--max-resident", type=int, default=512)
    parser.add_argument("--max-slots", type=int, default=64)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "patchbay-bench", help="for what is made")
    parser.add_argument("--out", type=Path, help="every figure, as JSON")
    args = parser.parse_args()
    adapters = write_codes(resolve_base("embedded"), args.folder / "codes", args.adapters)
    options = ("--max-resident", str(args.max_resident), "--max-slots", str(args.max_slots), "--kv-cache-mib", "256")
    server = patchbay(args.folder / f"home-{args.adapters}", args.folder / "many.log", *options)
    try:
        report = asyncio.run(run(server.wait(), args, adapters))
    finally:
        server.close()
    print("\n".join(_lines(report, args)))
    if args.out:
        args.out.write_text(json.dumps(asdict(report)), encoding="utf-8")
    if report.wrong_words or report.wrong_headers or report.failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
