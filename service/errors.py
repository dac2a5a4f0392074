"""Error class -> HTTP status, once; and every error's body in OpenAI's shape."""

import logging
import math
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from adapters.errors import (
    AdapterRefused,
    BadInput,
    Busy,
    Conflict,
    Forbidden,
    NotFound,
    PatchbayError,
    PortInUse,
    StorageFull,
    TimedOut,
    TooLarge,
    Unauthorized,
    Unavailable,
)

log = logging.getLogger("patchbay")

STATUS: dict[type[PatchbayError], int] = {
    BadInput: 400,
    PortInUse: 400,
    Unauthorized: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    TooLarge: 413,
    AdapterRefused: 422,
    Busy: 429,
    Unavailable: 503,
    TimedOut: 504,
    StorageFull: 507,
}
_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


def kind_of(status: int) -> str:
    """OpenAI's `type` of an error by its status."""
    return _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")


def body_of(message: str, status: int, param: str | None, code: str) -> dict[str, Any]:
    """`{"error": {...}}` as OpenAI's clients expect it."""
    return {"error": {"message": message, "type": kind_of(status), "param": param, "code": code}}


def response_of(error: PatchbayError) -> JSONResponse:
    """The answer to an error of ours; a refused adapter lists every problem."""
    status = STATUS[type(error)]
    body = body_of(error.message, status, error.param, error.code)
    if isinstance(error, AdapterRefused):
        body["error"]["problems"] = [{"code": p.code, "message": p.message, "where": p.where} for p in error.problems]
    headers = {}
    if isinstance(error, Busy | Unavailable):
        headers["Retry-After"] = str(math.ceil(error.retry_after))
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(body, status_code=status, headers=headers)


def install(app: FastAPI) -> None:
    """Handlers for our errors, the framework's and whatever else is raised."""

    @app.exception_handler(PatchbayError)
    async def ours(request: Request, error: PatchbayError) -> JSONResponse:
        return response_of(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse(_validation_body(error), status_code=400)

    @app.exception_handler(HTTPException)
    async def framework(request: Request, error: HTTPException) -> JSONResponse:
        message = str(error.detail)
        if error.status_code == 404:
            message = f"there is no {request.method} {request.url.path}; /docs lists the routes"
        code = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}.get(error.status_code, "bad_request")
        return JSONResponse(body_of(message, error.status_code, None, code), status_code=error.status_code, headers=error.headers)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        # A fault of ours: the log has it whole, the caller learns nothing of the inside.
        log.exception("unexpected error in %s %s", request.method, request.url.path, exc_info=error)
        return JSONResponse(
            body_of("an unexpected error; the service's log has the details", 500, None, "internal_error"), status_code=500
        )


def _validation_body(error: RequestValidationError) -> dict[str, Any]:
    first = error.errors()[0]
    location = [str(part) for part in first["loc"] if part != "body"]
    param = ".".join(location) or None
    if first["type"] == "extra_forbidden":
        return body_of(f"unknown field {param!r}; leave it out or check its spelling", 400, param, "unknown_parameter")
    shown = repr(first.get("input"))
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    return body_of(f"{param or 'the body'}: {first['msg']}, got {shown}", 400, param, "invalid_value")
