"""Health, readiness, version and metrics: for those who watch the service."""

from importlib.metadata import version
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from adapters.archive import ALLOWED
from adapters.errors import Unavailable
from service.caller import NOBODY, caller
from service.runtime import Runtime
from service.shapes import Health, Ready, VersionInfo


def system_routes(runtime: Runtime) -> APIRouter:
    """GET /health, /ready, /version, /metrics."""
    router = APIRouter(tags=["system"])

    @router.get(
        "/health",
        response_model=Health,
        responses={503: {"model": Health}},
        summary="Whether the service lives, and how its engine is",
    )
    async def health() -> JSONResponse:
        failure = shown_failure(runtime.failure or runtime.engine.failure)
        body = {
            "status": "failed" if failure and runtime.engine.state == "failed" else "ok",
            "engine": runtime.engine.state,
            "ready": runtime.is_ready,
            "failure": failure,
        }
        return JSONResponse(body, status_code=503 if body["status"] == "failed" else 200)

    @router.get("/ready", response_model=Ready, summary="200 when requests for tokens are answered")
    async def ready() -> dict[str, Any]:
        if not runtime.is_ready:
            raise Unavailable(shown_failure(runtime.failure) or f"the engine is {runtime.engine.state}", retry_after=5)
        return {"status": "ready", "base": runtime.base.id}

    @router.get("/version", response_model=VersionInfo, summary="What runs here")
    async def versions() -> dict[str, Any]:
        base = runtime.base
        return {
            "version": version("patchbay"),
            "base": {"id": base.id, "digest": base.digest, "quantization": base.quantization, "max_length": base.max_length},
            "limits": {
                "max_slots": runtime.settings.max_slots,
                "max_rank": runtime.settings.limits.rank,
                "files": sorted(ALLOWED),
            },
        }

    @router.get("/metrics", response_class=PlainTextResponse, summary="Prometheus metrics, the engine's own among them")
    def metrics() -> Response:
        return Response(runtime.metrics.page(), media_type=CONTENT_TYPE_LATEST)

    return router


def shown_failure(failure: str | None) -> str | None:
    """A failure may tell of paths and settings: where keys are asked for, those without one read that there is one."""
    return "the service's log says why" if failure and caller() is NOBODY else failure
