"""What the real service tells of itself: memory that adds up, its metrics in a real Prometheus, its log, its traces."""

import json
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from adapters.base import describe_base, resolve_base
from tests.e2e.collector import Collector
from tests.e2e.conftest import Process
from tests.prometheus import Prometheus

pytestmark = pytest.mark.e2e
PARTS = ("weights", "kv_cache", "adapters", "frontend", "engine")
MIB = 2**20


def memory(service: Process) -> dict[str, float]:
    return {part: service.metric(f'patchbay_memory_bytes{{part="{part}"}}') for part in PARTS}


def resident(service: Process) -> int:
    """What the system says of the whole tree, shared pages counted once."""
    root = psutil.Process(service.process.pid)
    return sum(process.memory_full_info().pss for process in [root, *root.children(recursive=True)])


def ask(service: Process, model: str, **headers: str) -> httpx.Response:
    body = {"model": model, "prompt": "count to a hundred: one two", "max_tokens": 200, "ignore_eos": True}
    return httpx.post(f"{service.url}/v1/completions", json=body, headers=headers, timeout=60)


def test_memory_adds_up(service: Process) -> None:
    assert ask(service, "given").status_code == 200
    time.sleep(6)  # the worker is asked every five seconds
    parts, whole = memory(service), resident(service)
    assert abs(sum(parts.values()) - whole) < 0.1 * whole, (parts, whole)
    stored = sum(path.stat().st_size for path in describe_base(resolve_base("embedded")).path.glob("*.safetensors"))
    # Twice what is stored where the processor has no bfloat16 products, and the engine computes in float32.
    assert 0.9 * stored < parts["weights"] < 2.5 * stored
    assert 0 < parts["kv_cache"] <= 129 * MIB
    assert 0 < parts["adapters"] < 40 * MIB
    assert parts["engine"] > 100 * MIB
    assert parts["frontend"] > 100 * MIB
    assert service.metric("patchbay_memory_limit_bytes") >= whole


def test_the_engine_is_one_process(service: Process) -> None:
    names = [child.name() for child in psutil.Process(service.process.pid).children(recursive=True)]
    assert [name for name in names if "VLLM" in name] == ["VLLM::EngineCore"]


def test_a_real_prometheus_reads_ours_and_the_engines_own(service: Process, tmp_path: Path) -> None:
    prometheus = Prometheus(tmp_path, service.url.removeprefix("http://"))
    try:
        ask(service, "given")
        assert prometheus.until('increase(patchbay_tokens_total{adapter="given",kind="completion"}[30s]) > 0')
        assert prometheus.until("vllm:kv_cache_usage_perc")
        assert {found["part"] for found in prometheus.query("patchbay_memory_bytes")} == set(PARTS)
        assert prometheus.until("instance:patchbay_memory:ratio")[0]["value"] > 0
    finally:
        prometheus.stop()


def the_line_of(request_id: str, service: Process) -> dict[str, Any]:
    """What the log says of a request: it is written when the answer has gone out, so it may come a moment later."""
    ends = time.monotonic() + 20
    while True:
        lines = [json.loads(line) for line in service.log.read_text().splitlines() if line.startswith("{") and line.endswith("}")]
        if found := [line for line in lines if line.get("request_id") == request_id]:
            return found[0]
        assert time.monotonic() < ends, service.log.read_text()[-2000:]
        time.sleep(0.1)


def test_a_request_is_in_the_log_and_in_the_traces(service: Process, collector: Collector) -> None:
    answer = ask(service, "given", **{"X-Request-Id": "traced-1"})
    assert answer.headers["X-Request-Id"] == "traced-1"
    logged = the_line_of("traced-1", service)
    assert logged["adapter"] == answer.headers["X-Patchbay-Adapter"]
    assert "count to a hundred" not in service.log.read_text()
    ends = time.monotonic() + 20
    while not any("traced-1" in str(span.attributes) for span in collector.spans):
        assert time.monotonic() < ends, [span.name for span in collector.spans]
        time.sleep(0.2)
