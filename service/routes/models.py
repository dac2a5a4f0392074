"""GET /v1/models in OpenAI's shape: every model id that may be asked for."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter

from adapters.names import DEFAULT
from service.routing import resolve
from service.runtime import Runtime


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
        version = resolve(runtime.registry.state, base.id, model)
        if version is None:
            return entry(model, 0, base.id, None)
        created = int(datetime.fromisoformat(version.created).timestamp())
        return entry(model, created, version.engine_name, base.id)

    @router.get("/v1/models", summary="The base, the adapters with a live version, and default")
    async def models() -> dict[str, Any]:
        names = [a.name for a in runtime.registry.state.adapters.values() if a.live is not None]
        return {"object": "list", "data": [shown(model) for model in (base.id, *names, DEFAULT)]}

    @router.get("/v1/models/{model:path}", summary="What a model id means now")
    async def model(model: str) -> dict[str, Any]:
        return shown(model)

    return router
