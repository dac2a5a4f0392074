"""`patchbay status`, and `--json` of the commands beside it, against a service that runs."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from typer.testing import CliRunner

from patchbay import app
from service.status import Look, look, status
from tests.served import Site

PATCHBAY = (sys.executable, str(Path(__file__).resolve().parents[2] / "patchbay.py"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("status")
    with Site(folder / "home") as site:
        site.upload("route", folder / "route", seed=1)
        for _ in range(3):
            httpx.post(f"{site.url}/v1/completions", json={"model": "route", "prompt": "x"}, timeout=60).raise_for_status()
        yield site


def patchbay(site: Site, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PATCHBAY, *arguments, "--url", site.url], capture_output=True, text=True, timeout=60)


class Terminal:
    """The command in a terminal of its own, 100 columns wide."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.master, slave = pty.openpty()
        environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40", **environment}
        self.process = subprocess.Popen(
            [*PATCHBAY, *arguments], stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        os.close(slave)
        self.seen = ""

    def read(self, until: str | None = None) -> str:
        """What it writes until that text is there, or until it ends."""
        ends = time.monotonic() + 30
        while (until is None or until not in self.seen) and time.monotonic() < ends:
            if select.select([self.master], [], [], 0.1)[0]:
                try:
                    self.seen += os.read(self.master, 65536).decode()
                except OSError:  # how Linux says that the other end is closed
                    break
        assert until is None or until in self.seen, self.seen
        return self.seen

    def interrupt(self) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        self.read()
        try:
            return self.process.wait(10)
        finally:
            self.process.kill()


def test_it_is_printed_once_where_there_is_no_terminal(site: Site) -> None:
    done = patchbay(site, "status")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"route +[0-9a-f]{12} +3 ", done.stdout)
    for text in ("embedded", "ready", "resident", "kv cache", "frontend", "since it began"):
        assert text in done.stdout
    assert "\x1b" not in done.stdout


def test_it_lives_in_a_terminal_and_leaves_cleanly(site: Site) -> None:
    terminal = Terminal("status", "--url", site.url, "--every", "0.2")
    terminal.read("since it began")
    httpx.post(f"{site.url}/v1/completions", json={"model": "route", "prompt": "x"}, timeout=60).raise_for_status()
    terminal.read("over ")
    assert "\x1b[?1049h" in terminal.seen
    assert terminal.interrupt() == 0
    assert terminal.seen.rstrip().endswith("\x1b[?25h") or "\x1b[?1049l" in terminal.seen[-200:]
    assert "Traceback" not in terminal.seen


def test_a_service_that_went_away_is_shown_and_the_view_stays(site: Site) -> None:
    terminal = Terminal("status", "--url", "http://127.0.0.1:9", "--every", "0.2")
    terminal.read("nothing answers")
    assert terminal.interrupt() == 0


def test_colours_only_where_they_are_wanted(site: Site) -> None:
    assert "\x1b[32mready" in Terminal("status", "--once", "--url", site.url).read()
    assert "\x1b[32m" not in Terminal("status", "--once", "--url", site.url, NO_COLOR="1").read()
    wrong = ("adapters", "show", "none", "--url", site.url)
    assert "\x1b[31merror:" in Terminal(*wrong).read()
    assert "\x1b[31m" not in Terminal(*wrong, NO_COLOR="1").read()
    assert "\x1b" not in patchbay(site, "adapters", "show", "none").stderr


def test_json_of_every_command_that_a_script_would_read(site: Site, tmp_path: Path) -> None:
    def read(*arguments: str) -> Any:
        done = CliRunner().invoke(app, [*arguments, "--json", "--url", site.url], prog_name="patchbay")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    found = read("status")
    assert (found["engine"], found["base"], found["window_seconds"]) == ("ready", "embedded", None)
    route = next(model for model in found["models"] if model["name"] == "route")
    assert route["requests"] >= 3
    assert route["marks"] == ["resident"]
    assert route["latency_p95"] > 0
    two = site.upload("other", tmp_path / "one", seed=2), site.upload("other", tmp_path / "two", seed=3)
    assert [a["name"] for a in read("adapters", "list")["data"]] == ["other", "route"]
    assert read("adapters", "promote", "other", two[1])["live"] == two[1]
    assert read("adapters", "rollback", "other")["live"] == two[0]
    assert read("adapters", "show", "other")["events"][0]["to"] == two[0]
    assert read("adapters", "default", "other") == {"object": "default", "adapter": "other"}
    assert read("adapters", "default", "--base")["adapter"] is None
    assert read("adapters", "push", str(tmp_path / "two"), "--name", "other")["version"] == two[1]
    assert read("adapters", "delete", "other", "--version", two[1]) == {"name": "other", "version": two[1], "deleted": True}
    assert read("adapters", "delete", "other") == {"name": "other", "version": None, "deleted": True}


class Scraped:
    """A client of a service with these metrics."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("adapter", "route", "status")
        self.seconds = Histogram(
            "patchbay_request_duration_seconds", "x", labels, buckets=(0.1, 0.2, 0.4), registry=self.registry
        )
        self.tokens = Counter("patchbay_tokens_total", "x", ("adapter", "kind"), registry=self.registry)

    def call_text(self, path: str) -> str:
        return generate_latest(self.registry).decode()

    def call(self, method: str, path: str) -> Any:
        return {
            "/v1/adapters": {"data": []},
            "/version": {"base": {"id": "b"}},
            "/health": {"engine": "ready", "ready": True},
        }[path]

    def answer(self, *seconds: float) -> None:
        for each in seconds:
            self.seconds.labels("b", "/v1/completions", "200").observe(each)
            self.tokens.labels("b", "completion").inc(10)


def at(moment: float, seen: Look) -> Look:
    return Look(moment, seen.version, seen.health, seen.adapters, seen.samples)


def test_rates_and_quantiles_are_of_the_time_between_two_looks() -> None:
    service = Scraped()
    service.answer(0.15)
    before = at(0.0, look(service))  # type: ignore[arg-type]
    assert status(before, None)["requests_per_second"] is None
    service.answer(0.05, 0.15, 0.15, 0.3)
    found = status(at(2.0, look(service)), before)  # type: ignore[arg-type]
    assert (found["requests"], found["requests_per_second"], found["tokens_per_second"]) == (5, 2.0, 20.0)
    # Four new: the 95th percentile lies 0.8 of the way from 0.2 to 0.4.
    assert found["latency_p95"] == found["models"][0]["latency_p95"] == pytest.approx(0.36)
    assert found["first_token_p95"] is None
