"""What a running service does, as figures: its adapters, and what its metrics say between two looks at them."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from service.client import Client

_REQUESTS = "patchbay_request_duration_seconds"
_FIRST = "patchbay_time_to_first_token_seconds"
Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Look:
    """The service at one moment; `samples` are its own metrics by name and labels."""

    at: float
    version: dict[str, Any]
    health: dict[str, Any]
    adapters: list[dict[str, Any]]
    samples: dict[tuple[str, Labels], float]

    def total(self, name: str, **wanted: str) -> float:
        """The sum of a series over all labels that are left open."""
        return sum(value for _, value in self.matching(name, **wanted))

    def matching(self, name: str, **wanted: str) -> Iterator[tuple[dict[str, str], float]]:
        """Every sample of that name whose labels are these."""
        for (found, labels), value in self.samples.items():
            as_dict = dict(labels)
            if found == name and wanted.items() <= as_dict.items():
                yield as_dict, value


def look(client: Client) -> Look:
    """Asks the service. Raises PatchbayError with what it said."""
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(client.call_text("/metrics"))
        if family.name.startswith("patchbay_")
        for sample in family.samples
    }
    adapters = client.call("GET", "/v1/adapters")["data"]
    return Look(time.monotonic(), client.call("GET", "/version"), client.call("GET", "/health"), adapters, samples)


def status(now: Look, before: Look | None) -> dict[str, Any]:
    """The figures as `patchbay status --json` prints them.

    Rates and quantiles are of the time between the two looks (`window_seconds`); with one look, quantiles are of
    everything since the service began, and rates are null. Times are seconds, sizes bytes.
    """
    base = now.version["base"]["id"]
    memory = {labels["part"]: int(value) for labels, value in now.matching("patchbay_memory_bytes")}
    return {
        "engine": now.health["engine"],
        "ready": now.health["ready"],
        "base": base,
        "window_seconds": round(now.at - before.at, 3) if before else None,
        **_figures(now, before),
        "restarts": int(now.total("patchbay_engine_restarts_total")),
        "memory": memory,
        "models": [
            {"name": base, "live": None, "versions": 0, "marks": [], "bytes": None, **_figures(now, before, adapter=base)},
            *(_adapter(found, now, before) for found in now.adapters),
        ],
    }


def _adapter(found: dict[str, Any], now: Look, before: Look | None) -> dict[str, Any]:
    name = found["name"]
    return {
        "name": name,
        "live": found["live"],
        "versions": len(found["versions"]),
        "marks": [mark for mark in ("default", "pinned", "resident") if found[mark]],
        "bytes": int(now.total("patchbay_adapter_bytes", adapter=name)),
        **_figures(now, before, adapter=name),
    }


def _figures(now: Look, before: Look | None, **wanted: str) -> dict[str, Any]:
    written = {"kind": "completion", **wanted}
    return {
        "requests": int(now.total(f"{_REQUESTS}_count", **wanted)),
        "requests_per_second": _rate(now, before, f"{_REQUESTS}_count", **wanted),
        "tokens_per_second": _rate(now, before, "patchbay_tokens_total", **written),
        "first_token_p50": quantile(0.5, now, before, _FIRST, **wanted),
        "first_token_p95": quantile(0.95, now, before, _FIRST, **wanted),
        "latency_p95": quantile(0.95, now, before, _REQUESTS, **wanted),
    }


def _rate(now: Look, before: Look | None, name: str, **wanted: str) -> float | None:
    if before is None or now.at <= before.at:
        return None
    return round((now.total(name, **wanted) - before.total(name, **wanted)) / (now.at - before.at), 3)


def quantile(q: float, now: Look, before: Look | None, name: str, **wanted: str) -> float | None:
    """A quantile of what a histogram observed between two looks, interpolated as Prometheus does; None where it was nothing."""
    counts: dict[float, float] = {}
    for sign, seen in ((1, now), (-1, before)):
        for labels, value in seen.matching(f"{name}_bucket", **wanted) if seen else ():
            bound = float(labels["le"])
            counts[bound] = counts.get(bound, 0.0) + sign * value
    rank = q * counts.get(float("inf"), 0.0)
    if rank <= 0:
        return None
    low, below = 0.0, 0.0
    for bound, count in sorted(counts.items()):
        if count >= rank:
            return low if bound == float("inf") else round(low + (bound - low) * (rank - below) / (count - below), 6)
        low, below = bound, count
    return low
