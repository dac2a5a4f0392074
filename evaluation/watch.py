"""`patchbay evaluate --watch`: every finished run is scored once, kept, and held against those before it."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.errors import PatchbayError
from evaluation.data.write import rows_digest
from evaluation.evaluate import plan
from evaluation.history import History
from evaluation.report import Plan, Report, now, rounded
from evaluation.rows import load_rows
from evaluation.runs import Run, finished_runs
from evaluation.scores import METRICS, Counts
from evaluation.significance import ALPHA, paired

SCHEMA = 1
Score = Callable[[Run, Plan], Report]
Entry = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """How runs are scored: on `data`, or each on the test rows of its own."""

    data: Path | None
    metrics: tuple[str, ...]
    max_tokens: int
    limit: int | None
    seed: int

    def plan_of(self, run: Run) -> Plan:
        """Raises what reading the rows raises."""
        rows = load_rows(self.data or run.test_rows())
        return plan(rows, self.metrics, max_tokens=self.max_tokens, limit=self.limit, seed=self.seed)


def watch(root: Path, history: History, asked: Asked, score: Score) -> Iterator[Entry | tuple[Run, PatchbayError]]:
    """Scores the runs that the history does not have yet, and yields each new entry, or the run with what kept it from being scored.

    Raises NotFound where there is no such folder, Conflict while another process adds to the history.
    """
    # Before the history, which makes the folder that it lies in.
    runs = finished_runs(root)
    with history.held():
        for run in runs:
            try:
                found = _score(run, history, asked, score)
            except PatchbayError as error:
                yield run, error
            else:
                if found is not None:
                    yield found


def _score(run: Run, history: History, asked: Asked, score: Score) -> Entry | None:
    prepared = asked.plan_of(run)
    digest, items = run.digest(), _items_key(prepared)
    alike = [entry for entry in history.entries() if entry["items"] == items]
    if any(entry["digest"] == digest for entry in alike):
        return None
    report = score(run, prepared)
    body = {key: value for key, value in report.to_json().items() if key != "cases"}
    entry = body | {
        "schema": SCHEMA,
        "kind": "evaluation",
        "id": hashlib.sha256(f"{digest} {items}".encode()).hexdigest()[:16],
        "time": now(),
        "run": run.folder.name,
        "digest": digest,
        "items": items,
        "settings": {"max_tokens": asked.max_tokens, "limit": asked.limit, "seed": asked.seed},
    }
    entry |= _against(report.counts, alike, history, asked.seed)
    history.add(entry, report.samples, report.counts)
    return entry


def _items_key(prepared: Plan) -> str:
    """Evaluations with the same key scored identical rows in the same way, so that they can be paired."""
    way = [[metric.name for metric in prepared.metrics], prepared.max_tokens, prepared.seed, rows_digest(prepared.rows)]
    return "sha256:" + hashlib.sha256(json.dumps(way).encode()).hexdigest()


def _against(counts: dict[str, Counts], alike: list[Entry], history: History, seed: int) -> dict[str, Any]:
    """The paired differences from the run before, and from each metric's best; `worse` names those that got worse.

    With many comparisons one is below any level by chance: the level is divided by their number (Bonferroni).
    """
    pairs = [(alike[-1], name, "previous") for name in counts if alike]
    pairs += [(best, name, "best") for name in counts if (best := _best(alike, name)) is not None and best is not alike[-1]]
    alpha = ALPHA / max(1, len(pairs))
    compared, worse = [], []
    kept = {entry["id"]: history.counts(entry) for entry, _, _ in pairs}
    for entry, name, what in pairs:
        metric = METRICS[name]
        found = paired(counts[name], kept[entry["id"]][name], metric.value, seed)
        verdict = found.verdict(metric.higher_is_better, alpha)
        if verdict == "worse":
            worse.append(name)
        figures = {key: rounded(getattr(found, key)) for key in ("difference", "low", "high", "p")}
        compared.append({"with": what, "run": entry["run"], "metric": name, **figures, "verdict": verdict})
    return {"compared": compared, "comparison_alpha": round(alpha, 6), "worse": sorted(set(worse))}


def _best(alike: list[Entry], name: str) -> Entry | None:
    there = [entry for entry in alike if entry["scores"][name]["value"] is not None]
    sign = 1 if METRICS[name].higher_is_better else -1
    return max(there, key=lambda entry: sign * entry["scores"][name]["value"], default=None)
