"""`patchbay train --seeds`: the same training once for each seed, and how far the results lie apart."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from adapters.errors import BadInput
from evaluation.json_file import write_json
from evaluation.output import check_folder
from training.config import TrainConfig
from training.data import load_training_data
from training.fresh import in_fresh_process
from training.record import machine, package_versions, read_record
from training.same import require_same_config, require_same_data
from training.train import train

SUMMARY = "seeds.json"
_FIGURES = {"valid_best": ("loss", "valid_best"), "seconds": ("seconds",), "tokens_per_second": ("tokens_per_second",)}


def train_seeds(config: TrainConfig, seeds: Sequence[int], out: Path) -> dict[str, Any]:
    """Trains into out/seed-N, a fresh process each; a seed that is finished is not trained again. Returns and writes the summary:
    by figure its values in the order of the seeds, their mean, and their standard deviation (n - 1; None for one seed).

    Raises:
        BadInput: no seed, or one twice; and what training raises. Conflict: a run there is of another config, or of other data.
    """
    if not seeds or len(set(seeds)) != len(seeds):
        raise BadInput(f"seeds are {', '.join(map(str, seeds)) or 'none'}; give each once, such as --seeds 1,2,3", param="seeds")
    check_folder(out)
    asked = {seed: TrainConfig(**config.model_dump() | {"seed": seed}) for seed in seeds}
    valid = Path(config.valid) if config.valid else None
    digests = load_training_data(Path(config.data), valid, config.valid_share, config.seed).digests
    for seed, one in asked.items():
        _require_same(one, digests, out / f"seed-{seed}")  # before hours of the others
    records = [
        _finished(out / f"seed-{seed}") or in_fresh_process(train, one, out / f"seed-{seed}") for seed, one in asked.items()
    ]
    summary = {
        "schema": 1,
        "kind": "seeds",
        "method": config.method,
        "config": {key: value for key, value in config.resolved().items() if key != "seed"},
        "seeds": list(seeds),
        "runs": [f"seed-{seed}" for seed in seeds],
        "figures": {name: _spread([_figure(record, path) for record in records]) for name, path in _FIGURES.items()},
        "versions": package_versions(),
        "machine": machine(),
    }
    write_json(out / SUMMARY, summary)
    return summary


def _require_same(config: TrainConfig, digests: dict[str, str], folder: Path) -> None:
    record = read_record(folder)
    if record is not None:
        require_same_config(record, config, folder)
        require_same_data(record["data"]["digests"], digests, folder)


def _finished(folder: Path) -> dict[str, Any] | None:
    record = read_record(folder)
    return record if record is not None and record["status"] == "finished" else None


def _figure(record: dict[str, Any], path: tuple[str, ...]) -> float:
    found: Any = record
    for key in path:
        found = found[key]
    return float(found)


def _spread(values: list[float]) -> dict[str, Any]:
    deviation = round(stdev(values), 6) if len(values) > 1 else None
    return {"values": values, "mean": round(fmean(values), 6), "deviation": deviation}
