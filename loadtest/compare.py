"""Two results of one scenario: what changed, and whether by more than either varies within itself."""

import json
import math
import statistics
from pathlib import Path
from typing import Any

from loadtest.errors import LoadTestError

FIGURES = (
    "requests_per_second",
    "tokens_per_second",
    "first_token_p50",
    "first_token_p95",
    "between_tokens_p50",
    "answer_p50",
    "answer_p95",
)
# Student's t, 97.5 %, by degrees of freedom.
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


def read(path: Path) -> dict[str, Any]:
    """A result that `--out` wrote. Raises LoadTestError."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LoadTestError(f"{path} is no result of a load test: {error}") from error
    if not isinstance(found, dict) or found.get("kind") != "loadtest" or "stretches" not in found:
        raise LoadTestError(f"{path} is no result of a load test with its course over time; run the scenario again with --out")
    return found


def compared(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    """For each figure both values, their ratio b/a, and the ratio of the paired stretches of time with its 95 % interval.

    Raises:
        LoadTestError: the scenarios are not the same one.
    """
    if a["scenario"]["digest"] != b["scenario"]["digest"]:
        raise LoadTestError(_difference(a["scenario"], b["scenario"]))
    figures = {name: _figure(a, b, name) for name in FIGURES}
    return {"scenario": a["scenario"]["name"], "figures": {name: found for name, found in figures.items() if found}}


def _difference(a: dict[str, Any], b: dict[str, Any]) -> str:
    names = [name for name in a if name != "digest" and a[name] != b.get(name)]
    return f"two scenarios cannot be compared: {', '.join(f'{n} is {a[n]!r} and {b.get(n)!r}' for n in names)[:400]}"


def _figure(a: dict[str, Any], b: dict[str, Any], name: str) -> dict[str, Any] | None:
    if not a["total"][name] or not b["total"][name]:
        return None
    pairs = zip(a["stretches"], b["stretches"], strict=False)
    logs = [math.log(right[name] / left[name]) for left, right in pairs if left[name] and right[name]]
    found: dict[str, Any] = {"a": a["total"][name], "b": b["total"][name], "ratio": round(b["total"][name] / a["total"][name], 4)}
    if len(logs) < 3:
        return found | {"paired": None, "low": None, "high": None, "differs": None}
    half = _T[len(logs) - 2] * statistics.stdev(logs) / math.sqrt(len(logs))
    middle = statistics.fmean(logs)
    low, high = math.exp(middle - half), math.exp(middle + half)
    return found | {
        "paired": round(math.exp(middle), 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "differs": not low <= 1 <= high,
    }


def lines(found: dict[str, Any]) -> list[str]:
    """As a person reads it."""
    shown = [f"{'figure':<22}{'A':>12}{'B':>12}{'B/A':>9}   paired, 95 % interval"]
    for name, f in found["figures"].items():
        if f["paired"] is None:
            said = "too short to say"
        else:
            said = (
                f"{f['paired']:.3f}  ({f['low']:.3f} to {f['high']:.3f})  {'differs' if f['differs'] else 'no difference shown'}"
            )
        shown.append(f"{name:<22}{f['a']:>12.4g}{f['b']:>12.4g}{f['ratio']:>9.3f}   {said}")
    return shown
