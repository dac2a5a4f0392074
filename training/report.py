"""One Markdown report from records alone: run folders, evaluations, load tests, quantized bases."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from adapters.base import RECORD as BASE_RECORD
from adapters.errors import BadInput, NotFound
from training.record import read_record

Record = dict[str, Any]


def render(paths: Sequence[Path]) -> str:
    """The report of these records, in their order.

    Raises:
        NotFound: nothing is there. BadInput: it is no record this program writes.
    """
    records = [_read(path) for path in paths]
    parts = ["# Report"]
    for title, kind, table in _SECTIONS:
        found = [record for record in records if record["kind"] == kind]
        if found:
            parts += [f"## {title}", table(found)]
    return "\n\n".join(parts) + "\n"


def _read(path: Path) -> Record:
    if path.is_dir():
        record = read_record(path) or _json(path / BASE_RECORD)
        return record | {"path": path.name}
    record = _json(path)
    if "kind" not in record and "scores" in record:
        record["kind"] = "evaluation"
    if "kind" not in record:
        raise BadInput(f"{path} is no record; give run folders, bases, evaluations or load tests", param="runs")
    return record | {"path": path.stem}


def _json(path: Path) -> Record:
    if not path.is_file():
        raise NotFound(f"there is no record at {path}; give a folder that patchbay train wrote, or a JSON result", param="runs")
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise BadInput(f"{path} is not JSON: {error}", param="runs") from error


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def _runs(records: list[Record]) -> str:
    rows = []
    for r in records:
        p = r["parameters"]
        rows.append(
            [
                r["path"],
                r["method"],
                f"{p['trainable']:,} ({100 * p['trainable'] / p['total']:.1f} %)",
                str(r["steps"]),
                f"{r['loss']['valid_best']:.3f}" if r["loss"]["valid_best"] is not None else "-",
                f"{r['seconds']:.0f}",
                f"{r['peak_memory_bytes']['resident'] / 2**20:,.0f}",
                f"{r['tokens_per_second']:,.0f}",
            ]
        )
    return _table(("run", "method", "trained parameters", "steps", "validation loss", "seconds", "peak MiB", "tokens/s"), rows)


def _figure(number: float | None) -> str:
    return "-" if number is None else f"{number:.4g}"


def _evaluations(records: list[Record]) -> str:
    rows = []
    for r in records:
        for metric, s in r["scores"].items():
            rows.append(
                [
                    str(r["model"]).replace("sha256:", "")[:40],
                    metric,
                    str(r["n"]),
                    _figure(s["baseline"]),
                    _figure(s["value"]),
                    f"{_figure(s['low'])} to {_figure(s['high'])}",
                    _figure(s["difference"]),
                    _figure(s["p"]),
                ]
            )
    return _table(("model", "metric", "rows", "base", "adapter", "95 % interval", "difference", "p"), rows)


def _loadtests(records: list[Record]) -> str:
    rows = []
    for r in records:
        for model, f in {"all": r["total"], **r["models"]}.items():
            rows.append(
                [
                    r["scenario"]["name"],
                    model,
                    str(f["requests"]),
                    str(f["requests_per_second"]),
                    str(f["tokens_per_second"]),
                    f"{f['first_token_p50'] * 1000:.0f} / {f['first_token_p99'] * 1000:.0f}",
                    f"{f['answer_p50'] * 1000:.0f} / {f['answer_p99'] * 1000:.0f}",
                    str(f["failed"]),
                    str(f["wrong_adapter"]),
                ]
            )
    header = (
        "scenario",
        "model",
        "requests",
        "requests/s",
        "tokens/s",
        "first token p50/p99 ms",
        "answer p50/p99 ms",
        "failed",
        "wrong adapter",
    )
    return _table(header, rows)


def _bases(records: list[Record]) -> str:
    rows = []
    for r in records:
        sizes = r.get("weight_bytes") or {}
        shown = [f"{sizes[key] / 2**20:.1f}" if key in sizes else "-" for key in ("before", "after")]
        rows.append([r["path"], str(r.get("method")), *shown, f"{r.get('seconds', 0):.0f}"])
    return _table(("base", "method", "MiB before", "MiB after", "seconds"), rows)


_SECTIONS: tuple[tuple[str, str, Callable[[list[Record]], str]], ...] = (
    ("Training", "run", _runs),
    ("Base against adapter, on identical rows", "evaluation", _evaluations),
    ("Quantized bases", "base", _bases),
    ("Under load", "loadtest", _loadtests),
)
