"""An evaluation on this machine, as commands do it: models loaded from folders, a progress bar, a report.

Light until it is used: torch and transformers are imported with the first model.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evaluation.model import Model
    from evaluation.report import Plan, Report
    from evaluation.runs import Run


def models(base: str, adapter: Path | None) -> "tuple[Model, Model | None]":
    """The model to score and what it is held against: an adapter beside its base, or a base alone."""
    from adapters.archive import adapter_files
    from adapters.base import describe_base, resolve_base

    described = describe_base(resolve_base(base), base)
    folder = adapter_files(adapter)[0].parent if adapter else None
    from evaluation.local import LocalBase

    local = LocalBase(described, folder)
    return local.model(adapter.name if adapter else None), local.model(None) if adapter else None


def run(model: "Model", baseline: "Model | None", prepared: "Plan", what: str) -> "Report":
    """The plan carried out, with a bar called `what`."""
    import asyncio

    from tqdm import tqdm

    from evaluation.evaluate import evaluate

    with tqdm(total=prepared.calls(2 if baseline else 1), unit="item", desc=what) as bar:
        return asyncio.run(evaluate(model, baseline, prepared, on_progress=lambda done, _: bar.update(done - bar.n)))


def score(found: "Run", prepared: "Plan") -> "Report":
    """A run beside the base it was trained on."""
    from adapters.base import describe_base
    from evaluation.local import LocalBase

    if not found.is_base:
        model, baseline = models(found.base, found.folder)
        return run(model, baseline, prepared, found.folder.name)
    model = LocalBase(describe_base(found.product, found.folder.name), None).model(found.folder.name)
    return run(model, models(found.base, None)[0], prepared, found.folder.name)
