"""Adapters over HTTP: upload, look, switch, load, pin, delete."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from adapters.archive import ALLOWED, unpack
from adapters.errors import BadInput, NotFound, Unavailable
from service.gate import Requirement
from service.runtime import Runtime
from service.shown import shown_adapter
from service.upload import Upload, flag

_FIELDS = frozenset(("name", "live", "accept_base"))
_FORM = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "description": "The adapter's name."},
        "archive": {"type": "string", "format": "binary", "description": "A .zip, .tar or .tar.gz with the adapter's files."},
        "files": {
            "type": "array",
            "items": {"type": "string", "format": "binary"},
            "description": f"Or each file by itself: {sorted(ALLOWED)}.",
        },
        "live": {"type": "string", "enum": ["true", "false"], "description": "Promote it at once."},
        "accept_base": {
            "type": "string",
            "enum": ["true", "false"],
            "description": "Overrule the check of the base's name and digest.",
        },
    },
}
ACTOR = "local"


class LiveRequest(BaseModel):
    """`version` is a digest or its first six or more hex digits; `require` a score that it must have, else nothing changes."""

    model_config = ConfigDict(extra="forbid")

    version: str = Field(max_length=80)
    require: Requirement | None = None


class PinnedRequest(BaseModel):
    """Whether the live version stays resident whatever comes."""

    model_config = ConfigDict(extra="forbid")

    pinned: bool


class DefaultRequest(BaseModel):
    """What the model id `default` means: an adapter's name, or null for the base."""

    model_config = ConfigDict(extra="forbid")

    adapter: str | None = Field(max_length=200)


def adapter_routes(runtime: Runtime) -> APIRouter:
    """/v1/adapters… and /v1/default."""
    router = APIRouter(tags=["adapters"])
    lifecycle, registry = runtime.lifecycle, runtime.registry

    def shown(name: str) -> dict[str, Any]:
        return shown_adapter(registry.state.adapter(name), registry.state, lifecycle.residency)

    @router.post(
        "/v1/adapters",
        status_code=201,
        summary="Upload an adapter",
        openapi_extra={"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}},
    )
    async def upload(request: Request) -> JSONResponse:
        if not runtime.is_ready:
            raise Unavailable(f"the engine is {runtime.engine.state}; an upload is proven on it", retry_after=5)
        with runtime.store.stage() as staged:
            form = Upload(staged, _FIELDS)
            await form.read(request)
            if "name" not in form.fields:
                raise BadInput("the field name is missing; send the adapter's name", param="name")
            if (form.archive is not None) == (bool(form.problems) or any((staged / "files").iterdir())):
                raise BadInput("send either one archive, or the adapter's files, and not both", param="archive")
            if form.archive is not None:
                form.problems += await lifecycle.counted(
                    runtime.in_thread(unpack, form.archive, staged / "files", lifecycle.limits)
                )
            manifest, is_new = await lifecycle.upload(
                staged / "files",
                form.fields["name"],
                ACTOR,
                live=flag(form.fields, "live"),
                accept_base=flag(form.fields, "accept_base"),
                found=form.problems,
            )
        live = registry.state.adapter(manifest.name).live == manifest.version
        return JSONResponse(manifest.model_dump(mode="json", by_alias=True) | {"live": live}, status_code=201 if is_new else 200)

    @router.get("/v1/adapters", summary="All adapters")
    async def adapters() -> dict[str, Any]:
        return {"object": "list", "data": [shown(name) for name in registry.state.adapters]}

    @router.get("/v1/adapters/{name}", summary="One adapter, with its versions and what happened to it")
    async def adapter(name: str) -> dict[str, Any]:
        return shown(name) | {"events": await runtime.in_thread(registry.events, name)}

    @router.get("/v1/events", summary="What happened, newest first: who did what, from which version to which")
    async def events(limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> dict[str, Any]:
        return {"object": "list", "data": await runtime.in_thread(registry.events, None, limit)}

    @router.get("/v1/adapters/{name}/versions/{version}", summary="How a version was made, and what is known of it")
    async def adapter_version(name: str, version: str) -> dict[str, Any]:
        found = registry.state.adapter(name).version(version)
        manifest = await runtime.in_thread(runtime.store.manifest, name, found.digest)
        if manifest is None:
            raise NotFound(f"{found.engine_name} is gone", param="version")
        scores = await runtime.in_thread(registry.records.scores, found.digest)
        is_live = registry.state.adapter(name).live == found.digest
        return manifest.model_dump(mode="json", by_alias=True) | {"live": is_live, "scores": scores}

    @router.put("/v1/adapters/{name}/live", summary="Promote a version, or roll back to one")
    async def live(name: str, body: LiveRequest) -> dict[str, Any]:
        await lifecycle.promote(name, body.version, ACTOR, body.require)
        return shown(name)

    @router.post("/v1/adapters/{name}/load", summary="Make the live version resident")
    async def load(name: str) -> dict[str, Any]:
        await lifecycle.load(name)
        return shown(name)

    @router.post("/v1/adapters/{name}/unload", summary="Put the adapter out of the engine")
    async def unload(name: str) -> dict[str, Any]:
        await lifecycle.unload(name)
        return shown(name)

    @router.put("/v1/adapters/{name}/pinned", summary="Keep the live version resident, or let it go")
    async def pinned(name: str, body: PinnedRequest) -> dict[str, Any]:
        await lifecycle.set_pinned(name, body.pinned, ACTOR)
        return shown(name)

    @router.delete("/v1/adapters/{name}", status_code=204, summary="Delete an adapter and all its versions")
    async def delete(name: str) -> Response:
        await lifecycle.delete(name, ACTOR)
        return Response(status_code=204)

    @router.delete("/v1/adapters/{name}/versions/{version}", status_code=204, summary="Delete a version that is not live")
    async def delete_version(name: str, version: str) -> Response:
        await lifecycle.delete_version(name, version, ACTOR)
        return Response(status_code=204)

    @router.get("/v1/default", summary="What the model id default means")
    async def default() -> dict[str, Any]:
        return {"object": "default", "adapter": registry.state.default}

    @router.put("/v1/default", summary="Set what the model id default means")
    async def set_default(body: DefaultRequest) -> dict[str, Any]:
        await lifecycle.set_default(body.adapter, ACTOR)
        return await default()

    return router
