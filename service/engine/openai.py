"""OpenAI's inference routes: vLLM's handlers, given the weights that the model id means, and made to say which they were."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, TypeAdapter, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from starlette.datastructures import State
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest, ChatCompletionResponse
from vllm.entrypoints.openai.completion.protocol import CompletionRequest, CompletionResponse
from vllm.entrypoints.serve.engine.protocol import ErrorResponse
from vllm.entrypoints.serve.exception_handling.error_response import create_error_response
from vllm.exceptions import VLLMError, VLLMValidationError
from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

from adapters.errors import BadInput, TimedOut, Unavailable
from service.answering import LeasedStream, while_wanted
from service.deadline import in_time
from service.description import errors
from service.errors import STATUS
from service.inference import CLIENT_CLOSED, HEADER, RETRY_AFTER, Admission, Lease

# What vLLM's handlers raise for requests they cannot serve.
_HANDLER_ERRORS = (VLLMError, ValueError, TypeError, OverflowError, NotImplementedError)


class Host(Protocol):
    """The handlers of the engine that runs now; another set after a restart."""

    handlers: State


def openai_routes(host: Host, admission: Admission) -> APIRouter:
    """POST /v1/completions and /v1/chat/completions."""
    router = APIRouter(tags=["inference"])

    @router.post("/v1/completions", responses=_responses(CompletionResponse), summary="Complete a prompt")
    async def completions(request: Annotated[CompletionRequest, _reading(CompletionRequest)], raw_request: Request) -> Response:
        return await while_wanted(raw_request, complete(request, raw_request))

    @router.post("/v1/chat/completions", responses=_responses(ChatCompletionResponse), summary="Answer a conversation")
    async def chat_completions(
        request: Annotated[ChatCompletionRequest, _reading(ChatCompletionRequest)], raw_request: Request
    ) -> Response:
        return await while_wanted(raw_request, chat(request, raw_request))

    async def complete(request: CompletionRequest, raw_request: Request) -> Response:
        _refuse_unknown(request)
        lease = await admission.admit(request.model, "/v1/completions")
        return await _answer(lease, request, raw_request, host.handlers.openai_serving_completion.create_completion)

    async def chat(request: ChatCompletionRequest, raw_request: Request) -> Response:
        _refuse_unknown(request)
        lease = await admission.admit(request.model, "/v1/chat/completions")
        return await _answer(lease, request, raw_request, host.handlers.openai_serving_chat.create_chat_completion)

    return router


def _reading(model: type[BaseModel]) -> WrapValidator:
    """A request as vLLM's model reads it, what that says in its own way translated: pydantic passes on what is no ValueError.

    Raises BadInput, or RequestValidationError where vLLM's checks look into a field whose type nobody has checked yet.
    """

    def read(body: Any, whole: ValidatorFunctionWrapHandler) -> Any:
        try:
            return whole(body)
        except VLLMValidationError as error:
            raise BadInput(str(error), param=error.parameter) from error
        except (VLLMError, TypeError, AttributeError) as error:
            _check_types(model, body)
            raise BadInput(f"the request cannot be read: {error}; /docs describes its fields") from error

    return WrapValidator(read)


def _check_types(model: type[BaseModel], body: dict[str, Any]) -> None:
    for name in model.model_fields.keys() & body.keys():
        annotation: Any = model.model_fields[name].annotation
        try:
            TypeAdapter(annotation).validate_python(body[name])
        except ValidationError as error:
            raise RequestValidationError([{**found, "loc": ("body", name, *found["loc"])} for found in error.errors()]) from error


def _responses(model: type[Any]) -> dict[int | str, dict[str, Any]]:
    """For the description: an answer or its stream, and what is refused or fails."""
    return {200: {"model": model, "content": {"text/event-stream": {}}}, **errors(404, 409, 422, 429, 500, 501, 504)}


def _refuse_unknown(request: Any) -> None:
    """vLLM takes unknown fields without a word; a misspelt one would silently change nothing."""
    if request.model_extra:
        name = sorted(request.model_extra)[0]
        raise BadInput(f"unknown field {name!r}; leave it out or check its spelling", param=name, code="unknown_parameter")


async def _answer(lease: Lease, request: Any, raw_request: Request, handler: Callable[..., Awaitable[Any]]) -> Response:
    asked = request.model or lease.target.label
    handed_over = False
    status = CLIENT_CLOSED
    try:
        # The engine's own name decides, never the one that was asked for: a switch in between changes nothing here.
        engine_name = lease.target.version.name if lease.target.version else lease.target.label
        work = handler(request.model_copy(update={"model": engine_name}), raw_request)
        result = await in_time(work, lease.left, lease.seconds)
        _end_if_cancelled()
        headers = {HEADER: lease.target.header}
        if isinstance(result, ErrorResponse):
            status = result.error.code
            return JSONResponse(_error_body(result), status_code=status, headers=headers)
        if isinstance(result, AsyncGenerator):
            stream = _rewritten(result, engine_name, asked, lease.target.fingerprint)
            handed_over = True
            return LeasedStream(stream, lease, headers)
        result.model, result.system_fingerprint = asked, lease.target.fingerprint
        status = 200
        return JSONResponse(result.model_dump(), headers=headers)
    except (EngineDeadError, EngineGenerateError) as error:
        status = 503
        raise Unavailable("the engine failed while it answered; it is being built again", retry_after=RETRY_AFTER) from error
    except TimedOut:
        status = STATUS[TimedOut]
        raise
    except _HANDLER_ERRORS as error:
        refused = create_error_response(error)
        status = refused.error.code
        return JSONResponse(_error_body(refused), status_code=status, headers={HEADER: lease.target.header})
    finally:
        if not handed_over:
            lease.close(status)


def _end_if_cancelled() -> None:
    """vLLM's handlers answer a cancellation with an error of their own; nobody is there to read it."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _error_body(error: ErrorResponse) -> dict[str, Any]:
    """OpenAI's shape: vLLM puts the status where OpenAI has a code."""
    kind = "invalid_request_error" if error.error.code < 500 else "server_error"
    code = "invalid_value" if error.error.code < 500 else "engine_error"
    return {"error": {"message": error.error.message, "type": kind, "param": error.error.param, "code": code}}


async def _rewritten(
    source: AsyncGenerator[str, None], engine_name: str, asked: str, fingerprint: str
) -> AsyncGenerator[str, None]:
    """Each chunk names the model that was asked for, and what made it. One replacement a chunk: parsing would cost more."""
    old = f'"model":{json.dumps(engine_name, ensure_ascii=False)}'  # as vLLM writes it
    new = f'"model":{json.dumps(asked)},"system_fingerprint":{json.dumps(fingerprint)}'
    async with aclosing(source):
        async for chunk in source:
            yield chunk.replace(old, new, 1)
