"""vLLM in this process: built off the event loop, asked for tokens and scores, told which adapters to hold."""

import asyncio
import contextlib
import gc
import logging
import os
import time
from argparse import Namespace
from collections.abc import AsyncGenerator, Coroutine, Sequence
from typing import Any, TypeVar

import psutil
from fastapi import APIRouter
from starlette.datastructures import State
from vllm import SamplingParams
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.entrypoints.launchers.api_server.app_state import init_app_state
from vllm.exceptions import VLLMClientError
from vllm.inputs.engine import tokens_input
from vllm.lora.request import LoRARequest
from vllm.sampling_params import RequestOutputKind
from vllm.utils.gc_utils import freeze_gc_heap
from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

from adapters.base import Base
from adapters.errors import AdapterRefused, BadInput, Problem, Unavailable
from evaluation.model import Completion
from evaluation.rows import Row
from evaluation.tokens import EncodedRow, encode_prompt, encode_row
from service.engine.arguments import engine_arguments
from service.engine.door import EngineState
from service.engine.exchange import EXCHANGE, Order, Outbox, answered
from service.engine.footprint import ASK
from service.engine.measured import BoundedStats, MeasuredLLM, Observer
from service.engine.openai import openai_routes
from service.engine.version import EngineVersion
from service.inference import RETRY_AFTER, Admission
from service.settings import Settings

_POLL = 0.25
T = TypeVar("T")
log = logging.getLogger("patchbay")
# Seconds between looks at the worker's memory: each takes its thread a millisecond for a gigabyte of cache.
_LOOK_AT_MEMORY = 5.0


class VllmEngine:
    """See service.engine.door.Engine, which this is."""

    def __init__(self, base: Base, settings: Settings, observer: Observer) -> None:
        self._state: EngineState = "starting"
        self.failure: str | None = None
        self.handlers = State()
        self._base = base
        self._args: Namespace = engine_arguments(base, settings)
        self.max_length = int(self._args.max_model_len)
        self._observer = observer
        self._llm: MeasuredLLM | None = None
        self._number = 0
        self._names: dict[int, str] = {}
        self._outbox = Outbox(self._exchange)
        self._footprint: dict[str, int] = {}
        self._watching: asyncio.Task[None] | None = None
        self._building: asyncio.Future[MeasuredLLM] | None = None

    @property
    def state(self) -> EngineState:
        """What it is at this moment: one whose process ended is not ready, though nobody has begun to build it again."""
        return "failed" if self._has_died else self._state

    @property
    def _has_died(self) -> bool:
        return self._state == "ready" and self._llm is not None and self._llm.errored

    async def start(self) -> None:
        """Builds (or builds again) the engine; on failure `state` is failed, `failure` says why, and the error goes on."""
        self._state, self.failure = "starting", None
        gc.unfreeze()  # the engine before this one, if any, may go
        try:
            if self._llm is not None:
                await asyncio.to_thread(self._llm.shutdown)
            self._building = asyncio.ensure_future(asyncio.to_thread(self._build))
            self._llm = await asyncio.shield(self._building)
            handlers = State()
            await init_app_state(self._llm, handlers, self._args, await self._llm.get_supported_tasks())
        except Exception as error:  # whatever a broken installation or base raises inside vLLM, /health has to say it
            self._state, self.failure = "failed", f"{type(error).__name__}: {error}"
            raise
        self.handlers = handlers
        self._names = {}
        self._state = "ready"
        await self._warm_up()
        self._llm.observer = self._observer  # only now: a warm-up is no one's request
        self._watching = asyncio.create_task(self._watch_memory(self._llm))
        self._watching.add_done_callback(_say_why)
        freeze_gc_heap()

    async def _warm_up(self) -> None:
        """The first requests of each kind make the engine prepare itself for seconds; no user should be the one who waits."""
        for text in ("warm up", "warm up a little longer"):
            await self.complete(text, None, 4)
            await self.score_tokens(self.encode_text(text), None)

    def _build(self) -> MeasuredLLM:
        arguments = AsyncEngineArgs.from_cli_args(self._args)
        llm: MeasuredLLM = MeasuredLLM.from_engine_args(arguments, stat_loggers=[BoundedStats])
        return llm

    async def stop(self) -> None:
        """Ends the engine's processes, also of one that is still being built."""
        self._state = "stopped"
        if self._watching is not None:
            self._watching.cancel()
        if self._building is not None:
            self._llm = await self._end_building(self._building) or self._llm
        if self._llm is not None:
            await asyncio.to_thread(self._llm.shutdown)

    async def _end_building(self, building: "asyncio.Future[MeasuredLLM]") -> MeasuredLLM | None:
        """What was built; a build under way, which no one can cancel, fails at once when the processes that it waits for end."""
        while not building.done():
            for child in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
            await asyncio.wait([building], timeout=_POLL)
        return None if building.exception() else building.result()

    async def died(self) -> None:
        """Returns when a running engine has died; while it starts or has stopped, waits on."""
        while not self._has_died:
            await asyncio.sleep(_POLL)
        self._state, self.failure = "failed", "the engine's process ended"

    def _ready(self) -> MeasuredLLM:
        if self.state != "ready" or self._llm is None:
            raise Unavailable(f"the engine is {self.state}", retry_after=RETRY_AFTER)
        return self._llm

    async def load(self, version: EngineVersion) -> None:
        """Makes a version's weights resident, and known to the OpenAI handlers by its engine name."""
        if refusal := await self._outbox.give(Order.bring_in(version)):
            raise AdapterRefused((Problem("engine_refused", f"the engine would not load it: {refusal}"),))
        self.handlers.openai_serving_models.lora_requests[version.name] = _lora_request(version)
        self._names[version.engine_id] = version.name

    async def unload(self, engine_id: int) -> bool:
        """Takes a version's weights out; True when the engine no longer lists it."""
        self.handlers.openai_serving_models.lora_requests.pop(self._names.pop(engine_id, ""), None)
        return not await self._outbox.give(Order("put out", engine_id))

    async def _exchange(self, orders: list[Order]) -> list[str]:
        """What was in the way of each, in any of the engine's workers."""
        told = await self._told(self._ready().collective_rpc(EXCHANGE, args=(orders,)))
        return [next(filter(None, answers), "") for answers in zip(*told, strict=True)]

    async def resident(self) -> set[int]:
        """The engine ids whose weights are in the engine."""
        return set(await self._told(self._ready().list_loras()))

    async def _told(self, question: Coroutine[Any, Any, T]) -> T:
        """What the engine's processes answer. Raises Unavailable when they end before."""
        llm = self._llm
        try:
            return await answered(question, lambda: llm is None or llm.errored or self._state == "stopped")
        except EngineDeadError as error:
            raise Unavailable("the engine died", retry_after=RETRY_AFTER) from error

    async def complete(self, prompt: Any, version: EngineVersion | None, max_tokens: int) -> Completion:
        """A greedy answer; `prompt` is a text or a list of messages for the chat template."""
        ids = encode_prompt(prompt, self._ready().get_tokenizer())
        room = self.max_length - len(ids)
        if room < 1:
            raise BadInput(f"the prompt has {len(ids)} tokens, {self._base.id} takes {self.max_length}", param="prompt")
        params = SamplingParams(temperature=0.0, max_tokens=min(max_tokens, room), output_kind=RequestOutputKind.FINAL_ONLY)
        began = time.monotonic()
        output = await self._last(ids, params, version)
        answer = output.outputs[0]
        return Completion(answer.text, len(answer.token_ids), time.monotonic() - began, answer.finish_reason == "length")

    async def score_tokens(self, ids: Sequence[int], version: EngineVersion | None) -> list[float]:
        """Natural log-probability of each token after the first; as many as `ids` less one."""
        params = SamplingParams(
            temperature=0.0, max_tokens=1, prompt_logprobs=0, detokenize=False, output_kind=RequestOutputKind.FINAL_ONLY
        )
        output = await self._last(tuple(ids), params, version)
        return [entry[token].logprob for token, entry in zip(ids[1:], output.prompt_logprobs[1:], strict=True)]

    async def _last(self, ids: tuple[int, ...], params: SamplingParams, version: EngineVersion | None) -> Any:
        llm = self._ready()
        self._number += 1
        lora = _lora_request(version) if version else None
        stream: AsyncGenerator[Any, None] = llm.generate(
            tokens_input(list(ids)), params, f"patchbay-{os.getpid()}-{self._number}", lora_request=lora
        )
        last = None
        try:
            async for output in stream:
                last = output
        except (EngineDeadError, EngineGenerateError) as error:
            raise Unavailable(f"the engine failed: {error}", retry_after=RETRY_AFTER) from error
        except (VLLMClientError, ValueError) as error:
            raise BadInput(f"the engine does not take this input: {error}") from error
        return last

    def encode(self, row: Row) -> EncodedRow:
        """The row as token ids."""
        return encode_row(row, self._ready().get_tokenizer())

    def encode_text(self, text: str) -> tuple[int, ...]:
        """A text as token ids."""
        return encode_prompt(text, self._ready().get_tokenizer())

    def process_ids(self) -> list[int]:
        """The engine's processes: every child of this one."""
        return [child.pid for child in psutil.Process().children(recursive=True)]

    def memory(self) -> dict[str, int]:
        """As the worker told it last, at most `_LOOK_AT_MEMORY` seconds ago; nothing while there is none."""
        return dict(self._footprint) if self.state == "ready" else {}

    async def _watch_memory(self, llm: MeasuredLLM) -> None:
        with contextlib.suppress(Unavailable):
            while not llm.errored:
                workers = await self._told(llm.collective_rpc(ASK))
                self._footprint = {part: sum(told[part] for told in workers) for part in workers[0]}
                await asyncio.sleep(_LOOK_AT_MEMORY)

    def routes(self, admission: Admission) -> APIRouter:
        """OpenAI's inference routes, answered by vLLM's own handlers."""
        return openai_routes(self, admission)


def _say_why(watching: "asyncio.Task[None]") -> None:
    """A worker that cannot tell its memory would else look like one that has none."""
    if not watching.cancelled() and (error := watching.exception()) is not None:
        log.error("the engine's memory is measured no more, its parts show as 0: %s: %s", type(error).__name__, error)


def _lora_request(version: EngineVersion) -> LoRARequest:
    return LoRARequest(lora_name=version.name, lora_int_id=version.engine_id, lora_path=str(version.path))
