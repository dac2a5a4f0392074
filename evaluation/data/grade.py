"""A quality grade from the figures of a check, by rules that are printed with it."""

from collections.abc import Iterator
from typing import Any

from evaluation.data.show import percent

RULE = "100 points less those of each reason; A from 90, B from 75, C from 60, D from 40, F below or where nothing can be used"
GRADES = (("A", 90), ("B", 75), ("C", 60), ("D", 40), ("F", 0))
_FEW, _VERY_FEW = 500, 100

Reason = tuple[float, str]


def grade(report: dict[str, Any]) -> dict[str, Any]:
    """{"grade","points","reasons":[{"points","reason"}],"rule"}; `report` has the check's "splits" and "overlap"."""
    reasons = [reason for name, split in report["splits"].items() for reason in _of_split(name, split)]
    reasons += _of_size(report["splits"])
    reasons += [reason for pair in report["overlap"] for reason in _of_overlap(pair)]
    found = [{"points": -round(points, 1), "reason": text} for points, text in sorted(reasons, reverse=True) if points >= 0.05]
    left = max(0.0, round(100 - sum(points for points, _ in reasons), 1))
    usable = any(split["rows"]["usable"] for split in report["splits"].values())
    letter = next(name for name, least in GRADES if left >= least) if usable else "F"
    return {"grade": letter, "points": left if usable else 0.0, "reasons": found, "rule": RULE}


def at_least(found: str, wanted: str) -> bool:
    """Whether a grade is as good as another."""
    order = [name for name, _ in GRADES]
    return order.index(found) <= order.index(wanted)


def _of_split(name: str, split: dict[str, Any]) -> Iterator[Reason]:
    rows = split["rows"]
    if rows["total"]:
        bad = (rows["malformed"] + rows["empty"]) / rows["total"]
        yield min(40.0, 200 * bad), f"{name}: {rows['malformed']} malformed and {rows['empty']} empty of {rows['total']} rows"
    if not rows["usable"]:
        return
    over = split["tokens"]["share_over"]
    yield (
        min(20.0, 100 * over),
        f"{name}: {percent(over)} of the rows are longer than the base's {split['tokens']['limit']} tokens",
    )
    exact, near = split["duplicates"]["exact"]["share"], split["duplicates"]["near"]["share"]
    yield min(20.0, 100 * exact), f"{name}: {percent(exact)} of the rows repeat another exactly"
    yield min(10.0, 50 * (near - exact)), f"{name}: {percent(near - exact)} more repeat another nearly"
    if len(split["kinds"]) > 1:
        yield 5.0, f"{name}: mixes {' and '.join(split['kinds'])} rows"
    labels = split["labels"]
    if labels and labels["labels"] == 1:
        yield 20.0, f"{name}: every row has the same label"
    elif labels and labels["evenness"] < 0.9:
        points = min(15.0, 50 * (0.9 - labels["evenness"]))
        yield points, f"{name}: labels are uneven (entropy {labels['evenness']:.2f} of its maximum)"


def _of_size(splits: dict[str, Any]) -> Iterator[Reason]:
    name, rows = max(((name, split["rows"]["usable"]) for name, split in splits.items()), key=lambda found: found[1])
    if rows < _FEW:
        yield 15.0 if rows < _VERY_FEW else 5.0, f"{name}: {rows} rows are few to train on"


def _of_overlap(pair: dict[str, Any]) -> Iterator[Reason]:
    between = f"{pair['scored']} rows stand in {pair['seen']}"
    exact, near = pair["exact"]["share"], pair["near"]["share"]
    yield min(30.0, 300 * exact), f"{percent(exact)} of the {between} exactly"
    yield min(15.0, 150 * (near - exact)), f"{percent(near - exact)} more of the {between} nearly"
    asked = pair["question"]["share"] - exact
    yield min(15.0, 100 * max(0.0, asked)), f"{percent(asked)} more of the {between} with another answer"
    if pair["unseen_labels"]:
        yield 10.0, f"{pair['scored']}: {len(pair['unseen_labels'])} label(s) that {pair['seen']} does not have"
