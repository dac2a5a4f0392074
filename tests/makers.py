"""Adapters and archives made for a test: good ones, and ones spoilt in one way."""

import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from adapters.base import Base, describe_base, resolve_base
from adapters.safetensors_header import read_header

EMBEDDED = describe_base(resolve_base("embedded"), "embedded")
MODULES = ("model.layers.0.self_attn.q_proj", "model.layers.3.mlp.down_proj")


def lora_tensors(base: Base = EMBEDDED, modules: tuple[str, ...] = MODULES, rank: int = 4, seed: int = 0) -> dict[str, Any]:
    """Random A (rank, in) and B (out, rank) for each module, by PEFT's names."""
    rng = np.random.default_rng(seed)
    tensors = {}
    for module in modules:
        shape = base.modules[module]
        prefix = f"base_model.model.{module}"
        tensors[f"{prefix}.lora_A.weight"] = rng.normal(0, 0.1, (rank, shape.in_features)).astype(np.float32)
        tensors[f"{prefix}.lora_B.weight"] = rng.normal(0, 0.1, (shape.out_features, rank)).astype(np.float32)
    return tensors


def lora_config(rank: int = 4, **changes: Any) -> dict[str, Any]:
    """A config as PEFT writes it; a change of `...` leaves the key out."""
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "embedded",
        "r": rank,
        "lora_alpha": 2 * rank,
        "lora_dropout": 0.0,
        "target_modules": ["q_proj", "down_proj"],
        "bias": "none",
        "use_dora": False,
        "modules_to_save": None,
    } | changes
    return {key: value for key, value in config.items() if value is not ...}


def write_adapter(folder: Path, tensors: Mapping[str, Any] | None = None, config: Any = None, seed: int = 0) -> Path:
    """An adapter's folder: good unless given otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    config = lora_config() if config is None else config
    text = config if isinstance(config, str) else json.dumps(config)
    (folder / "adapter_config.json").write_text(text, encoding="utf-8")
    save_file(dict(lora_tensors(seed=seed) if tensors is None else tensors), folder / "adapter_model.safetensors")
    return folder


def write_probes(folder: Path, adapted: float, plain: float = -1.0, tokens: int = 8, base: str = EMBEDDED.digest) -> Path:
    """Probes beside an adapter that record one value for each token with it, and one without it."""
    probe = {
        "prompt_token_ids": [5] * tokens,
        "adapter_logprobs": [adapted] * (tokens - 1),
        "base_logprobs": [plain] * (tokens - 1),
    }
    (folder / "probes.json").write_text(json.dumps({"schema": 1, "base_digest": base, "probes": [probe]}), encoding="utf-8")
    return folder


def embedding_of(base: Base = EMBEDDED) -> Any:
    """The base's own token embedding, float32."""
    path = base.path / "model.safetensors"
    entry = read_header(path).tensors["model.embed_tokens.weight"]
    raw = np.fromfile(path, np.uint16, offset=entry.start, count=(entry.end - entry.start) // 2)
    return (raw.astype(np.uint32) << 16).view(np.float32).reshape(entry.shape)


def zip_of(files: Mapping[str, bytes]) -> bytes:
    """A .zip with these entries, whatever their names."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def tar_of(files: Mapping[str, bytes], links: Mapping[str, str] | None = None, mode: str = "w:gz") -> bytes:
    """A .tar with these entries and symbolic links."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return stream.getvalue()


def files_of(folder: Path) -> dict[str, bytes]:
    """The folder's files by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}
