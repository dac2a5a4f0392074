"""What measuring costs: one service, its measuring put off and on in turn while the same load runs.

    python -m bench.measuring [--rounds 30] [--seconds 2] [--clients 16]

On: metrics of each request and token, a line of the log for each request, and a scrape of /metrics every second. Off: none of
them. A round has both, in turn who is first; the ratio of their rates is taken within it.
"""

import argparse
import asyncio
import contextlib
import signal
import statistics
import sys
import tempfile
import time
from itertools import count
from pathlib import Path

import aiohttp
from tqdm import tqdm

from bench.machine import machine
from bench.servers import Server, free_port
from bench.traffic import Ask, for_seconds, prompt, session
from service.settings import engine_environment

_SETTLES = 0.1


async def _scraping(http: aiohttp.ClientSession, url: str) -> None:
    while True:
        async with http.get(f"{url}/metrics") as answer:
            await answer.read()
        await asyncio.sleep(1)


async def _rate(server: Server, args: argparse.Namespace, is_on: bool, seed: int) -> float:
    server.process.send_signal(signal.SIGUSR2 if is_on else signal.SIGUSR1)
    await asyncio.sleep(_SETTLES)
    async with session(args.clients + 1) as http:
        scraper = asyncio.create_task(_scraping(http, server.url)) if is_on else None
        work = (Ask("embedded", prompt(f"{seed} {n}"), 16, stream=True, ignore_eos=True) for n in count())
        load = await for_seconds(http, server.url, work, args.clients, time.perf_counter() + args.seconds)
        if scraper is not None:
            scraper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await scraper
    if failed := [answer for answer in load.answers if answer.status != 200]:
        raise SystemExit(f"answered {failed[0].status}: {failed[0].text}")
    return load.rate


async def measure(server: Server, args: argparse.Namespace) -> list[tuple[float, float]]:
    """Requests a second with measuring on and off, one pair for each round; the first round warms up and is not counted."""
    found = []
    for turn in tqdm(range(-1, args.rounds), desc="rounds"):
        rates = {is_on: await _rate(server, args, is_on, turn) for is_on in ((True, False) if turn % 2 else (False, True))}
        found.append((rates[True], rates[False]))
    return found[1:]


def main() -> None:
    """Starts the service, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=2.0, help="of load, on and off each")
    parser.add_argument("--clients", type=int, default=16)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="patchbay-measuring-") as folder:
        port = free_port()
        command = [sys.executable, "-m", "bench.measured_server", f"{folder}/home", str(port)]
        server = Server(command, port, "/ready", Path(folder) / "log", engine_environment(has_gpu=False))
        try:
            pairs = asyncio.run(measure(server.wait(), args))
        finally:
            server.close()
    ratios = sorted(on / off for on, off in pairs)
    low, _, high = statistics.quantiles(ratios, n=4)
    print(f"embedded base, streams of 16 tokens, {args.clients} clients, {args.rounds} rounds\n{machine()}")
    print(f"requests/s: on {statistics.median(on for on, _ in pairs):.1f}, off {statistics.median(off for _, off in pairs):.1f}")
    print(f"on over off within a round: median {statistics.median(ratios):.4f}, quartiles {low:.4f} to {high:.4f}")


if __name__ == "__main__":
    main()
