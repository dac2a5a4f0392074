"""What an approach costs: machine time and tokens, and money at the prices that a person gives."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evaluation.runs import finished_runs


@dataclass(frozen=True)
class Prices:
    """Of an hour of the machine, and of a million tokens where they are paid for one by one."""

    currency: str
    hour: float = 0.0
    prompt_million: float = 0.0
    completion_million: float = 0.0

    def training(self, cost: dict[str, Any] | None) -> float | None:
        """Of a training (training_cost): nothing where nothing was trained, None where no record says how long it took."""
        seconds = cost["seconds"] if cost else 0.0
        return None if seconds is None else round(seconds / 3600 * self.hour, 6)

    def answers(self, count: int, seconds: float, prompt_tokens: float, completion_tokens: float) -> float:
        """Of so many answers, each of that many seconds and tokens."""
        tokens = prompt_tokens * self.prompt_million + completion_tokens * self.completion_million
        return count * (seconds / 3600 * self.hour + tokens / 1e6)

    def to_json(self) -> dict[str, Any]:
        """As the record holds it."""
        return asdict(self)


def training_cost(folder: Path) -> dict[str, Any]:
    """What a run's record says of its training; unknown (None) for an adapter without a run."""
    run = next((run for run in finished_runs(folder) if run.folder == folder), None)
    if run is None:
        return {"run": folder.name, "seconds": None, "tokens": None, "trained_parameters": None, "weight_bytes": None}
    size = sum(path.stat().st_size for path in run.product.glob("*.safetensors"))
    return {
        "run": folder.name,
        "seconds": run.record["seconds"],
        "tokens": run.record["tokens"],
        "trained_parameters": run.record["parameters"]["trainable"],
        "weight_bytes": size,
    }
