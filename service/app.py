"""The application: the guards, every route, and the service's life around them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from service.access import WithKeys
from service.description import describe
from service.drain import Draining
from service.errors import install
from service.guard import BodyLimit, LocalOnly
from service.logs import RequestIds
from service.routes.adapters import adapter_routes
from service.routes.evaluations import evaluation_routes
from service.routes.models import model_routes
from service.routes.page import page_routes
from service.routes.system import system_routes
from service.runtime import Runtime

_FORM_OVERHEAD = 64 * 1024


def build_app(runtime: Runtime) -> FastAPI:
    """Everything that answers HTTP for this runtime."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with runtime.running():
            yield

    app = FastAPI(title="Patchbay", version=version("patchbay"), lifespan=lifespan, redoc_url=None, redirect_slashes=False)
    install(app)
    describe(app, has_keys=runtime.keyring is not None)
    app.include_router(runtime.engine.routes(runtime.desk))  # first, as routes are tried in turn
    app.include_router(system_routes(runtime))
    app.include_router(model_routes(runtime))
    app.include_router(adapter_routes(runtime))
    app.include_router(evaluation_routes(runtime))
    app.include_router(page_routes())
    app.add_middleware(BodyLimit, limit_of=lambda path: _limit_of(runtime, path))
    if runtime.keyring is not None:
        app.add_middleware(WithKeys, keyring=runtime.keyring)
    else:
        app.add_middleware(LocalOnly)
    app.add_middleware(Draining, drain=runtime.drain)
    app.add_middleware(RequestIds)
    return app


def _limit_of(runtime: Runtime, path: str) -> int:
    if path == "/v1/adapters":
        return runtime.lifecycle.limits.archive + _FORM_OVERHEAD
    if path == "/v1/files":
        return runtime.files.limit + _FORM_OVERHEAD
    return runtime.settings.body_bytes
