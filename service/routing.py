"""What a model id means: the base, a live version, one version by its digest, or whatever `default` is set to."""

from adapters.errors import NotFound
from adapters.names import DEFAULT, split_model
from adapters.state import State, Version


def default_is_known(state: State) -> bool:
    """Whether `default` means the base or an adapter of this picture; a caller's view may lack the adapter it is set to."""
    return state.default is None or state.default in state.adapters


def resolve(state: State, base_id: str, model: str | None) -> Version | None:
    """The version that a model id means, None for the base. A request that names no model gets the default.

    Raises:
        NotFound: no such model, with the ids that could have been meant.
    """
    asked = DEFAULT if model is None else model
    means = state.default if asked == DEFAULT else asked
    if means is None or means == base_id:
        return None
    name, prefix = split_model(means)
    if name not in state.adapters:
        ids = [base_id, *([DEFAULT] if default_is_known(state) else []), *sorted(state.adapters)]
        known = ", ".join(ids[:12])
        raise NotFound(f"the model {asked!r} does not exist; there are {known}", param="model", code="model_not_found")
    adapter = state.adapters[name]
    if prefix is not None:
        return adapter.version(prefix)
    if adapter.live_version is None:
        raise NotFound(
            f"{name!r} has no live version yet; promote one, or ask for {name}@<digest>", param="model", code="model_not_found"
        )
    return adapter.live_version
