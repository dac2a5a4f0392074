"""What a training run is told: one frozen object, from a file, from flags, or both."""

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from adapters.errors import BadInput

Method = Literal["lora", "rslora", "dora", "qlora-4bit", "qlora-8bit", "full"]
# The methods that train beside a base in fewer bits, and the kind of its numbers (training.quantized).
_QUANTIZED = {"qlora-4bit": "nf4", "qlora-8bit": "int8"}
# What full fine-tuning has none of.
ADAPTER_SETTINGS = ("rank", "alpha", "dropout", "target_modules")


class TrainConfig(BaseModel):
    """A run's settings. Learning rates suit a base of a few million parameters; a larger one wants a smaller rate."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str = "embedded"
    data: str
    valid: str | None = None
    valid_share: float = Field(default=0.05, gt=0, lt=0.5)
    method: Method = "lora"
    rank: int = Field(default=16, ge=1, le=1024)
    alpha: float | None = Field(default=None, gt=0, le=1e5)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: tuple[str, ...] | Literal["all-linear"] = "all-linear"
    lr: float | None = Field(default=None, gt=0, lt=1)
    epochs: float = Field(default=3.0, gt=0, le=1000)
    max_steps: int | None = Field(default=None, ge=1)
    batch_size: int = Field(default=16, ge=1, le=4096)
    warmup: float = Field(default=0.05, ge=0, lt=1)
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    weight_decay: float = Field(default=0.0, ge=0, lt=1)
    evals: int = Field(default=5, ge=1, le=1000)
    seed: int = Field(default=1, ge=0, lt=2**31)
    max_length: int | None = Field(default=None, ge=8)
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"

    @field_validator("target_modules", mode="before")
    @classmethod
    def _apart(cls, given: Any) -> Any:
        """Names as a person types them: "q_proj, v_proj"."""
        if isinstance(given, str) and given != "all-linear":
            return tuple(name.strip() for name in given.split(","))
        return given

    @property
    def base_kind(self) -> str | None:
        """How the base's weights are held while an adapter is trained beside them: nf4, int8, or None as they are."""
        return _QUANTIZED.get(self.method)

    @property
    def resolved_alpha(self) -> float:
        """LoRA's alpha: twice the rank unless given, so that the scale alpha/r is 2 at every rank."""
        return self.alpha if self.alpha is not None else 2.0 * self.rank

    @property
    def resolved_lr(self) -> float:
        """The peak learning rate, 1e-3 for an adapter and 8e-4 for full weights: at 3e-3 a rank of 64 learns three times slower."""
        return self.lr if self.lr is not None else (8e-4 if self.method == "full" else 1e-3)

    def resolved(self) -> dict[str, Any]:
        """The settings with every default filled in, as run.json and config.yaml hold them: those that the method has."""
        settings = self.model_dump(mode="json") | {"alpha": self.resolved_alpha, "lr": self.resolved_lr}
        return {name: value for name, value in settings.items() if self.method != "full" or name not in ADAPTER_SETTINGS}


def load_config(file: Path | None, flags: dict[str, Any]) -> TrainConfig:
    """The settings of a YAML file with `flags` (those that are not None) laid over them.

    Raises:
        BadInput: the file is not YAML, a key is unknown, a value is out of range, or the method has no such setting; the message names it.
    """
    settings: dict[str, Any] = {}
    if file is not None:
        try:
            settings = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
            raise BadInput(f"{file} cannot be read as YAML: {error}", param="config") from error
        if not isinstance(settings, dict):
            raise BadInput(f"{file} is not a mapping of settings", param="config")
    settings |= {key: value for key, value in flags.items() if value is not None}
    try:
        config = TrainConfig(**settings)
    except ValidationError as error:
        raise refused(error) from error
    if config.method == "full" and (given := [name for name in ADAPTER_SETTINGS if settings.get(name) is not None]):
        raise BadInput(
            f"full fine-tuning has no {' or '.join(given)}, got {settings[given[0]]!r}; leave out what is an adapter's, or give another --method",
            param=given[0],
        )
    return config


def refused(error: ValidationError, where: str = "") -> BadInput:
    """The first thing that is wrong with the settings, on one line; `where` they were given."""
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"]) or "config"
    known = ", ".join(TrainConfig.model_fields)
    hint = f"; known settings: {known}" if first["type"] == "extra_forbidden" else ""
    return BadInput(f"{where}{name}: {first['msg']}, got {first.get('input')!r}{hint}", param=name)
