"""locust against a service: everything at once, a service that lies, an interrupt, master and workers."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from loadtest.run import run
from loadtest.scenario import from_record
from service import admission
from tests.served import Site

ROOT = Path(__file__).resolve().parents[2]
EVERYTHING: dict[str, Any] = {
    "name": "everything",
    "seconds": 6,
    "adapters": 3,
    "traffic": [
        {"name": "readers", "users": 2, "models": "uniform"},
        {"name": "arrivals", "kind": "completion", "rate": 20, "models": "switched"},
        {"name": "talkers", "kind": "chat", "models": "default"},
        {"name": "newest", "models": "uploaded", "after": 0.25},
        {"name": "switches", "kind": "switch", "every": 0.05},
        {"name": "uploads", "kind": "upload", "every": 0.5},
        {"name": "unloads", "kind": "unload", "every": 0.2},
        {"name": "evaluations", "kind": "evaluate"},
    ],
    "limits": {"failed": 0, "wrong_adapter": 0, "wrong_content": 0, "changed_content": 0, "operations_failed": 0},
}


def names(site: Site) -> list[str]:
    return list(site.runtime.registry.state.adapters)


def test_everything_at_once_is_right_and_leaves_nothing(site: Site, given: Path) -> None:
    steps = []
    result = run(from_record(EVERYTHING), site.url, adapters=[given], tell=lambda step, seconds: steps.append(step))
    assert result["passed"], (result["verdict"], result["messages"])
    assert all(result["traffic"][traffic["name"]]["requests"] > 0 for traffic in EVERYTHING["traffic"]), result["traffic"]
    assert result["total"]["checked_content"] > 0
    assert result["service"]["adapter_switches"] > 0
    assert {"waiting for the service", "adapter 1 of 1", "traffic"} <= set(steps)
    assert names(site) == ["describe", "route"]
    assert site.runtime.registry.state.default is None


def test_the_base_alone_stands_beside(site: Site) -> None:
    traffic = [{"name": "readers", "users": 2, "models": "first"}]
    result = run(from_record({"name": "beside", "seconds": 1, "beside_base": True, "traffic": traffic}), site.url)
    assert result["base_alone"]["requests"] > 0
    assert set(result["models"]) == {"describe"}, "and is not among the others"
    assert result["base_alone"]["failed"] == result["total"]["failed"] == 0


def test_a_service_that_lies_is_found_out(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the traffic runs, half of those who ask for route are let to describe, and most answers are the base's."""
    readers = [{"name": models, "users": users, "models": models} for models, users in (("first", 3), ("second", 2), ("base", 1))]
    true_resolve, true_complete, asked = admission.resolve, site.engine.complete, {"resolve": 0, "complete": 0}
    alone = 3  # asked before: the base and both adapters

    def resolve(state: Any, base: str, model: str | None) -> Any:
        asked["resolve"] += 1
        lies = model == "route" and asked["resolve"] > alone and asked["resolve"] % 2
        return true_resolve(state, base, "describe" if lies else model)

    async def complete(prompt: Any, version: Any, max_tokens: int) -> Any:
        asked["complete"] += 1
        lies = asked["complete"] > alone and asked["complete"] % 3 > 0
        return await true_complete(prompt, None if lies else version, max_tokens)

    monkeypatch.setattr(admission, "resolve", resolve)
    monkeypatch.setattr(site.engine, "complete", complete)
    result = run(from_record({**EVERYTHING, "seconds": 3, "adapters": 2, "traffic": readers}), site.url)
    assert not result["passed"]
    assert result["models"]["route"]["wrong_adapter"] > 0
    assert result["models"]["embedded"]["wrong_adapter"] == result["models"]["embedded"]["wrong_content"] == 0
    assert result["models"]["describe"]["wrong_content"] > 0
    assert any("asked route, answered by describe@sha256:" in message for message in result["messages"])


def test_an_interrupt_gives_what_there_is_and_leaves_nothing(site: Site, given: Path, tmp_path: Path) -> None:
    command = [sys.executable, "patchbay.py", "loadtest", "--url", site.url, "--scenario", "switch", "--adapter", str(given)]
    with (tmp_path / "err").open("w") as err:
        process = subprocess.Popen(
            [*command, "--seconds", "600", "--json"], cwd=ROOT, stdout=subprocess.PIPE, stderr=err, text=True
        )
    ends = time.monotonic() + 120
    while site.runtime.registry.state.default is None and time.monotonic() < ends:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=90)
    assert process.returncode == 130, (tmp_path / "err").read_text()[-500:]
    result = json.loads(said)
    assert result["interrupted"]
    assert 0 < result["seconds"] < 90
    assert names(site) == ["describe", "route"]
    assert site.runtime.registry.state.default is None


def test_a_master_and_two_workers(site: Site, given: Path, tmp_path: Path) -> None:
    """By locust's own command, as docs/load-tests.md says."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    record = {**EVERYTHING, "seconds": 3, "traffic": [{"name": "readers", "users": 4, "models": "uniform"}]}
    environment = {**os.environ, "PATCHBAY_SCENARIO": json.dumps(record), "PATCHBAY_ADAPTERS": str(given)}
    locust = [sys.executable, "-m", "locust", "-f", "loadtest/locustfile.py"]
    master = [*locust, "--host", site.url, "--headless", "--master", "--expect-workers", "2", "--master-bind-port", port]
    worker = [*locust, "--worker", "--master-host", "127.0.0.1", "--master-port", port]
    result, processes = tmp_path / "tally.json", []
    for number, (command, more) in enumerate(((master, {"PATCHBAY_RESULT": str(result)}), (worker, {}), (worker, {}))):
        with (tmp_path / f"log-{number}").open("w") as log:
            processes.append(subprocess.Popen(command, cwd=ROOT, env=environment | more, stdout=log, stderr=log))
    try:
        assert processes[0].wait(120) == 0, (tmp_path / "log-0").read_text()[-2000:]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    found = json.loads(result.read_text())
    asked = {model for _, _, model, _, _ in found["tally"]["cells"]}
    assert asked == {"embedded", "describe", "route", "loadtest-000"}
    assert not any(counts.get("failed") or counts.get("wrong_adapter") for _, _, _, counts, _ in found["tally"]["cells"])
    assert names(site) == ["describe", "route"]
