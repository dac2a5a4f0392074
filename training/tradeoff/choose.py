"""Which technique for what: a rule over the figures, stated beside what it chose."""

from typing import Any

from evaluation.scores import METRICS

Row = dict[str, Any]
# Points of the task's score (of 100) that a technique may lose, where only perplexity was scored per cent of that; and the
# share of the original's speed that production asks for. The record has them, so that a notebook can say the rule in its language.
LIMITS = {"points": 1.5, "speed": 0.9}
RULE = (
    "A technique counts when, with the adapter on, it loses at most {points} points of 100 of the task's score (of perplexity: gains at "
    "most {points} %) against the original on the same engine. Prototyping: of those, the fewest bytes of weights in memory, on any "
    "engine. Production: of those that vLLM serves at {speed} or more of the original's tokens a second, the fewest bytes on disk. "
    "Fast inference: of those, the most tokens a second with all streams, on any engine."
).format(**LIMITS)


def compared(rows: list[Row]) -> list[Row]:
    """The rows with `speed_up` by streams and `quality_loss` in points, each against the original on the same engine."""
    originals = {row["engine"]: row for row in rows if row["technique"] == "original"}
    return [row | _against(row, originals[row["engine"]]) for row in rows]


def _against(row: Row, original: Row) -> Row:
    speed = {n: round(rate / original["tokens_per_second"][n], 3) for n, rate in row["tokens_per_second"].items()}
    return {"speed_up": speed, "quality_loss": {name: _loss(name, row, original) for name in row["scores"]}}


def _loss(metric: str, row: Row, original: Row) -> float:
    """Points of 100 lost with the adapter on; of perplexity the per cent gained."""
    mine, theirs = (float(one["scores"][metric]["value"]) for one in (row, original))
    top = METRICS[metric].top
    return round(100 * (mine / theirs - 1) if top is None else 100 * (theirs - mine) / top, 3)


def choose(rows: list[Row]) -> dict[str, Row]:
    """For each use, the technique, its engine and the figures that decided; `rows` as `compared` gives them."""
    kept = [row for row in rows if _judged(row) <= LIMITS["points"]]
    most = max(rows[0]["tokens_per_second"], key=int)
    served = [row for row in kept if row["engine"].startswith("vLLM") and row["speed_up"][most] >= LIMITS["speed"]]
    found = {"prototyping": min(kept, key=lambda row: row["weights_bytes"])}
    if served:
        found["production"] = min(served, key=lambda row: row["disk_bytes"])
    found["fast_inference"] = max(kept, key=lambda row: row["tokens_per_second"][most])
    figures = ("technique", "engine", "weights_bytes", "disk_bytes")
    return {
        use: {**{name: row[name] for name in figures}, "tokens_per_second": row["tokens_per_second"][most], "loses": _judged(row)}
        for use, row in found.items()
    }


def _judged(row: Row) -> float:
    """The loss that decides: of the task's score, or of perplexity where there is no other."""
    tasks = [loss for metric, loss in row["quality_loss"].items() if metric != "perplexity"]
    return float(tasks[0] if tasks else row["quality_loss"]["perplexity"])
