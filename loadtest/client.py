"""What a load test asks of a service beside the load: a few calls over HTTP, with errors that say what was asked."""

import time
from pathlib import Path
from typing import Any

import httpx

from loadtest.errors import LoadTestError

_METRICS = {
    "adapter_loads": "patchbay_adapter_loads_total",
    "adapter_evictions": "patchbay_adapter_evictions_total",
    "adapter_switches": "patchbay_adapter_switches_total",
    "engine_restarts": "patchbay_engine_restarts_total",
    "memory_bytes": "patchbay_memory_bytes",
}


class Client:
    """A service at `url`; every error is a LoadTestError."""

    def __init__(self, url: str, key: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.url = url.rstrip("/")
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=120)

    def call(self, method: str, path: str, **request: Any) -> Any:
        """The answer's JSON, or None where it has none."""
        answer = self.answer(method, path, **request)
        if answer.status_code >= 400:
            raise LoadTestError(f"{method} {path}: {answer.status_code}: {_message(answer)}")
        return answer.json() if answer.content else None

    def answer(self, method: str, path: str, **request: Any) -> httpx.Response:
        """The answer, whatever it is."""
        try:
            return self._http.request(method, path, **request)
        except httpx.HTTPError as error:
            raise LoadTestError(f"{self.url} does not answer ({type(error).__name__}); is the service running?") from error

    def wait_ready(self, seconds: float = 300.0, may_be_silent: bool = False) -> float:
        """Seconds until requests for tokens are answered: a service that starts is waited for, with `may_be_silent` one that does not listen yet too."""
        began = time.monotonic()
        while not self._is_ready(may_be_silent):
            if time.monotonic() - began > seconds:
                raise LoadTestError(f"{self.url} is not ready after {seconds:.0f} s; its log says why")
            time.sleep(0.1)
        return time.monotonic() - began

    def _is_ready(self, may_be_silent: bool) -> bool:
        try:
            return self.answer("GET", "/ready").status_code == 200
        except LoadTestError:
            if may_be_silent:
                return False
            raise

    def push(self, name: str, files: dict[str, bytes]) -> str:
        """Uploads an adapter; its version."""
        parts = [("files", (file, content)) for file, content in files.items()]
        return str(self.call("POST", "/v1/adapters", data={"name": name}, files=parts)["version"])

    def complete(self, model: str, prompt: str, max_tokens: int) -> str:
        """The greedy completion, all its tokens written."""
        body = {"model": model, "prompt": prompt, "max_tokens": max_tokens, "temperature": 0, "ignore_eos": True}
        return str(self.call("POST", "/v1/completions", json=body)["choices"][0]["text"])

    def counters(self) -> dict[str, float] | None:
        """What the service counts itself; None where the key may not see it."""
        answer = self.answer("GET", "/metrics")
        if answer.status_code in (401, 403):
            return None
        sums = dict.fromkeys(_METRICS, 0.0)
        for line in answer.text.splitlines():
            name, _, value = line.rpartition(" ")
            for ours, theirs in _METRICS.items():
                if name.partition("{")[0] == theirs and 'part="device"' not in name:
                    sums[ours] += float(value)
        return sums

    def close(self) -> None:
        """Lets the connections go."""
        self._http.close()


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:200]


def adapter_files(folder: Path) -> dict[str, bytes]:
    """An adapter's config and weights, from its folder or from that of the run that trained it. Raises LoadTestError."""
    for place in (folder, folder / "adapter"):
        found = {name: place / name for name in ("adapter_config.json", "adapter_model.safetensors")}
        if all(path.is_file() for path in found.values()):
            return {name: path.read_bytes() for name, path in found.items()}
    raise LoadTestError(f"{folder} holds no adapter: adapter_config.json and adapter_model.safetensors are wanted there")
