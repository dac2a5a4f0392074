"""What came of a load test: figures of the whole, of each traffic and model and over time, and whether they keep the limits."""

from collections.abc import Mapping
from typing import Any

from loadtest.scenario import Scenario, Traffic
from loadtest.tally import SLICES, Cell, Key, Tally

SCHEMA = 2
# Slices are drawn; what is compared between two results is this many stretches of them.
STRETCHES = 10


def summed(
    scenario: Scenario, url: str, tally: Tally, seconds: float, service: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """The result over `seconds`; `service` is what the service counted itself. Times are seconds."""
    seconds = max(seconds, 1e-3)
    asking = {t.name for t in scenario.traffic if t.asks}
    models = sorted({model for _, traffic, model in tally.cells if traffic in asking})
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "kind": "loadtest",
        "scenario": scenario.record() | {"digest": scenario.digest()},
        "url": url,
        "seconds": round(seconds, 2),
        "total": tally.total(lambda key: key[1] in asking).figures(seconds),
        "models": {model: _model(tally, asking, model).figures(seconds) for model in models},
        "traffic": {t.name: _traffic(t, scenario, tally, seconds) for t in scenario.traffic},
        "service": dict(service or {}),
        "over_time": _parts(scenario, tally, seconds, SLICES, asking),
        "stretches": _parts(scenario, tally, seconds, STRETCHES, asking),
        "messages": dict(tally.messages.most_common()),
    }
    result["total"]["operations_failed"] = tally.total(lambda key: key[1] not in asking).counts["failed"]
    broken = _broken(scenario, result)
    return result | {"passed": not broken, "verdict": _verdict(result, broken)}


def _model(tally: Tally, asking: set[str], model: str) -> Cell:
    return tally.total(lambda key: key[1] in asking and key[2] == model)


def _traffic(traffic: Traffic, scenario: Scenario, tally: Tally, seconds: float) -> dict[str, Any]:
    """Its figures over the time it ran; beside traffic that comes later, how much slower its first tokens were from then on."""
    found: dict[str, Any] = tally.total(lambda key: key[1] == traffic.name).figures(
        max(seconds - traffic.after * scenario.seconds, 1e-3)
    )
    later = min((t.after for t in scenario.traffic if t.after > traffic.after), default=None)
    if later is not None:
        first = int(later * SLICES)
        before = tally.total(lambda key: key[1] == traffic.name and key[0] < first).percentile("first", 95)
        since = tally.total(lambda key: key[1] == traffic.name and key[0] >= first).percentile("first", 95)
        if before and since:
            found["slowdown"] = round(since / before, 3)
    return {"kind": traffic.kind} | found


def _parts(scenario: Scenario, tally: Tally, seconds: float, number: int, asking: set[str]) -> list[dict[str, Any]]:
    """Figures of the tokens' traffic in equal parts of the scenario's time, as far as it ran."""
    width = scenario.seconds / number

    def within(part: int) -> Any:
        def wanted(key: Key) -> bool:
            return key[1] in asking and key[0] * number // SLICES == part

        return wanted

    ran = min(number, max(1, round(seconds / width)))
    return [{"at": round(part * width, 3), **tally.total(within(part)).figures(width)} for part in range(ran)]


def _broken(scenario: Scenario, result: dict[str, Any]) -> list[str]:
    found = []
    for name, limit in scenario.limits.items():
        value = _figure(result, name)
        if value is None or value > limit:
            found.append(f"{name} is {'not measured' if value is None else value}, at most {limit:g} passes")
    for name, limit in scenario.least.items():
        value = _figure(result, name)
        if value is None or value < limit:
            found.append(f"{name} is {'not measured' if value is None else value}, at least {limit:g} passes")
    return found


def _figure(result: dict[str, Any], name: str) -> float | None:
    part, _, figure = name.rpartition(".")
    place: Mapping[str, float] = (
        result["total"] if not part else result["service"] if part == "service" else result["traffic"].get(part, {})
    )
    return place.get(figure)


def _verdict(result: dict[str, Any], broken: list[str]) -> str:
    f = result["total"]
    said = (
        f"{f['requests']:,} requests, {f['failed']} failed, {f['wrong_adapter'] + f['wrong_content']} from the wrong adapter "
        f"({f['checked_content']:,} checked by their text too), "
        f"first token p99 {f['first_token_p99'] * 1000:.0f} ms"
    )
    return f"failed: {'; '.join(broken)} ({said})" if broken else f"passed: {said}"
