"""What a model id means: the base, a live version, one version by its digest, or whatever `default` is set to."""

from adapters.errors import NotFound
from adapters.names import DEFAULT, split_model
from adapters.state import State, Version


def resolve(state: State, base_id: str, model: str | None) -> Version | None:
    """The version that a model id means, None for the base. A request that names no model gets the default.

    Raises:
        NotFound: no such model, with the ids that could have been meant.
    """
    if model is None or model == DEFAULT:
        if state.default is None:
            return None
        model = state.default
    if model == base_id:
        return None
    name, prefix = split_model(model)
    if name not in state.adapters:
        known = ", ".join([base_id, DEFAULT, *sorted(state.adapters)][:12])
        raise NotFound(f"the model {model!r} does not exist; there are {known}", param="model", code="model_not_found")
    adapter = state.adapters[name]
    if prefix is not None:
        return adapter.version(prefix)
    if adapter.live_version is None:
        raise NotFound(
            f"{name!r} has no live version yet; promote one, or ask for {name}@<digest>", param="model", code="model_not_found"
        )
    return adapter.live_version
