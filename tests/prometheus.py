"""A Prometheus of the tests' own: on a folder of its own, scraping and judging several times a second."""

import re
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx

DEPLOY = Path(__file__).resolve().parent.parent / "deploy"
# The rules as they are, over seconds instead of minutes.
_SHORTER = (("[5m]", "[4s]"), ("[15m]", "[60s]"), ("[7d]", "[10m]"), ("interval: 15s", "interval: 250ms"))


def program(name: str) -> str:
    """One of Prometheus's programs."""
    found = shutil.which(name)
    if found is None:
        raise AssertionError(f"{name} is not on this machine; scripts/prometheus installs it")
    return found


class Prometheus:
    """Scrapes `target` (host:port) with the rules of deploy/."""

    def __init__(self, folder: Path, target: str) -> None:
        rules = (DEPLOY / "rules.yml").read_text()
        for long, short in _SHORTER:
            rules = rules.replace(long, short)
        (folder / "rules.yml").write_text(re.sub(r"for: \d+m", "for: 1s", rules))
        config = (DEPLOY / "prometheus.yml").read_text().replace("127.0.0.1:8000", target)
        (folder / "prometheus.yml").write_text(config.replace("scrape_interval: 5s", "scrape_interval: 500ms"))
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        self.url = f"http://{address}"
        options = [
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address={address}",
        ]
        self.log = folder / "log"
        self.process = subprocess.Popen([program("prometheus"), *options], stderr=self.log.open("w"), stdout=subprocess.DEVNULL)
        try:
            self.until("up == 1")
        except BaseException:  # nobody has it yet who could stop it
            self.stop()
            raise

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What an expression gives now: labels and a value each; nothing while the server starts."""
        response = httpx.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=60)
        if response.status_code == 503:
            return []
        answer = response.json()
        assert answer["status"] == "success", answer
        return [{**found["metric"], "value": float(found["value"][1])} for found in answer["data"]["result"]]

    def until(self, expression: str, seconds: float = 60) -> list[dict[str, Any]]:
        """Waits until an expression gives something."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if found := self.query(expression):
                    return found
            except httpx.TransportError:
                pass  # it is not listening yet
            time.sleep(0.1)
        raise AssertionError(f"{expression} stayed empty for {seconds} s")

    def firing(self) -> set[str]:
        """Alerts that are raised."""
        return {alert["alertname"] for alert in self.query('ALERTS{alertstate="firing"}')}

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)
