"""`make demo`: the whole job on the embedded base and sample data, from rows to a served, measured adapter.

Everything lies under var/demo and is used again by the next run: a finished training is not repeated.
"""

import argparse
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from openai import OpenAI

from adapters.base import describe_base, resolve_base
from adapters.errors import PatchbayError
from service.client import Client

ROOT = Path(__file__).resolve().parent.parent
VAR = ROOT / "var" / "demo"
DATA, RUNS, RESULTS = VAR / "data", VAR / "runs", VAR / "results"
SUMMARY = VAR / "summary.json"
PATCHBAY = (sys.executable, str(ROOT / "patchbay.py"))
ROUTE = ("route", 200, "accuracy", 60)
DESCRIBE = ("describe", 300, "bleu", 60)
QUESTION = r"The screen of my new lamp is cracked, can you fix it.\nQueue:"  # as JSON writes it


def main() -> int:
    """Runs the demo; its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exit", action="store_true", help="stop at the end instead of leaving the service up")
    parser.add_argument("--fresh", action="store_true", help="run everything again, evaluations and load test too")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    VAR.mkdir(parents=True, exist_ok=True)
    try:
        return run(options)
    except PatchbayError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as error:
        print(f"error: {' '.join(map(str, error.cmd[1:]))} ended with {error.returncode}", file=sys.stderr)
        return error.returncode
    except KeyboardInterrupt:
        print("\ninterrupted; make demo goes on from here", file=sys.stderr)
        return 130


def run(options: argparse.Namespace) -> int:
    """The steps in their order."""
    known = None if options.fresh else _known()
    if known and options.exit:
        show(known, None)
        print("\nNothing changed since; make demo ARGS='--exit --fresh' runs it again.")
        return 0
    with service() as url:
        if known:
            say("Nothing changed since the last run: starting the service on what it made")
            Client(url).wait_ready(300, spinner("the engine starts"))
        else:
            known = work(url)
            SUMMARY.write_text(json.dumps(known, indent=1), encoding="utf-8")
        show(known, url)
        if not options.exit:
            print("\nThe service stays up until Ctrl-C.")
            signal.pause()
    return 0


def work(url: str) -> dict[str, Any]:
    """Trains, uploads, switches, evaluates, loads; the summary of what came of it."""
    began = time.monotonic()
    client = Client(url)
    say("Sample data: three tasks, nothing shared between train and test")
    if not DATA.exists():
        patchbay("samples", "--out", DATA)
    say("First adapter: which team a request belongs to (the service starts meanwhile)")
    train(*ROUTE[:2])
    client.wait_ready(300, spinner("the engine starts"))
    client.push(RUNS / "route", "route")
    answer = complete(url, "route", example("route"))
    first = time.monotonic() - began
    print(f"  first completion of the fresh adapter after {first:.0f} s: {answer!r}")
    say("Second adapter: a sentence from a record")
    train(*DESCRIBE[:2])
    client.push(RUNS / "describe", "describe")
    say("A 4-bit base (GPTQ) that the same adapters fit")
    if not (VAR / "base-gptq").exists():
        patchbay("quantize", "--base", "embedded", "--method", "gptq", "--out", VAR / "base-gptq")
    say("Switching: one model id, three meanings, no restart")
    switches = switch(client, url)
    say("Before and after, through the service, on rows no training saw")
    scores = [evaluate(client, *task) for task in (ROUTE, DESCRIBE)]
    say("Ten seconds of load on the base alone, then ten on both adapters and the base mixed")
    patchbay("loadtest", "--url", url, "--scenario", "many", "--seconds", "10", "--out", RESULTS / "loadtest.json")
    say("The report, from the records alone")
    records = [
        RUNS / "route",
        RUNS / "describe",
        VAR / "base-gptq",
        *(RESULTS / f"{t[0]}.json" for t in (ROUTE, DESCRIBE)),
        RESULTS / "loadtest.json",
    ]
    patchbay("report", *records, "--out", VAR / "report.md")
    load = json.loads((RESULTS / "loadtest.json").read_text(encoding="utf-8"))
    return {
        "stamp": stamp(),
        "first_completion_seconds": round(first, 1),
        "seconds": round(time.monotonic() - began, 1),
        "scores": scores,
        "switches": switches,
        "load": load["total"],
        "base_alone": load["base_alone"],
        "memory": memory(client),
    }


def train(task: str, steps: int) -> None:
    """One adapter by the command line, unless it is there already."""
    record = RUNS / task / "run.json"
    if record.is_file() and json.loads(record.read_text(encoding="utf-8"))["status"] == "finished":
        print(f"  {RUNS / task} is trained already")
        return
    patchbay("train", "--data", DATA / task, "--out", RUNS / task, "--max-steps", steps, "--evals", "2")


def example(task: str) -> str:
    """The first prompt of a task's test rows."""
    with (DATA / task / "test.jsonl").open(encoding="utf-8") as lines:
        return str(json.loads(next(lines))["prompt"])


def complete(url: str, model: str, prompt: str) -> str:
    """A completion by OpenAI's own client."""
    client = OpenAI(base_url=f"{url}/v1", api_key="none")
    return client.completions.create(model=model, prompt=prompt, max_tokens=48, temperature=0).choices[0].text.strip()


def switch(client: Client, url: str) -> list[dict[str, str]]:
    """What `default` answers to one prompt as the route is moved."""
    prompt = example("describe")
    print(f"  {prompt!r}")
    seen = []
    for target in (None, "route", "describe"):
        client.call("PUT", "/v1/default", json={"adapter": target})
        answer = complete(url, "default", prompt)
        print(f"  default -> {target or 'base':<9} {answer[:90]!r}")
        seen.append({"default": target or "base", "answer": answer})
    client.call("PUT", "/v1/default", json={"adapter": None})
    return seen


def evaluate(client: Client, task: str, _: int, metric: str, limit: int) -> dict[str, Any]:
    """Base and adapter on the same test rows; the result is kept with its samples."""
    file = client.add_file(DATA / task / "test.jsonl")
    request = {"model": task, "file": file, "metrics": [metric], "limit": limit, "max_tokens": 48}
    result = client.evaluate(request, progress(f"evaluate {task}"))
    result["samples"] = client.call("GET", f"/v1/evaluations/{result['id']}/samples")["data"]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{task}.json").write_text(json.dumps(result, indent=1, ensure_ascii=False), encoding="utf-8")
    return {"adapter": task, "metric": metric, "n": result["n"], **result["scores"][metric]}


def memory(client: Client) -> dict[str, float]:
    """Bytes by part, as /metrics says."""
    text = client.call_text("/metrics")
    lines = [line for line in text.splitlines() if line.startswith("patchbay_memory_bytes{")]
    return {line.split('"')[1]: float(line.rsplit(" ", 1)[1]) for line in lines}


def show(summary: dict[str, Any], url: str | None) -> None:
    """The last screen."""
    load = summary["load"]
    print("\n" + "=" * 78)
    print(f"{'adapter':<12}{'metric':<12}{'rows':>6}{'base':>10}{'adapter':>10}   95 % interval        p")
    for s in summary["scores"]:
        interval = f"{s['low']:.3g} to {s['high']:.3g}"
        print(
            f"{s['adapter']:<12}{s['metric']:<12}{s['n']:>6}{s['baseline']:>10.3g}{s['value']:>10.3g}   {interval:<18}{s['p']:>6.3f}"
        )
    print(
        f"\nunder load   {load['requests_per_second']} requests/s, {load['tokens_per_second']} tokens/s, first token p50 "
        f"{load['first_token_p50'] * 1000:.0f} ms p99 {load['first_token_p99'] * 1000:.0f} ms, "
        f"{load['failed']} failed, {load['wrong_adapter']} from the wrong adapter"
    )
    base = summary["base_alone"]
    print(
        f"base alone   {base['requests_per_second']} requests/s, {base['tokens_per_second']} tokens/s, first token p50 "
        f"{base['first_token_p50'] * 1000:.0f} ms p99 {base['first_token_p99'] * 1000:.0f} ms, under the same traffic"
    )
    print("memory       " + ", ".join(f"{part} {size / 2**20:.0f} MiB" for part, size in summary["memory"].items()))
    print(
        f"time         first completion of a fresh adapter {summary['first_completion_seconds']:.0f} s, all of it {summary['seconds']:.0f} s"
    )
    print(f"report       {VAR / 'report.md'}")
    if url:
        print(f"service      {url}   metrics {url}/metrics   routes {url}/docs")
        print(f"try          curl {url}/v1/completions -H 'Content-Type: application/json' \\")
        print(f"""               -d '{{"model": "route", "prompt": "{QUESTION}", "max_tokens": 16}}'""")
    print("=" * 78)


@contextmanager
def service() -> Iterator[str]:
    """The service in the background on a free port, its log in var/demo/service.log; ended with the demo."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (VAR / "service.log").open("w", encoding="utf-8") as log:
        command = [*PATCHBAY, "serve", "--base", "embedded", "--home", str(VAR / "home"), "--port", str(port)]
        # A session of its own: Ctrl-C ends the demo, and the demo ends the service in good order.
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def patchbay(*arguments: Any) -> None:
    """A command of ours, shown as a person would type it."""
    shown = " ".join(str(a).replace(f"{ROOT}/", "") for a in arguments)
    print(f"  $ patchbay {shown}", flush=True)
    subprocess.run([*PATCHBAY, *map(str, arguments)], check=True, cwd=ROOT)


def stamp() -> str:
    """What the demo's results depend on: the base, and every source file."""
    whole = hashlib.sha256(describe_base(resolve_base("embedded")).digest.encode())
    for folder in ("adapters", "evaluation", "training", "service", "loadtest", "scripts"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            whole.update(path.read_bytes())
    return whole.hexdigest()


def _known() -> dict[str, Any] | None:
    if not SUMMARY.is_file():
        return None
    summary = dict(json.loads(SUMMARY.read_text(encoding="utf-8")))
    return summary if summary["stamp"] == stamp() else None


def say(text: str) -> None:
    """A step begins."""
    print(f"\n== {text}", flush=True)


def spinner(text: str) -> Any:
    """Shows that something is waited for."""
    began = time.monotonic()

    def tick() -> None:
        if sys.stderr.isatty():
            print(f"\r  {text}: {time.monotonic() - began:.0f} s ", end="", file=sys.stderr, flush=True)

    return tick


def progress(text: str) -> Any:
    """A line that counts, on a terminal."""

    def shown(done: int, total: int) -> None:
        if sys.stderr.isatty() or done == total:
            print(f"\r  {text}: {done}/{total} ", end="\n" if done == total else "", file=sys.stderr, flush=True)

    return shown


if __name__ == "__main__":
    raise SystemExit(main())
