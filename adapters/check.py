"""Everything that could be wrong with an adapter, looked at before any engine sees it, and reported together."""

from dataclasses import dataclass
from pathlib import Path

from adapters.archive import RUN
from adapters.base import Base
from adapters.config import read_config, read_json
from adapters.errors import AdapterRefused
from adapters.limits import Limits
from adapters.manifest import BaseRef, Manifest, file_refs, now, version_digest
from adapters.origin import check_origin, check_template
from adapters.probes import Probes, read_probes
from adapters.tensors import check_tensors


@dataclass(frozen=True)
class Checked:
    """An adapter that may be published: its manifest, and the probes it brought."""

    manifest: Manifest
    probes: Probes | None


def check_adapter(folder: Path, name: str, base: Base, limits: Limits, accept_base: bool = False) -> Checked:
    """The manifest of the adapter in `folder`, which is as good as can be known without an engine.

    Raises:
        AdapterRefused: with every problem found.
    """
    config, problems = read_config(folder, limits)
    tensors = check_tensors(folder, base, config)
    probes, probe_problems = read_probes(folder, base, limits)
    run, run_problem = read_json(folder / RUN, limits.json_file) if (folder / RUN).is_file() else ({}, None)
    origin = check_origin(base, config, probes, run)
    problems += [*tensors.problems, *probe_problems, *([run_problem] if run_problem else []), *([] if accept_base else origin)]
    if problems or config is None:
        raise AdapterRefused(tuple(problems))
    template, warnings = check_template(folder, base, run)
    files = file_refs(folder)
    manifest = Manifest(
        name=name,
        version=version_digest(files),
        base=BaseRef(id=base.id, digest=base.digest, overruled=bool(origin)),
        rank=config.largest_rank,
        alpha=config.alpha,
        rslora=config.rslora,
        target_modules=tensors.modules,
        tensor_bytes=tensors.bytes,
        files=files,
        created=now(),
        provenance=run or None,
        template_hash=template,
        warnings=tuple(warnings),
    )
    # Probes recorded on other weights say nothing about these.
    return Checked(manifest, None if origin else probes)
