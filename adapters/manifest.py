"""What is known of one version: its manifest, written beside its files and shown by the service."""

import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adapters.archive import REQUIRED

MANIFEST = "manifest.json"
Status = Literal["unverified", "verified"]


class BaseRef(BaseModel):
    """The base that a version was checked against, and whether a person overruled the check of its name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    digest: str
    overruled: bool = False


class FileRef(BaseModel):
    """A file of a version: bytes and `sha256:` digest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int
    digest: str


class ProbeFigures(BaseModel):
    """What the probes showed, in nats.

    Always: `effect`, the largest difference from the base's log-probabilities, and `noise`, the base's largest from its own.
    Where probes were recorded, means over their tokens: `mean_difference` of served and recorded (and the largest one),
    `difference_without` of the base alone and the recorded, `base_difference` of the base as served and as recorded,
    and `recorded_effect` of the adapter in the recording.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    probes: int
    tolerance: float | None = None
    largest_difference: float | None = None
    mean_difference: float | None = None
    difference_without: float | None = None
    base_difference: float | None = None
    recorded_effect: float | None = None
    effect: float
    noise: float = 0.0


class Manifest(BaseModel):
    """One version of one adapter. `tensor_bytes` counts the LoRA matrices; `created` is UTC, ISO 8601."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: int = Field(default=1, alias="schema")
    object: Literal["adapter.version"] = "adapter.version"
    name: str
    version: str
    base: BaseRef
    rank: int
    alpha: float
    rslora: bool
    target_modules: tuple[str, ...]
    tensor_bytes: int
    files: dict[str, FileRef]
    created: str
    status: Status = "unverified"
    probe: ProbeFigures | None = None
    provenance: dict[str, Any] | None = None
    template_hash: str | None = None
    warnings: tuple[str, ...] = ()


def now() -> str:
    """The time in UTC, ISO 8601 to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def file_refs(folder: Path) -> dict[str, FileRef]:
    """Size and digest of each file in `folder`, the manifest itself apart."""
    refs = {}
    for path in sorted(folder.iterdir()):
        if path.name != MANIFEST:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            refs[path.name] = FileRef(size=path.stat().st_size, digest=f"sha256:{digest}")
    return refs


def version_digest(files: dict[str, FileRef]) -> str:
    """The version that these files are: sha256 over the names and digests of the config and the weights.

    What does not change the function (a README, probes) does not make another version.
    """
    whole = hashlib.sha256()
    for name in sorted(REQUIRED):
        whole.update(f"{name}\0{files[name].digest.removeprefix('sha256:')}\n".encode())
    return f"sha256:{whole.hexdigest()}"


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Writes manifest.json whole or not at all, and flushes it to the disk."""
    partial = folder / f".{MANIFEST}.part"
    with partial.open("w", encoding="utf-8") as file:
        json.dump(manifest.model_dump(mode="json", by_alias=True), file, indent=1, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, folder / MANIFEST)


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a published version; None where there is none, or one that cannot be read: the same upload mends both."""
    try:
        return Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None
