"""Everything that could be wrong with an adapter, looked at before any engine sees it, and reported together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from adapters.archive import RUN
from adapters.base import Base
from adapters.config import read_config
from adapters.errors import AdapterRefused, Problem
from adapters.extras import check_extras
from adapters.json_file import read_json
from adapters.limits import Limits
from adapters.manifest import BaseRef, Manifest, file_refs, now, version_digest
from adapters.origin import check_origin, check_run, check_template, learned_from_conversations
from adapters.probes import Probes, read_probes
from adapters.tensors import check_tensors

_LISTED = 20


@dataclass(frozen=True)
class Checked:
    """An adapter that may be published: its manifest, and the probes it brought."""

    manifest: Manifest
    probes: Probes | None


def check_adapter(
    folder: Path, name: str, base: Base, limits: Limits, accept_base: bool = False, found: Sequence[Problem] = ()
) -> Checked:
    """The manifest of the adapter in `folder`, which is as good as can be known without an engine.

    `found` is what was wrong with it on its way into the folder.

    Raises:
        AdapterRefused: with every problem found.
    """
    config, problems = read_config(folder, limits)
    tensors = check_tensors(folder, base, config, limits)
    probes, probe_problems = read_probes(folder, base, limits)
    run, run_problem = read_json(folder / RUN, limits.json_file) if (folder / RUN).is_file() else ({}, None)
    origin = check_origin(base, config, probes, run)
    problems = [*found, *problems, *tensors.problems, *probe_problems, *([run_problem] if run_problem else check_run(run))]
    extras = check_extras(folder, limits)
    problems += [*extras, *([] if accept_base else origin)]
    template, differs = check_template(folder, base, run) if not extras and not check_run(run) else (None, None)
    if differs and learned_from_conversations(run) and not accept_base:
        problems.append(differs)
    if problems or config is None:
        raise AdapterRefused(_shortened(_once(problems)))
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
        warnings=(differs.message,) if differs else (),
    )
    # Probes recorded on other weights say nothing about these.
    return Checked(manifest, None if origin else probes)


def _once(problems: list[Problem]) -> list[Problem]:
    """A file that came and was refused is not called missing as well."""
    refused = {p.where.rsplit("/", 1)[-1] for p in problems if p.where and p.code != "missing_file"}
    return [p for p in problems if p.code != "missing_file" or p.where not in refused]


def _shortened(problems: list[Problem]) -> tuple[Problem, ...]:
    """All kinds of problem, each at most `_LISTED` times: a thousand tensors of one fault are one fault."""
    kept: list[Problem] = []
    for code in dict.fromkeys(p.code for p in problems):
        same = [p for p in problems if p.code == code]
        kept += same[:_LISTED]
        if len(same) > _LISTED:
            kept.append(Problem(code, f"and {len(same) - _LISTED} more of the same kind"))
    return tuple(kept)
