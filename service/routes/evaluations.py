"""Evaluations over HTTP: start, watch, read, cancel; and the files they take their rows from."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, UploadFile
from fastapi.responses import JSONResponse

from adapters.errors import BadInput
from service.caller import caller, own
from service.description import errors
from service.evaluations import EvaluationRequest
from service.runtime import Runtime
from service.shapes import EvaluationShown, FileDeleted, FileShown, Listing, Sample

_CHUNK = 1 << 20


def evaluation_routes(runtime: Runtime) -> APIRouter:
    """/v1/files… and /v1/evaluations…"""
    router = APIRouter(tags=["evaluations"])
    files, evaluations = runtime.files, runtime.evaluations

    @router.post("/v1/files", response_model=FileShown, responses=errors(507), summary="Store a data file")
    async def add_file(file: UploadFile, purpose: Annotated[str, Form(max_length=40)]) -> dict[str, Any]:
        if purpose != "eval":
            raise BadInput(f"purpose is {purpose!r}; only eval is taken", param="purpose")

        async def chunks() -> Any:
            while chunk := await file.read(_CHUNK):
                yield chunk

        return await files.add(file.filename or "data.jsonl", chunks(), caller().name)

    @router.get("/v1/files", response_model=Listing[FileShown], summary="All files")
    async def all_files() -> dict[str, Any]:
        return {"object": "list", "data": [note for note in files.all() if caller().owns(note)]}

    @router.get("/v1/files/{file_id}", response_model=FileShown, responses=errors(404), summary="One file")
    async def one_file(file_id: str) -> dict[str, Any]:
        return own(files.get(file_id))

    @router.delete("/v1/files/{file_id}", response_model=FileDeleted, responses=errors(404), summary="Remove a file")
    async def delete_file(file_id: str) -> dict[str, Any]:
        own(files.get(file_id))
        files.delete(file_id)
        return {"id": file_id, "object": "file", "deleted": True}

    @router.post(
        "/v1/evaluations",
        status_code=202,
        response_model=EvaluationShown,
        responses=errors(404, 409, 429, 507),
        summary="Start an evaluation",
    )
    async def create(body: EvaluationRequest) -> JSONResponse:
        if body.file is not None:
            own(files.get(body.file))
        return JSONResponse(await evaluations.create(body, caller().name), status_code=202)

    @router.get("/v1/evaluations", response_model=Listing[EvaluationShown], summary="All evaluations, newest first")
    async def all_evaluations() -> dict[str, Any]:
        return {"object": "list", "data": [body for body in await runtime.in_thread(evaluations.all) if caller().owns(body)]}

    @router.get(
        "/v1/evaluations/{evaluation_id}",
        response_model=EvaluationShown,
        responses=errors(404),
        summary="An evaluation: its progress, then its scores",
    )
    async def one(evaluation_id: str) -> dict[str, Any]:
        return own(evaluations.get(evaluation_id))

    @router.get(
        "/v1/evaluations/{evaluation_id}/samples",
        response_model=Listing[Sample],
        responses=errors(404, 409),
        summary="Every item with its outputs",
    )
    async def samples(evaluation_id: str) -> dict[str, Any]:
        own(evaluations.get(evaluation_id))
        return {"object": "list", "data": await runtime.in_thread(evaluations.samples, evaluation_id)}

    @router.post(
        "/v1/evaluations/{evaluation_id}/cancel",
        response_model=EvaluationShown,
        responses=errors(404, 409),
        summary="End an evaluation that waits or runs",
    )
    async def cancel(evaluation_id: str) -> dict[str, Any]:
        own(evaluations.get(evaluation_id))
        return await evaluations.cancel(evaluation_id)

    return router
