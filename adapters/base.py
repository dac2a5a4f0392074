"""A base model's folder, described without loading it: digest, layers, chat template, origins."""

import hashlib
import importlib.resources
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from adapters.errors import BadInput, NotFound
from adapters.safetensors_header import read_header

EMBEDDED = "embedded"
RECORD = "patchbay.json"
_HUB_ID = re.compile(r"^[\w.-]+/[\w.-]+$")


@dataclass(frozen=True)
class ModuleShape:
    """A layer an adapter may touch; a weight is (out_features, in_features), an embedding's (vocabulary, width)."""

    kind: Literal["linear", "embedding"]
    in_features: int
    out_features: int


@dataclass(frozen=True)
class Base:
    """What there is to know of a base: `origins` are the ids and digests of what it was derived from."""

    id: str
    path: Path
    digest: str
    origins: tuple[str, ...]
    modules: Mapping[str, ModuleShape]
    template_hash: str | None
    max_length: int
    quantization: str | None

    def is_named(self, name: str) -> bool:
        """Whether an adapter trained on `name` (a path, a hub id or a digest) belongs to this base or its origin."""
        last = name.rstrip("/").rsplit("/", 1)[-1]
        known = {self.digest, *self.origins, self.id.rsplit("/", 1)[-1]}
        known |= {origin.rsplit("/", 1)[-1] for origin in self.origins}
        return name in known or last in known


def resolve_base(name: str) -> Path:
    """The folder of a base named `embedded`, by a path, or by a hub id.

    Raises:
        NotFound: nothing of that name is here; the message says what would be.
    """
    if name == EMBEDDED:
        folder = Path(str(importlib.resources.files("bases").joinpath("embedded")))
    elif Path(name).expanduser().is_dir():
        folder = Path(name).expanduser().resolve()
    elif _HUB_ID.match(name) and not name.startswith((".", "/")):
        folder = _from_hub(name)
    else:
        raise NotFound(
            f"there is no base at {name!r}; give a folder with config.json, a hub id such as org/name, or 'embedded'",
            param="base",
        )
    if not (folder / "config.json").is_file():
        raise NotFound(f"{folder} is no base: it has no config.json; give the folder of a Hugging Face model", param="base")
    return folder


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    patterns = ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model"]
    try:
        return Path(snapshot_download(name, allow_patterns=patterns, local_files_only=True))
    except LocalEntryNotFoundError:
        pass  # not here yet: ask the hub
    try:
        return Path(snapshot_download(name, allow_patterns=patterns))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise NotFound(f"the base {name!r} is neither a folder nor to be had from the hub: {error}", param="base") from error


def base_id(name: str, folder: Path) -> str:
    """The id a base is served under: its hub id when it was named by one, else its folder's name."""
    return name if _HUB_ID.match(name) and not Path(name).expanduser().is_dir() else folder.name


def describe_base(folder: Path, name: str | None = None) -> Base:
    """Everything known of the base in `folder`; `name` is what the person called it (a hub id keeps its name).

    Raises:
        BadInput: its config or its weights cannot be read.
    """
    config = _json(folder / "config.json")
    record = _json(folder / RECORD) if (folder / RECORD).is_file() else {}
    origin = record.get("derived_from") or {}
    return Base(
        id=base_id(name, folder) if name else folder.name,
        path=folder,
        digest=_digest(folder),
        origins=tuple(str(origin[key]) for key in ("id", "digest") if key in origin),
        modules=_recorded_modules(record) or _modules(folder, config),
        template_hash=template_hash(folder),
        max_length=int(config.get("max_position_embeddings", 2048)),
        quantization=_quantization(config),
    )


def module_record(modules: Mapping[str, ModuleShape]) -> dict[str, dict[str, Any]]:
    """The `modules` entry of patchbay.json: how a quantized base says what its layers were."""
    return {name: {"kind": m.kind, "in_features": m.in_features, "out_features": m.out_features} for name, m in modules.items()}


def template_file(folder: Path) -> str | None:
    """The name of the file that holds the chat template, or would."""
    return next((name for name in ("chat_template.jinja", "tokenizer_config.json") if (folder / name).is_file()), None)


def template_hash(folder: Path) -> str | None:
    """sha256 of the chat template's text, or None where the folder has none."""
    name = template_file(folder)
    if name is None:
        return None
    text = (folder / name).read_text(encoding="utf-8") if name.endswith(".jinja") else _json(folder / name).get("chat_template")
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" if isinstance(text, str) else None


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read as JSON: {error}", param="base") from error
    if not isinstance(content, dict):
        raise BadInput(f"{path} is not a JSON object", param="base")
    return content


def _digest(folder: Path) -> str:
    whole = hashlib.sha256()
    for path in sorted([folder / "config.json", *folder.glob("*.safetensors")]):
        with path.open("rb") as file:
            whole.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return f"sha256:{whole.hexdigest()}"


def _quantization(config: dict[str, Any]) -> str | None:
    settings = config.get("quantization_config")
    return str(settings.get("quant_method", "unknown")) if isinstance(settings, dict) else None


def _recorded_modules(record: dict[str, Any]) -> dict[str, ModuleShape]:
    return {name: ModuleShape(**shape) for name, shape in (record.get("modules") or {}).items()}


def _modules(folder: Path, config: dict[str, Any]) -> dict[str, ModuleShape]:
    """Layers by the names of the weights: every 2-D `<module>.weight`, the token embedding and the output head."""
    modules: dict[str, ModuleShape] = {}
    for path in sorted(folder.glob("*.safetensors")):
        for tensor, entry in read_header(path).tensors.items():
            if not tensor.endswith(".weight") or len(entry.shape) != 2:
                continue
            name, (rows, columns) = tensor.removesuffix(".weight"), entry.shape
            if name.endswith("embed_tokens"):
                modules[name] = ModuleShape("embedding", rows, columns)
            else:
                modules[name] = ModuleShape("linear", columns, rows)
    if config.get("tie_word_embeddings") and "lm_head" not in modules:
        for shape in list(modules.values()):
            if shape.kind == "embedding":
                modules["lm_head"] = ModuleShape("linear", shape.out_features, shape.in_features)
    return modules
