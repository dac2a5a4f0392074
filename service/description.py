"""The service's description of itself (/openapi.json): which statuses a route may answer, and in which shape."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from service.access import is_open
from service.inference import INFERENCE
from service.shapes import Error

_ALWAYS_UP = "/health"


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`: the errors it may answer by its own doing."""
    return {status: {"model": Error, "description": HTTPStatus(status).phrase} for status in statuses}


def describe(app: FastAPI, has_keys: bool) -> None:
    """Adds what is true of every route: keys, limits of size, and that the service may be ending."""

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = get_openapi(title=app.title, version=app.version, routes=app.routes)
            if has_keys:
                found["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
            for path, operations in found["paths"].items():
                for operation in operations.values():
                    _complete(path, operation, has_keys)
                    if path in INFERENCE:
                        _close(found["components"]["schemas"], operation)
            for unused in ("HTTPValidationError", "ValidationError"):
                found["components"]["schemas"].pop(unused, None)
            app.openapi_schema = found
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]


def _complete(path: str, operation: dict[str, Any], has_keys: bool) -> None:
    responses = operation["responses"]
    common = set()
    if _is_frameworks(responses.get("422")):
        del responses["422"]
        common.add(400)  # what the framework calls 422 is answered with 400 here
    if path != _ALWAYS_UP:
        common.add(503)
    if not is_open(path) and has_keys:
        common.add(401)
        operation["security"] = [{"key": []}]
    common.add(403)  # a role that is not enough, or without keys another site's page
    if "requestBody" in operation:
        common |= {400, 413}
    for status in sorted(common):
        responses.setdefault(str(status), _error(status))
    operation["responses"] = dict(sorted(responses.items()))


def _close(schemas: dict[str, Any], operation: dict[str, Any]) -> None:
    """vLLM's requests allow further fields; here they are refused."""
    reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    schemas[reference.rpartition("/")[2]]["additionalProperties"] = False


def _is_frameworks(response: Any) -> bool:
    return response is not None and "HTTPValidationError" in str(response)


def _error(status: int) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Error"}
    return {"description": HTTPStatus(status).phrase, "content": {"application/json": {"schema": schema}}}
