"""The real service on the embedded base, started as a person starts it, and a real adapter trained for it."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from openai import OpenAI

from service.client import Client
from tests.e2e.collector import Collector
from training.samples import write_samples

ROOT = Path(__file__).resolve().parents[2]
PATCHBAY = (sys.executable, str(ROOT / "patchbay.py"))


class Process:
    """`patchbay serve` in a process group of its own; its log in a file. The same slots everywhere: the engine then finds its graphs compiled."""

    def __init__(self, home: Path, *options: str) -> None:
        self.home, self.options = home, options
        self.log = home.parent / f"{home.name}-{time.monotonic_ns()}.log"
        with self.log.open("w") as log:
            command = [
                *PATCHBAY,
                "serve",
                "--home",
                str(home),
                "--port",
                "0",
                "--kv-cache-mib",
                "128",
                "--max-slots",
                "2",
                *options,
            ]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        self.url = self._url()
        self.client = Client(self.url)

    def _url(self) -> str:
        for _ in range(1200):
            for line in self.log.read_text().splitlines():
                if " answers; " in line:
                    return line.split(" ")[0]
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise AssertionError(f"the service did not begin to listen:\n{self.log.read_text()[-2000:]}")

    def ready(self) -> "Process":
        self.client.wait_ready(240)
        return self

    def openai(self) -> OpenAI:
        return OpenAI(base_url=f"{self.url}/v1", api_key="none", max_retries=0)

    def metric(self, line: str) -> float:
        text = httpx.get(f"{self.url}/metrics", timeout=60).text
        return next(float(found.rsplit(" ", 1)[1]) for found in text.splitlines() if found.startswith(line))

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(90)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test that asks for trained runs or a service waits for them too; on a machine that others share, for minutes."""
    for item in items:
        if item.get_closest_marker("e2e") is not None:
            item.add_marker(pytest.mark.timeout(1200))


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("e2e")


@pytest.fixture(scope="session")
def samples(work: Path) -> Path:
    write_samples(work / "data", 7)
    return work / "data"


def patchbay(*arguments: object) -> "subprocess.CompletedProcess[str]":
    """A command of ours, to its end."""
    return subprocess.run([*PATCHBAY, *map(str, arguments)], capture_output=True, text=True, timeout=400, cwd=ROOT)


def quantized(work: Path, method: str) -> Path:
    """The embedded base, quantized once in a session by the command line."""
    folder = work / method
    if not folder.exists():
        done = patchbay("quantize", "--base", "embedded", "--method", method, "--out", folder, "--json")
        assert done.returncode == 0, done.stderr[-2000:]
        sizes = json.loads(done.stdout)["weight_bytes"]
        assert sizes["after"] < sizes["before"]
    return folder


@pytest.fixture(scope="session")
def runs(work: Path, samples: Path) -> dict[str, Path]:
    """Two run folders, trained for a few steps by the command line: two versions of one task's adapter."""
    made = {}
    for name, task, steps in (("one", "route", 60), ("two", "route", 90), ("describe", "describe", 60)):
        out = work / "runs" / name
        done = patchbay("train", "--data", samples / task, "--out", out, "--max-steps", steps, "--evals", 1, "--rank", 8)
        assert done.returncode == 0, done.stderr[-2000:]
        made[name] = out
    return made


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    started = Collector()
    yield started
    started.stop()


@pytest.fixture(scope="session")
def service(work: Path, runs: dict[str, Path], collector: Collector) -> Iterator[Process]:
    observed = ("--otlp-endpoint", collector.endpoint, "--log-format", "json")
    process = Process(work / "home", "--adapter", f"given={runs['describe']}", *observed)
    try:
        answer = httpx.get(f"{process.url}/health", timeout=60)
        assert answer.status_code == 200, "it answers while the engine starts"
        assert answer.json()["engine"] == "starting"
        assert httpx.get(f"{process.url}/ready", timeout=60).status_code == 503
        yield process.ready()
    finally:
        process.stop()
