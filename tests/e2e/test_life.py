"""An adapter's life on the real engine: proof, provenance, the gate, switches under load, and what a kill leaves."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from bench.switch_storm import storm
from service.client import Client
from tests.e2e.conftest import Process, patchbay

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def life(service: Process, runs: dict[str, Path]) -> Iterator[tuple[str, str]]:
    """Two versions of the name `life`; the first is live."""
    pushed = [service.client.push(runs[name], "life") for name in ("one", "two")]
    assert [manifest["status"] for manifest in pushed] == ["verified", "verified"]
    yield pushed[0]["version"], pushed[1]["version"]
    service.client.call("DELETE", "/v1/adapters/life")


@pytest.fixture(autouse=True)
def first_is_live(service: Process, life: tuple[str, str]) -> None:
    """Each test begins with the first version live, whatever one before it left."""
    service.client.call("PUT", "/v1/adapters/life/live", json={"version": life[0]})


def shown(service: Process, version: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = service.client.call("GET", "/v1/adapters/life" + (f"/versions/{version}" if version else ""))
    return found


def test_a_version_says_how_it_was_made(service: Process, life: tuple[str, str], samples: Path) -> None:
    service.client.evaluate(
        {
            "model": f"life@{life[0]}",
            "rows": [{"prompt": "a", "completion": "b"}, {"prompt": "c", "completion": "d"}],
            "metrics": ["perplexity"],
        }
    )
    found = shown(service, life[0])
    run = found["provenance"]
    assert (run["config"]["rank"], run["config"]["max_steps"]) == (8, 60)
    assert set(run["data"]["digests"]) == {"train.jsonl", "valid.jsonl"}
    assert found["template_hash"] == run["base"]["template_hash"]
    assert found["warnings"] == []
    assert found["probe"]["mean_difference"] < found["probe"]["difference_without"]
    assert found["probe"]["noise"] < found["probe"]["effect"]
    ((score, *_),) = found["scores"].values()
    assert (score["metric"], score["base"]) == ("perplexity", found["base"]["digest"])


def test_requests_under_way_finish_on_the_old_version_and_then_it_leaves(service: Process, life: tuple[str, str]) -> None:
    one, two = life
    body = {"model": "life", "prompt": "A long answer", "max_tokens": 300, "temperature": 0, "ignore_eos": True}
    whole = httpx.post(f"{service.url}/v1/completions", json=body, timeout=120).json()["choices"][0]["text"]
    with httpx.stream("POST", f"{service.url}/v1/completions", json=body | {"stream": True}, timeout=120) as stream:
        lines = stream.iter_lines()
        chunks = [next(lines)]
        service.client.call("PUT", "/v1/adapters/life/live", json={"version": two})
        during = {v["version"]: v["resident"] for v in shown(service)["versions"]}
        chunks += [line for line in lines if line.startswith("data: {")]
    assert during == {one: True, two: True}, "the stream was still under way"
    parts = [json.loads(chunk.removeprefix("data: ")) for chunk in chunks]
    made_by = {part["system_fingerprint"].partition("+")[0] for part in parts}
    assert made_by == {stream.headers["X-Patchbay-Adapter"]} == {f"life@{one}"}
    # Not the number of parts: tokens that are ready together come in one.
    assert "".join(part["choices"][0]["text"] for part in parts) == whole
    ends = time.monotonic() + 20
    while shown(service)["versions"][1]["resident"] and time.monotonic() < ends:
        time.sleep(0.1)
    assert {v["version"]: v["resident"] for v in shown(service)["versions"]} == {one: False, two: True}


def test_the_gate_on_the_command_line(service: Process, life: tuple[str, str], samples: Path) -> None:
    """The longer trained one has the lower perplexity: it may go live, and the other may not come back."""
    one, two = life
    gate = ("--gate", samples / "route" / "test.jsonl", "--metric", "perplexity", "--limit", 20, "--url", service.url)
    done = patchbay("adapters", "promote", "life", two[:19], *gate)
    assert done.returncode == 0, done.stderr
    assert shown(service)["live"] == two
    detail = shown(service)["events"][0]["detail"]
    assert (detail["metric"], detail["better_than"]) == ("perplexity", "live")
    assert detail["value"] < detail["than"]
    back = patchbay("adapters", "promote", "life", one[:19], *gate)
    assert back.returncode == 2
    assert "less is better; nothing was changed" in back.stderr
    assert shown(service)["live"] == two
    for wrong in (gate[:2] + gate[4:], (*gate, "--better-than", "alive")):
        assert patchbay("adapters", "promote", "life", one[:19], *wrong).returncode == 2


def test_a_storm_of_switches(service: Process, runs: dict[str, Path]) -> None:
    """Back and forth under load; `python -m bench.switch_storm` does it ten thousand times."""
    found = storm(service.url, runs["two"], runs["describe"], 300, users=8, every=0.5)
    assert (found["failed"], found["wrong_version"], found["wrong"]) == (0, 0, 0), found
    assert found["requests"] == 300
    assert found["switches"] > 2
    assert len(found["by_version"]) == 2
    assert found["under_way_at_a_switch"] > 0
    assert found["resident_afterwards"] == "the live version"


def test_the_engine_is_killed_under_load(service: Process, life: tuple[str, str]) -> None:
    """503 at once and with a time to come back, the registry answers meanwhile, and then the same names serve the same."""
    restarts = service.metric("patchbay_engine_restarts_total")
    told = len(service.log.read_text())
    seen: list[tuple[int, float, str]] = []
    over = threading.Event()

    def user(number: int) -> None:
        with httpx.Client(base_url=service.url, timeout=60) as http:
            while not over.is_set():
                began = time.monotonic()
                answer = http.post("/v1/completions", json={"model": "life", "prompt": str(number), "max_tokens": 8})
                made_by = answer.headers.get("X-Patchbay-Adapter", answer.headers.get("Retry-After", ""))
                seen.append((answer.status_code, time.monotonic() - began, made_by))
                time.sleep(0.02 if answer.status_code == 200 else 0.2)

    with ThreadPoolExecutor(5) as pool:
        users = [pool.submit(user, number) for number in range(4)]
        try:
            wait_for(lambda: sum(status == 200 for status, *_ in seen) > 20)
            service.client.call("POST", "/v1/adapters/given/unload")
            (engine, *_) = engines_of(service)
            engine.suspend()  # so that the load is under way when it dies
            loading = pool.submit(httpx.post, f"{service.url}/v1/adapters/given/load", timeout=60)
            time.sleep(0.3)
            engine.kill()
            assert loading.result().status_code == 503
            wait_for(lambda: any(status == 503 for status, *_ in seen))
            waits = []
            while httpx.get(f"{service.url}/ready", timeout=60).status_code != 200 and len(waits) < 2000:
                began = time.monotonic()
                assert len(service.client.call("GET", "/v1/adapters")["data"]) >= 1
                waits.append(time.monotonic() - began)
                time.sleep(0.1)
            answered = len(seen)
            wait_for(lambda: sum(status == 200 for status, *_ in seen[answered:]) > 8)
        finally:
            over.set()
    for done in users:
        done.result()
    answer = httpx.post(f"{service.url}/v1/completions", json={"model": "given", "prompt": "x", "max_tokens": 1}, timeout=60)
    assert answer.status_code == 200, "what was being loaded when it died can be loaded again"
    assert {status for status, *_ in seen} == {200, 503}
    assert {made_by for status, _, made_by in seen if status == 200} == {f"life@{life[0]}"}
    refused = [(seconds, retry) for status, seconds, retry in seen if status == 503]
    assert all(int(retry) > 0 for _, retry in refused)
    # At once: refusing is no work. Starting an engine takes both cores of a small machine, hence not the slowest.
    assert sorted(seconds for seconds, _ in refused)[len(refused) // 2] < 1.0
    assert len(waits) > 3
    assert sorted(waits)[len(waits) // 2] < 1.0
    assert service.metric("patchbay_engine_restarts_total") == restarts + 1
    # From the kill on: graphs that an older Patchbay left for the same base are rightly compiled anew at the first start.
    assert "Compiling model again" not in service.log.read_text()[told:], "the graphs of its first start are used again"


def test_what_a_kill_in_the_middle_of_an_upload_leaves(work: Path, runs: dict[str, Path]) -> None:
    """What was acknowledged is there again without a hand, the upload that was cut off is there whole or not at all; a start may end early."""
    home = work / "killed-upload"
    first = Process(home).ready()
    try:
        one = first.client.push(runs["one"], "route")["version"]
        first.client.call("PUT", "/v1/default", json={"adapter": "route"})
        two = Client(first.url)
        with ThreadPoolExecutor(1) as pool:
            under_way = pool.submit(two.push, runs["two"], "route", live=True)
            time.sleep(0.05)
            os.killpg(first.process.pid, signal.SIGKILL)
            was_acknowledged = under_way.exception() is None
    finally:
        first.process.wait(30)
    started = Process(home)
    wait_for(lambda: engines_of(started))
    (engine, *_) = engines_of(started)
    started.process.send_signal(signal.SIGTERM)
    assert started.process.wait(120) == 0
    wait_for(lambda: not engine.is_running())
    assert "ready: " not in started.log.read_text(), "it ended while its engine was being built"
    again = Process(home).ready()
    try:
        adapter = again.client.call("GET", "/v1/adapters/route")
        versions = {v["version"] for v in adapter["versions"]}
        assert one in versions
        assert adapter["live"] == (versions - {one} or {one}).pop()
        assert len(versions) == 2 or not was_acknowledged
        assert {f"sha256:{path.name}" for path in (home / "adapters" / "route").iterdir()} == versions
        assert list((home / "staging").iterdir()) == []
        answer = httpx.post(f"{again.url}/v1/completions", json={"model": "default", "prompt": "x", "max_tokens": 1}, timeout=60)
        assert answer.headers["X-Patchbay-Adapter"] == f"route@{adapter['live']}"
    finally:
        again.stop()
    assert again.process.returncode == 0


def engines_of(service: Process) -> list[psutil.Process]:
    """The engine's processes, as far as they have been started."""
    children = psutil.Process(service.process.pid).children(recursive=True)
    return [child for child in children if "EngineCore" in child.name() or "EngineCore" in "".join(child.cmdline())]


def wait_for(condition: Any, seconds: float = 120) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it did not come about in time"
        time.sleep(0.05)
