"""GET /v1/models in OpenAI's shape: every model id that may be asked for."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter

from adapters.names import DEFAULT
from service.caller import caller
from service.description import errors
from service.routing import default_is_known, resolve
from service.runtime import Runtime
from service.shapes import Listing, ModelCard


def model_routes(runtime: Runtime) -> APIRouter:
    """GET /v1/models and /v1/models/{model}."""
    router = APIRouter(tags=["inference"])
    base = runtime.base

    def entry(model: str, created: int, root: str, parent: str | None) -> dict[str, Any]:
        return {
            "id": model,
            "object": "model",
            "created": created,
            "owned_by": "patchbay",
            "root": root,
            "parent": parent,
            "max_model_len": runtime.engine.max_length,
        }

    def shown(model: str) -> dict[str, Any]:
        version = resolve(caller().view(runtime.registry.state), base.id, model)
        if version is None:
            return entry(model, 0, base.id, None)
        created = int(datetime.fromisoformat(version.created).timestamp())
        return entry(model, created, version.engine_name, base.id)

    @router.get(
        "/v1/models", response_model=Listing[ModelCard], summary="The base, the adapters with a live version, and default"
    )
    async def models() -> dict[str, Any]:
        state = caller().view(runtime.registry.state)
        names = [a.name for a in state.adapters.values() if a.live is not None]
        default = [DEFAULT] if default_is_known(state) else []
        return {"object": "list", "data": [shown(model) for model in (base.id, *names, *default)]}

    @router.get(
        "/v1/models/{model:path}", response_model=ModelCard, responses=errors(404, 409), summary="What a model id means now"
    )
    async def model(model: str) -> dict[str, Any]:
        return shown(model)

    return router
