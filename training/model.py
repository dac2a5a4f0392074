"""The model under training: the base loaded, an adapter put on it, and what that amounts to."""

import math
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from adapters.base import Base
from adapters.errors import BadInput
from training.config import TrainConfig
from training.precision import compute_dtype
from training.quantized import bitsandbytes_settings

# What PEFT calls them, without its lora_: on linear layers, and on an embedding.
_MATRICES = {"A": "A", "B": "B", "embedding_A": "A", "embedding_B": "B", "magnitude_vector": "magnitude"}


def load_tokenizer(base: Base) -> Any:
    """The base's tokenizer; a base without a padding token pads with its end-of-text token."""
    tokenizer = AutoTokenizer.from_pretrained(base.path, local_files_only=True)
    if tokenizer.eos_token_id is None:
        raise BadInput(
            f"the tokenizer of {base.id} has no end-of-text token, so a model trained with it would never stop", param="base"
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(base: Base, config: TrainConfig) -> Any:
    """The base in float32: the weights that are trained, or that an adapter is trained against, keep their precision.

    For QLoRA its linear layers are quantized as they are loaded, and only the rest is in float32.
    """
    if base.quantization:
        raise BadInput(
            f"{base.id} is quantized ({base.quantization}); train on the base it was made from: {base.origins}", param="base"
        )
    torch.manual_seed(config.seed)
    transformers_logging.disable_progress_bar()  # the training bar is the one that means something
    settings = bitsandbytes_settings(config.base_kind, compute_dtype(config.dtype)) if config.base_kind else None
    return AutoModelForCausalLM.from_pretrained(
        base.path, dtype=torch.float32, quantization_config=settings, local_files_only=True
    )


def require_modules(config: TrainConfig, base: Base) -> None:
    """Raises BadInput for a target module that the base lacks: PEFT passes over it where another one fits."""
    if config.target_modules == "all-linear":
        return
    unknown = [name for name in config.target_modules if not any(f".{module}".endswith(f".{name}") for module in base.modules)]
    if unknown or not config.target_modules:
        there = ", ".join(sorted({module.rsplit(".", 1)[-1] for module in base.modules}))
        raise BadInput(
            f"target modules: {base.id} has no {', '.join(map(repr, unknown)) or 'layer to train'}; give some of {there}, or all-linear",
            param="target_modules",
        )


def add_adapter(model: Any, config: TrainConfig, base: Base) -> Any:
    """The model with a fresh LoRA adapter; its base weights are frozen. Raises BadInput for modules that take none."""
    targets = config.target_modules if config.target_modules == "all-linear" else list(config.target_modules)
    lora = LoraConfig(
        r=config.rank,
        lora_alpha=config.resolved_alpha,
        lora_dropout=config.dropout,
        target_modules=targets,
        use_rslora=config.method == "rslora",
        use_dora=config.method == "dora",
        task_type="CAUSAL_LM",
        base_model_name_or_path=str(base.path),  # PEFT looks there for the vocabulary at each checkpoint
    )
    try:
        wrapped = get_peft_model(model, lora)
    except ValueError as error:
        raise BadInput(f"target modules {targets} do not fit {base.id}: {error}", param="target_modules") from error
    return wrapped


def count_parameters(model: Any) -> dict[str, int]:
    """Trainable and total parameters; tied weights count once, quantized ones as what they stand for."""
    unique = {id(p): p for p in model.parameters()}.values()
    trainable = sum(p.numel() for p in unique if p.requires_grad)
    # Two numbers of 4 bits lie in one byte.
    total = sum(math.prod(state.shape) if (state := getattr(p, "quant_state", None)) else p.numel() for p in unique)
    return {"trainable": trainable, "total": total}


def lora_matrices(model: Any) -> dict[str, dict[str, Any]]:
    """LoRA by module: shapes of A (r, in) and B (out, r), `rank`, `parameters`, and `share` of the module's own in x out.

    The update is W + (alpha / r) B A (Hu et al., 2021): r (in + out) parameters stand for in x out; DoRA trains the
    `magnitude` of each output as well (Liu et al., 2024).
    """
    found: dict[str, dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        module, _, part = name.removeprefix("base_model.model.").removesuffix(".weight").partition(".lora_")
        if part:
            found.setdefault(module, {})[_MATRICES[part.removesuffix(".default")]] = list(parameter.shape)
    for shapes in found.values():
        (rank, inputs), (outputs, _) = shapes["A"], shapes["B"]
        parameters = sum(math.prod(shape) for shape in shapes.values())
        shapes |= {"rank": rank, "parameters": parameters, "share": round(parameters / (inputs * outputs), 6)}
    return found


def save_adapter(model: Any, base: Base, folder: Path) -> None:
    """Writes adapter_config.json, which names the base by its id, and adapter_model.safetensors."""
    model.peft_config["default"].base_model_name_or_path = base.id
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty model card; run.json says more
