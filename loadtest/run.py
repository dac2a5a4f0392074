"""Runs a scenario in a process of its own (locust patches whatever it is imported into) and sums up what came back."""

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from loadtest.scenario import Scenario

_GRACE = 60.0


class LoadTestError(RuntimeError):
    """locust could not do its work; the message holds its last words."""


def run(
    scenario: Scenario, url: str, on_tick: Callable[[float], None] = lambda seconds: None, key: str | None = None
) -> dict[str, Any]:
    """The result of a scenario against `url`; times in seconds. `on_tick` hears how long it has run.

    Raises:
        LoadTestError: locust failed, or nothing was answered.
    """
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "answers.json"
        process = _start(scenario, url, result, key)
        began = time.monotonic()
        try:
            while process.poll() is None:
                time.sleep(0.25)
                on_tick(time.monotonic() - began)
                if time.monotonic() - began > scenario.seconds + _GRACE:
                    raise LoadTestError(f"locust did not end within {_GRACE:.0f} s after the scenario's {scenario.seconds} s")
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
        said = process.stdout.read() if process.stdout else ""
        if not result.is_file():
            raise LoadTestError(f"locust ended with {process.returncode}: {said[-400:]}")
        answers = json.loads(result.read_text(encoding="utf-8"))
    if not answers:
        raise LoadTestError(f"no request was answered: {said[-400:]}")
    return summed(scenario, url, answers)


def _start(scenario: Scenario, url: str, result: Path, key: str | None) -> "subprocess.Popen[str]":
    command = [
        sys.executable,
        "-m",
        "locust",
        "-f",
        str(Path(__file__).with_name("locustfile.py")),
        "--headless",
        "--only-summary",
    ]
    command += [
        "--host",
        url,
        "-u",
        str(scenario.users),
        "-r",
        str(scenario.users),
        "-t",
        f"{math.ceil(scenario.seconds)}s",
        "--loglevel",
        "ERROR",
    ]
    environment = {**os.environ, "PATCHBAY_SCENARIO": scenario.to_json(), "PATCHBAY_RESULT": str(result)}
    environment |= {"PATCHBAY_KEY": key} if key else {}
    environment.pop("LD_PRELOAD", None)
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def summed(scenario: Scenario, url: str, answers: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of all answers, and of each model's."""
    total = figures(answers, scenario.seconds)
    models = sorted({a["model"] for a in answers})
    broken = [
        f"{name} is {total[name]}, at most {limit} passes" for name, limit in scenario.limits.items() if total[name] > limit
    ]
    return {
        "schema": 1,
        "kind": "loadtest",
        "scenario": json.loads(scenario.to_json()),
        "url": url,
        "total": total,
        "models": {model: figures([a for a in answers if a["model"] == model], scenario.seconds) for model in models},
        "passed": not broken,
        "verdict": "passed" if not broken else "failed: " + "; ".join(broken),
    }


def figures(answers: list[dict[str, Any]], seconds: float) -> dict[str, float]:
    """Requests, failures, wrong adapters, rates a second, and percentiles of first token and whole answer."""
    good = [a for a in answers if a["status"] == 200]
    found: dict[str, float] = {
        "requests": len(answers),
        "failed": len(answers) - len(good),
        "wrong_adapter": sum(not a["right"] for a in good),
        "requests_per_second": round(len(good) / seconds, 2),
        "tokens_per_second": round(sum(a["tokens"] for a in good) / seconds, 1),
    }
    for name, key in (("first_token", "first"), ("answer", "seconds")):
        values = sorted(a[key] for a in good if a[key] is not None)
        for share in (50, 95, 99):
            found[f"{name}_p{share}"] = round(values[min(len(values) - 1, len(values) * share // 100)], 4) if values else 0.0
    return found
