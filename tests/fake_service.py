"""`patchbay serve` on the fake engine, in a process of its own that can be killed as any process can."""

import multiprocessing
import os
import resource
import socket
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from service.cli import run
from service.settings import Settings
from tests.fakes import FakeEngine

# A server that has imported everything already and forks: a start then costs milliseconds. What it forks is a process
# of its own all the same.
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["tests.fake_service", "service.app", "service.runtime", "uvicorn"])


def serve(home: Path, port: int, log: Path, largest_file: int | None, settings: dict[str, Any]) -> None:
    """What the process does."""
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    with log.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 (for as long as the process lives)
    run(Settings(base="embedded", home=home, port=port, **settings), lambda base, settings, observer: FakeEngine(observer))


class FakeService:
    """A running one; its log lies beside the home. `largest_file` is how many bytes a file of its may have."""

    def __init__(self, home: Path, *, largest_file: int | None = None, **settings: Any) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.log = home.with_name(f"{home.name}.log")
        self.process = _SERVER.Process(target=serve, args=(home, port, self.log, largest_file, settings), daemon=True)
        self.process.start()
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)

    def ready(self) -> "FakeService":
        """When requests are answered."""
        ends = time.monotonic() + 60
        while time.monotonic() < ends and self.process.is_alive():
            try:
                if self.http.get("/ready").status_code == 200:
                    return self
            except httpx.TransportError:
                pass
            time.sleep(0.01)
        raise AssertionError(f"the service did not become ready:\n{self.log.read_text()[-2000:]}")

    def kill(self) -> None:
        """SIGKILL, and the end of it."""
        self.process.kill()
        self.process.join()
        self.http.close()
