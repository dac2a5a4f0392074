"""Runs a scenario in a process of its own (locust patches whatever it is imported into) and sums up what came back."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from loadtest.client import Client
from loadtest.errors import LoadTestError
from loadtest.facts import Facts
from loadtest.result import summed
from loadtest.scenario import Scenario
from loadtest.stage import Stage
from loadtest.tally import from_record

_GRACE = 60.0
Tell = Callable[[str, float], None]


def run(
    scenario: Scenario, url: str, key: str | None = None, adapters: Sequence[Path] = (), tell: Tell = lambda step, seconds: None
) -> dict[str, Any]:
    """The result of a scenario against `url`; `tell` hears what is done and how long the traffic has run.

    SIGINT ends the traffic early: the result is then of what was (`interrupted`). The service is left as it was found.
    Of a scenario with `beside_base` the result holds the base's figures too, as `base_alone`.

    Raises:
        LoadTestError: the service cannot be made ready, locust failed, or nothing was answered.
    """
    if not scenario.beside_base:
        return _run(scenario, url, key, adapters, tell)
    base = _run(scenario.on_base(), url, key, (), tell)
    if base["interrupted"]:
        return base
    return _run(scenario, url, key, adapters, tell) | {"base_alone": base["total"]}


def _run(scenario: Scenario, url: str, key: str | None, adapters: Sequence[Path], tell: Tell) -> dict[str, Any]:
    client = Client(url, key)
    stage = Stage(client, scenario, adapters, lambda step: tell(step, 0.0))
    with stage as facts:
        before = client.counters()
        said, interrupted = _traffic(scenario, client.url, key, adapters, facts, tell)
        after = client.counters()
    tally = from_record(said["tally"])
    service = {"ready_after": round(stage.waited, 2)} | _change(before, after)
    return {**summed(scenario, client.url, tally, said["seconds"], service), "interrupted": interrupted}


def _change(before: dict[str, float] | None, after: dict[str, float] | None) -> dict[str, float]:
    if before is None or after is None:
        return {}
    return {name: after[name] - before[name] for name in after} | {
        "memory_bytes": after["memory_bytes"],
        "memory_growth": round(after["memory_bytes"] / before["memory_bytes"] - 1, 4) if before["memory_bytes"] else 0.0,
    }


def _traffic(
    scenario: Scenario, url: str, key: str | None, adapters: Sequence[Path], facts: Facts, tell: Tell
) -> tuple[dict[str, Any], bool]:
    """What locust's process leaves, and whether it was interrupted."""
    with tempfile.TemporaryDirectory() as folder:
        result, log = Path(folder) / "tally.json", Path(folder) / "log"
        with log.open("w") as file:
            process = _start(scenario, url, _environment(scenario, key, adapters, facts, result), file)
        try:
            interrupted = _watch(process, scenario.seconds, tell)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
        if not result.is_file():
            raise LoadTestError(f"locust ended with {process.returncode}: {log.read_text()[-600:]}")
        found = json.loads(result.read_text(encoding="utf-8"))
        if not found["tally"]["cells"] and not interrupted:
            raise LoadTestError(f"no request was answered within the scenario's time: {log.read_text()[-600:]}")
        return found, interrupted


def _watch(process: "subprocess.Popen[bytes]", seconds: float, tell: Tell) -> bool:
    began = ends = time.monotonic()
    ends += seconds + _GRACE
    interrupted = False
    while process.poll() is None:
        try:
            time.sleep(0.2)
            tell("traffic", time.monotonic() - began)
        except KeyboardInterrupt:
            if interrupted:
                raise
            interrupted, ends = True, time.monotonic() + _GRACE
            process.send_signal(signal.SIGINT)
        if time.monotonic() > ends:
            raise LoadTestError(f"locust did not end within {_GRACE:.0f} s after it should have")
    return interrupted


def _environment(scenario: Scenario, key: str | None, adapters: Sequence[Path], facts: Facts, result: Path) -> dict[str, str]:
    environment = {
        **os.environ,
        "PATCHBAY_SCENARIO": json.dumps(scenario.record()),
        "PATCHBAY_FACTS": json.dumps(facts.record()),
        "PATCHBAY_ADAPTERS": os.pathsep.join(str(folder.resolve()) for folder in adapters),
        "PATCHBAY_RESULT": str(result),
    }
    environment |= {"PATCHBAY_KEY": key} if key else {}
    environment.pop("LD_PRELOAD", None)
    return environment


def _start(scenario: Scenario, url: str, environment: dict[str, str], log: Any) -> "subprocess.Popen[bytes]":
    users = ["-u", str(scenario.users), "-r", str(scenario.users)]
    file = str(Path(__file__).with_name("locustfile.py"))
    command = [sys.executable, "-m", "locust", "-f", file, "--headless", "--only-summary", "--host", url, *users]
    # A session of its own: a terminal's Ctrl-C reaches this process alone, which passes it on once.
    return subprocess.Popen([*command, "--loglevel", "ERROR"], env=environment, stdout=log, stderr=log, start_new_session=True)
