"""Metrics, rules, alerts and dashboard in a real Prometheus that scrapes a service on a fake engine."""

import asyncio
import json
import math
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
import yaml

from service.app import build_app
from service.metrics import Metrics
from service.runtime import Runtime
from service.settings import Settings
from tests.fakes import FakeEngine
from tests.makers import EMBEDDED, files_of, lora_config, write_adapter
from tests.prometheus import DEPLOY, Prometheus, program

PARTS = {"weights", "kv_cache", "adapters", "frontend", "engine"}


class ToldEngine(FakeEngine):
    """Tells of its requests as the real one does; `delay` is how long a request waits for its turn."""

    def __init__(self, observer: Metrics) -> None:
        super().__init__()
        self.observer, self.delay = observer, 0.0
        self.may_start = threading.Event()
        self.may_start.set()

    async def start(self) -> None:
        while not self.may_start.is_set():
            await asyncio.sleep(0.05)
        await super().start()

    async def complete(self, prompt: Any, version: Any, max_tokens: int) -> Any:
        began = time.monotonic()
        await asyncio.sleep(self.delay)
        made = await super().complete(prompt, version, max_tokens)
        waited, name = time.monotonic() - began, version.name if version else None
        self.observer.first_token(name, waited, waited)
        self.observer.next_tokens(name, 0.002, 3)
        self.observer.finished(name, 5, 4)
        return made


class Running:
    """A service in a thread, listening on a real port."""

    def __init__(self, home: Path) -> None:
        self.engines: list[ToldEngine] = []
        self.runtime = Runtime(Settings(base="embedded", home=home), EMBEDDED, self._engine)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.target = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.http = httpx.Client(base_url=f"http://{self.target}", timeout=60)
        self.server = uvicorn.Server(uvicorn.Config(build_app(self.runtime), log_config=None, access_log=False))
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        ends = time.monotonic() + 30
        while self.http.get("/ready").status_code != 200:
            assert time.monotonic() < ends
            time.sleep(0.05)

    def _engine(self, base: Any, settings: Any, observer: Metrics) -> ToldEngine:
        self.engines.append(ToldEngine(observer))
        return self.engines[-1]

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        await self.server.serve(sockets=[self.listener])

    @property
    def engine(self) -> ToldEngine:
        return self.engines[0]

    def ask(self, model: str) -> int:
        return self.http.post("/v1/completions", json={"model": model, "prompt": "x"}).status_code

    def upload(self, folder: Path, name: str) -> httpx.Response:
        files = [("files", item) for item in files_of(folder).items()]
        return self.http.post("/v1/adapters", data={"name": name}, files=files)

    def evaluate(self, model: str, answer: str) -> None:
        asked = {"model": model, "rows": [{"prompt": "x", "completion": answer}] * 2, "metrics": ["accuracy"]}
        made = self.http.post("/v1/evaluations", json=asked).json()
        ends = time.monotonic() + 30
        while self.http.get(f"/v1/evaluations/{made['id']}").json()["status"] != "completed":
            assert time.monotonic() < ends
            time.sleep(0.05)

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(30)
        self.http.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("service")
    service = Running(folder / "home")
    for name, seed in (("a", 1), ("idle", 2)):
        assert service.upload(write_adapter(folder / name, seed=seed), name).status_code == 201
    yield service
    service.stop()


@pytest.fixture(scope="module")
def prometheus(running: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    started = Prometheus(tmp_path_factory.mktemp("prometheus"), running.target)
    yield started
    started.stop()


def test_promtool_has_nothing_to_say(running: Running) -> None:
    for model in ("a", "embedded"):
        assert running.ask(model) == 200
    page = running.http.get("/metrics").text
    ours = "".join(
        line + "\n" for line in page.splitlines() if line.removeprefix("# HELP ").removeprefix("# TYPE ").startswith("patchbay_")
    )
    done = subprocess.run([program("promtool"), "check", "metrics"], input=ours, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    for rules in ("rules.yml",):
        assert (
            subprocess.run([program("promtool"), "check", "rules", DEPLOY / rules], capture_output=True, check=False).returncode
            == 0
        )
    assert (
        subprocess.run(
            [program("promtool"), "check", "config", DEPLOY / "prometheus.yml"], capture_output=True, check=False
        ).returncode
        == 0
    )


def test_labels_are_known_ones_and_those_always(running: Running, prometheus: Prometheus) -> None:
    running.ask("nobody")
    running.ask("a@123456")
    prometheus.until('patchbay_request_duration_seconds_count{status="404"} > 0')
    for family in ("time_to_first_token_seconds_count", "tokens_total", "adapter_loads_total", "request_duration_seconds_count"):
        assert {s["adapter"] for s in prometheus.query(f"patchbay_{family}")} == {"a", "idle", "embedded"}
    assert {s["adapter"] for s in prometheus.query("patchbay_adapter_resident")} == {"a", "idle"}
    assert {s["part"] for s in prometheus.query("patchbay_memory_bytes")} == PARTS
    assert {s["status"] for s in prometheus.query("patchbay_request_duration_seconds_count")} <= {"200", "404"}


def test_each_query_of_the_dashboard_gives_data(running: Running, prometheus: Prometheus) -> None:
    running.evaluate("a", "no")
    for _ in range(20):
        running.ask("a")
    running.http.post("/v1/adapters/idle/unload")
    running.http.post("/v1/adapters/idle/load")
    prometheus.until("increase(patchbay_adapter_load_seconds_count[1m]) > 0")
    prometheus.until('increase(patchbay_request_duration_seconds_count{adapter="a",status="200"}[1m]) > 0')
    prometheus.until("patchbay_evaluation_score")
    dashboard = json.loads((DEPLOY / "grafana/dashboards/patchbay.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(queries) >= 12
    for query in queries:
        assert any(not math.isnan(found["value"]) for found in prometheus.query(query)), query


def test_each_alert_is_raised_by_its_cause(running: Running, prometheus: Prometheus, tmp_path: Path) -> None:
    version = running.http.get("/v1/adapters/a").json()["live"]
    running.evaluate("a", f"a@{version}")
    prometheus.until('patchbay_evaluation_score{adapter="a"} == 1')
    alerts = {
        rule["alert"]
        for group in yaml.safe_load((DEPLOY / "rules.yml").read_text())["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    assert prometheus.firing() == set()

    def raised(*names: str) -> None:
        for name in names:
            prometheus.until(f'ALERTS{{alertname="{name}",alertstate="firing"}}')
            alerts.remove(name)

    running.evaluate("a", "something else")
    assert running.upload(write_adapter(tmp_path / "bad", config=lora_config(use_dora=True)), "bad").status_code == 422
    limit, used = running.runtime._memory_limit, sum(s["value"] for s in prometheus.query("patchbay_memory_bytes"))
    running.runtime._memory_limit = int(used)
    raised("PatchbayScoreRegressed", "PatchbayAdapterRefused", "PatchbayMemoryNearLimit")
    running.runtime._memory_limit = limit

    running.engine.delay = 6.0
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(running.ask, ["a"] * 8)) == {200}
    running.engine.delay = 0.0
    raised("PatchbayFirstTokenSlow", "PatchbayQueueLong")

    running.engine.may_start.clear()
    running.loop.call_soon_threadsafe(running.engine.die)
    ends = time.monotonic() + 60
    while "PatchbayErrors" not in prometheus.firing():
        assert time.monotonic() < ends
        running.ask("a")
        time.sleep(0.1)
    raised("PatchbayErrors", "PatchbayEngineDown")
    running.engine.may_start.set()
    raised("PatchbayEngineRestarted")
    assert alerts == set()
