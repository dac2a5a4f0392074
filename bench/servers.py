"""Servers as a person starts them, each in a process of its own, on this machine's loopback."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from urllib.error import URLError

import psutil

_PATIENCE = 300.0


class Server:
    """A command that listens on `port` and answers `ready` when it can be asked; its output goes to a file."""

    def __init__(self, command: Sequence[str], port: int, ready: str, log: Path, environment: dict[str, str]) -> None:
        self.url, self._ready, self._log = f"http://127.0.0.1:{port}", ready, log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, **environment})

    def wait(self) -> "Server":
        """Returns when it is ready. Raises SystemExit with the end of its output when it ends instead."""
        ends = time.monotonic() + _PATIENCE
        while True:
            try:
                with urllib.request.urlopen(self.url + self._ready, timeout=5):
                    return self
            except (URLError, OSError):
                if self.process.poll() is not None or time.monotonic() > ends:
                    self.close()
                    raise SystemExit(f"{self.process.args!r} is not ready:\n{self._log.read_text()[-3000:]}") from None
                time.sleep(0.2)

    def bytes(self) -> int:
        """Proportional set size of all its processes."""
        main = psutil.Process(self.process.pid)
        return sum(process.memory_full_info().pss for process in (main, *main.children(recursive=True)))

    def close(self) -> None:
        """Asks it to end, and waits."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def patchbay(home: Path, log: Path, *options: str) -> Server:
    """`patchbay serve` on the embedded base."""
    port = free_port()
    command = [sys.executable, "-m", "patchbay", "serve", "--home", str(home), "--port", str(port), *options]
    return Server(command, port, "/ready", log, {})
