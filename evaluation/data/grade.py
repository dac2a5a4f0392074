"""A quality grade from the figures of a check, by rules that are printed with it."""

from collections.abc import Iterator
from typing import Any

from evaluation.data.show import percent

RULE = "100 points less those of each reason; A from 90, B from 75, C from 60, D from 40, F below or where nothing can be used"
GRADES = (("A", 90), ("B", 75), ("C", 60), ("D", 40), ("F", 0))
_FEW, _VERY_FEW = 500, 100
# What a reason says, by its name; a notebook in another language has its own words for the same names and values.
REASONS = {
    "flawed": "{split}: {malformed} malformed and {empty} empty of {total} rows",
    "overlong": "{split}: {share} of the rows are longer than the base's {limit} tokens",
    "exact": "{split}: {share} of the rows repeat another exactly",
    "near": "{split}: {share} more repeat another nearly",
    "mixed": "{split}: mixes {kinds} rows",
    "one_label": "{split}: every row has the same label",
    "uneven": "{split}: labels are uneven (entropy {evenness} of its maximum)",
    "few": "{split}: {rows} rows are few to train on",
    "seen_exact": "{share} of the {scored} rows stand in {seen} exactly",
    "seen_near": "{share} more of the {scored} rows stand in {seen} nearly",
    "seen_asked": "{share} more of the {scored} rows stand in {seen} with another answer",
    "unseen_labels": "{scored}: {labels} label(s) that {seen} does not have",
}

# Points lost, the reason's name, and its values; "share" is a share of 1.
Reason = tuple[float, str, dict[str, Any]]


def grade(report: dict[str, Any]) -> dict[str, Any]:
    """{"grade","points","reasons":[{"points","what","values","reason"}],"rule"}; `report` has the check's "splits" and "overlap"."""
    reasons = [reason for name, split in report["splits"].items() for reason in _of_split(name, split)]
    reasons += _of_size(report["splits"])
    reasons += [reason for pair in report["overlap"] for reason in _of_overlap(pair)]
    found = sorted((reason for reason in reasons if reason[0] >= 0.05), key=lambda reason: reason[0], reverse=True)
    left = max(0.0, round(100 - sum(points for points, _, _ in reasons), 1))
    usable = any(split["rows"]["usable"] for split in report["splits"].values())
    letter = next(name for name, least in GRADES if left >= least) if usable else "F"
    return {"grade": letter, "points": left if usable else 0.0, "reasons": [_said(*reason) for reason in found], "rule": RULE}


def _said(points: float, what: str, values: dict[str, Any]) -> dict[str, Any]:
    shown = values | ({"share": percent(values["share"])} if "share" in values else {})
    return {"points": -round(points, 1), "what": what, "values": values, "reason": REASONS[what].format(**shown)}


def at_least(found: str, wanted: str) -> bool:
    """Whether a grade is as good as another."""
    order = [name for name, _ in GRADES]
    return order.index(found) <= order.index(wanted)


def _of_split(name: str, split: dict[str, Any]) -> Iterator[Reason]:
    rows = split["rows"]
    if rows["total"]:
        counts = {kind: rows[kind] for kind in ("malformed", "empty", "total")}
        yield min(40.0, 200 * (rows["malformed"] + rows["empty"]) / rows["total"]), "flawed", {"split": name, **counts}
    if not rows["usable"]:
        return
    over, limit = split["tokens"]["share_over"], split["tokens"]["limit"]
    yield min(20.0, 100 * over), "overlong", {"split": name, "share": over, "limit": limit}
    exact, near = split["duplicates"]["exact"]["share"], split["duplicates"]["near"]["share"]
    yield min(20.0, 100 * exact), "exact", {"split": name, "share": exact}
    yield min(10.0, 50 * (near - exact)), "near", {"split": name, "share": near - exact}
    if len(split["kinds"]) > 1:
        yield 5.0, "mixed", {"split": name, "kinds": ", ".join(split["kinds"])}
    labels = split["labels"]
    if labels and labels["labels"] == 1:
        yield 20.0, "one_label", {"split": name}
    elif labels and labels["evenness"] < 0.9:
        yield min(15.0, 50 * (0.9 - labels["evenness"])), "uneven", {"split": name, "evenness": round(labels["evenness"], 2)}


def _of_size(splits: dict[str, Any]) -> Iterator[Reason]:
    name, rows = max(((name, split["rows"]["usable"]) for name, split in splits.items()), key=lambda found: found[1])
    if rows < _FEW:
        yield 15.0 if rows < _VERY_FEW else 5.0, "few", {"split": name, "rows": rows}


def _of_overlap(pair: dict[str, Any]) -> Iterator[Reason]:
    between = {"scored": pair["scored"], "seen": pair["seen"]}
    exact, near = pair["exact"]["share"], pair["near"]["share"]
    asked = max(0.0, pair["question"]["share"] - exact)
    yield min(30.0, 300 * exact), "seen_exact", {"share": exact, **between}
    yield min(15.0, 150 * (near - exact)), "seen_near", {"share": near - exact, **between}
    yield min(15.0, 100 * asked), "seen_asked", {"share": asked, **between}
    if pair["unseen_labels"]:
        yield 10.0, "unseen_labels", {"labels": len(pair["unseen_labels"]), **between}
