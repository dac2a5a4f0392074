"""Adapters over HTTP: upload, look, switch, load, pin, delete."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from adapters.archive import ALLOWED, unpack
from adapters.errors import BadInput, Forbidden, NotFound, Unavailable
from service.caller import caller, own
from service.description import errors
from service.gate import Requirement
from service.routing import default_is_known
from service.runtime import Runtime
from service.shapes import AdapterShown, AdapterWithEvents, DefaultShown, Event, Listing, Uploaded, VersionShown
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


class LiveRequest(BaseModel):
    """`version` is a digest or its first six or more hex digits; `require` a score that it must have, else nothing changes."""

    model_config = ConfigDict(extra="forbid")

    version: str = Field(max_length=80)
    require: Requirement | None = None


class PinnedRequest(BaseModel):
    """Whether the live version stays resident whatever comes."""

    model_config = ConfigDict(extra="forbid")

    pinned: bool = Field(strict=True)


class DefaultRequest(BaseModel):
    """What the model id `default` means: an adapter's name, or null for the base."""

    model_config = ConfigDict(extra="forbid")

    adapter: str | None = Field(max_length=200)


def adapter_routes(runtime: Runtime) -> APIRouter:
    """/v1/adapters… and /v1/default."""
    lifecycle, registry, base_id = runtime.lifecycle, runtime.registry, runtime.base.id

    async def visible(request: Request) -> None:
        """On every route below a name: one that the caller may not use is as unknown as one that is not there."""
        if "name" in request.path_params:
            caller().view(registry.state).adapter(request.path_params["name"])

    router = APIRouter(tags=["adapters"], dependencies=[Depends(visible)])

    def shown(name: str) -> dict[str, Any]:
        return shown_adapter(registry.state.adapter(name), registry.state, lifecycle.residency)

    async def seen_events(name: str | None, limit: int) -> list[dict[str, Any]]:
        """A change of the default route names two adapters, the others one."""
        events = await runtime.in_thread(registry.events, name, limit)
        names = [(e["name"], *((e["from"], e["to"]) if e["action"] == "default" else ())) for e in events]
        return [e for e, ids in zip(events, names, strict=True) if all(caller().may_see(i, base_id) for i in ids)]

    @router.post(
        "/v1/adapters",
        status_code=201,
        response_model=Uploaded,
        responses={200: {"model": Uploaded, "description": "The same content was there already"}, **errors(409, 422, 429, 507)},
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
            caller().require(form.fields["name"])
            if (form.archive is not None) == (bool(form.problems) or any((staged / "files").iterdir())):
                raise BadInput("send either one archive, or the adapter's files, and not both", param="archive")
            if form.archive is not None:
                form.problems += await lifecycle.counted(
                    runtime.in_thread(unpack, form.archive, staged / "files", lifecycle.limits)
                )
            manifest, is_new = await lifecycle.upload(
                staged / "files",
                form.fields["name"],
                caller().name,
                live=flag(form.fields, "live"),
                accept_base=flag(form.fields, "accept_base"),
                found=form.problems,
            )
        live = registry.state.adapter(manifest.name).live == manifest.version
        return JSONResponse(manifest.model_dump(mode="json", by_alias=True) | {"live": live}, status_code=201 if is_new else 200)

    @router.get("/v1/adapters", response_model=Listing[AdapterShown], summary="All adapters")
    async def adapters() -> dict[str, Any]:
        return {"object": "list", "data": [shown(name) for name in caller().view(registry.state).adapters]}

    @router.get(
        "/v1/adapters/{name}",
        response_model=AdapterWithEvents,
        responses=errors(404),
        summary="One adapter, with its versions and what happened to it",
    )
    async def adapter(name: str) -> dict[str, Any]:
        return shown(name) | {"events": await seen_events(name, 100)}

    @router.get(
        "/v1/events",
        response_model=Listing[Event],
        summary="What happened, newest first: who did what, from which version to which",
    )
    async def events(limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> dict[str, Any]:
        return {"object": "list", "data": await seen_events(None, limit)}

    @router.get(
        "/v1/adapters/{name}/versions/{version}",
        response_model=VersionShown,
        responses=errors(404, 409),
        summary="How a version was made, and what is known of it",
    )
    async def adapter_version(name: str, version: str) -> dict[str, Any]:
        found = registry.state.adapter(name).version(version)
        manifest = await runtime.in_thread(runtime.store.manifest, name, found.digest)
        if manifest is None:
            raise NotFound(f"{found.engine_name} is gone", param="version")
        scores = await runtime.in_thread(registry.records.scores, found.digest)
        scores = {kind: [s for s in some if caller().may_see(s["against"], base_id)] for kind, some in scores.items()}
        is_live = registry.state.adapter(name).live == found.digest
        return manifest.model_dump(mode="json", by_alias=True) | {"live": is_live, "scores": scores}

    @router.put(
        "/v1/adapters/{name}/live",
        response_model=AdapterShown,
        responses=errors(404, 409, 422, 429),
        summary="Promote a version, or roll back to one",
    )
    async def live(name: str, body: LiveRequest) -> dict[str, Any]:
        if body.require is not None:
            own(runtime.evaluations.get(body.require.evaluation))
        await lifecycle.promote(name, body.version, caller().name, body.require)
        return shown(name)

    @router.post(
        "/v1/adapters/{name}/load",
        response_model=AdapterShown,
        responses=errors(404, 409, 422, 429),
        summary="Make the live version resident",
    )
    async def load(name: str) -> dict[str, Any]:
        await lifecycle.load(name)
        return shown(name)

    @router.post(
        "/v1/adapters/{name}/unload",
        response_model=AdapterShown,
        responses=errors(404, 409),
        summary="Put the adapter out of the engine",
    )
    async def unload(name: str) -> dict[str, Any]:
        await lifecycle.unload(name)
        return shown(name)

    @router.put(
        "/v1/adapters/{name}/pinned",
        response_model=AdapterShown,
        responses=errors(404, 409, 422, 429),
        summary="Keep the live version resident, or let it go",
    )
    async def pinned(name: str, body: PinnedRequest) -> dict[str, Any]:
        await lifecycle.set_pinned(name, body.pinned, caller().name)
        return shown(name)

    @router.delete(
        "/v1/adapters/{name}", status_code=204, responses=errors(404, 409), summary="Delete an adapter and all its versions"
    )
    async def delete(name: str) -> Response:
        await lifecycle.delete(name, caller().name)
        return Response(status_code=204)

    @router.delete(
        "/v1/adapters/{name}/versions/{version}",
        status_code=204,
        responses=errors(404, 409),
        summary="Delete a version that is not live",
    )
    async def delete_version(name: str, version: str) -> Response:
        await lifecycle.delete_version(name, version, caller().name)
        return Response(status_code=204)

    @router.get("/v1/default", response_model=DefaultShown, responses=errors(404), summary="What the model id default means")
    async def default() -> dict[str, Any]:
        if not default_is_known(caller().view(registry.state)):
            raise NotFound("the default route is not among what this key may use", param="adapter")
        return {"object": "default", "adapter": registry.state.default}

    @router.put(
        "/v1/default", response_model=DefaultShown, responses=errors(404, 409), summary="Set what the model id default means"
    )
    async def set_default(body: DefaultRequest) -> dict[str, Any]:
        if caller().adapters is not None:
            raise Forbidden("the default route is everyone's; setting it needs an admin's key without a list of adapters")
        await lifecycle.set_default(body.adapter, caller().name)
        return await default()

    return router
