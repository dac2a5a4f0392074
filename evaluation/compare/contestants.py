"""The models of a comparison: loaded on this machine, or asked of a running service."""

from pathlib import Path
from typing import Any

from adapters.archive import adapter_files
from adapters.base import Base, describe_base
from adapters.errors import BadInput
from evaluation.compare.approaches import Contestant, Contestants
from evaluation.compare.cost import training_cost


def local(base: Base, adapter: Path | None, full: Path | None) -> Contestants:
    """Base and adapter on one copy of the weights, and the base that full fine-tuning wrote."""
    from evaluation.local import LocalBase

    loaded = LocalBase(base, adapter_files(adapter)[0].parent if adapter else None)
    found = {"base": Contestant(loaded.model(None), None)}
    if adapter is not None:
        found["adapter"] = Contestant(loaded.model(adapter.name), training_cost(adapter))
    if full is not None:
        product = full / "model" if (full / "model").is_dir() else full
        found["full"] = Contestant(LocalBase(describe_base(product, full.name), None).model(full.name), training_cost(full))
    return found


def remote(base: Base, adapter: Path | None, full: Path | None, http: Any) -> Contestants:
    """The base by its id and the adapter by its folder's name, both of one service.

    Raises BadInput for a base of full fine-tuning, which is a service of its own.
    """
    from evaluation.compare.remote import RemoteModel

    if full is not None:
        raise BadInput("one service has one base: compare --full on this machine, without --url", param="full")
    found = {"base": Contestant(RemoteModel(http, base.id), None)}
    if adapter is not None:
        found["adapter"] = Contestant(RemoteModel(http, adapter.name), training_cost(adapter))
    return found
