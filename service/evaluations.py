"""Evaluations inside the running service: queued, run one at a time, resumed after a restart, kept with their samples."""

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Mapping
from contextvars import Context
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from adapters.errors import BadInput, Busy, Conflict, NotFound, PatchbayError, Unavailable
from adapters.manifest import now
from adapters.registry import Registry
from adapters.store import disk_full_is_ours
from evaluation.data.write import row_record, rows_digest
from evaluation.evaluate import evaluate, plan
from evaluation.report import Plan, Report
from evaluation.rows import Row, load_rows, rows_of
from service.admission import Desk, Held
from service.engine.door import Engine
from service.engine_model import EngineModel
from service.evaluation_files import write_lines
from service.files import Files
from service.metrics import Metrics

log = logging.getLogger("patchbay")
ROUTE = "/v1/evaluations"
_QUEUE = 32
_PENDING = ("queued", "running")
_TRIES = 3
_PATIENCE = 300.0


class EvaluationRequest(BaseModel):
    """What is asked. `baseline` is the base unless given; null compares with nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(min_length=1, max_length=200)
    baseline: str | None = Field(default="", max_length=200)
    file: str | None = Field(default=None, max_length=60)
    rows: list[dict[str, Any]] | None = None
    metrics: list[str] = Field(default_factory=list, max_length=16)
    max_tokens: int = Field(default=64, ge=1, le=4096)
    limit: int | None = Field(default=None, ge=1)
    seed: int = Field(default=1, ge=0, lt=2**32)


class Evaluations:
    """All evaluations of a service. Their rows and samples lie in a folder of their own beside the uploaded files.

    `base` is what they run on: its id, digest and format.
    """

    def __init__(
        self,
        registry: Registry,
        desk: Desk,
        engine: Engine,
        files: Files,
        metrics: Metrics,
        folder: Path,
        concurrency: int,
        base: Mapping[str, str],
    ) -> None:
        self._registry, self._desk, self._engine, self._files, self._metrics = registry, desk, engine, files, metrics
        self._folder, self._concurrency, self._base = folder, concurrency, dict(base)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._bodies: dict[str, dict[str, Any]] = {}
        self._turn = asyncio.Semaphore(1)
        folder.mkdir(parents=True, exist_ok=True)

    async def create(self, asked: EvaluationRequest, maker: str) -> dict[str, Any]:
        """Checks everything that can be checked now, stores the rows and queues the evaluation; `maker` is who asks.

        Raises:
            BadInput, NotFound: the rows, a metric, the model or the baseline cannot be used.
            Busy: too many are waiting already.
        """
        if len(self._tasks) >= _QUEUE:
            raise Busy(f"{_QUEUE} evaluations are waiting already; try again when some have ended", retry_after=30)
        rows = self._rows(asked)
        prepared = plan(rows, asked.metrics, max_tokens=asked.max_tokens, limit=asked.limit, seed=asked.seed)
        model, baseline = self._ids(asked)
        body: dict[str, Any] = {
            "id": f"eval-{secrets.token_hex(12)}",
            "object": "evaluation",
            "status": "queued",
            "created": now(),
            "finished": None,
            "model": model,
            "baseline": baseline,
            "base": self._base,
            "items": rows_digest(prepared.rows),
            "request": asked.model_dump(exclude={"rows"}),
            "n": len(prepared.rows),
            "metrics": [metric.name for metric in prepared.metrics],
            "progress": {"done": 0, "total": prepared.calls(2 if baseline else 1)},
            "scores": None,
            "error": None,
            "made_by": maker,
        }
        await asyncio.to_thread(self._store_rows, body["id"], prepared.rows)
        self._save(body)
        self._begin(body)
        return body

    def _rows(self, asked: EvaluationRequest) -> list[Row]:
        if (asked.file is None) == (asked.rows is None):
            raise BadInput("give either file (the id of an uploaded file) or rows (a list of rows)", param="file")
        return self._files.rows(asked.file) if asked.file is not None else rows_of(asked.rows or [])

    def _ids(self, asked: EvaluationRequest) -> tuple[str, str | None]:
        """The exact versions that are compared: what `name` means later does not change an evaluation."""
        model = self._desk.exact(asked.model)
        if asked.baseline is None:
            return model, None
        baseline = self._desk.exact(asked.baseline or self._desk.base_id)
        if baseline == model and asked.baseline:
            raise BadInput(
                f"model and baseline are both {model}; compare two different ones, or send baseline null", param="baseline"
            )
        return model, None if baseline == model else baseline

    def resume(self) -> None:
        """After a start: what was waiting or under way when the service ended begins again."""
        for status in _PENDING:
            for body in reversed(self._registry.records.all(status)):
                if body["id"] not in self._tasks:
                    self._begin(body | {"status": "queued"})

    async def stop(self) -> None:
        """Ends what is under way; it begins again at the next start."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _begin(self, body: dict[str, Any]) -> None:
        self._bodies[body["id"]] = body
        # A context of its own: the work is the service's, as after a restart, and not the request's that began it.
        task = asyncio.create_task(self._run(body), context=Context())
        self._tasks[body["id"]] = task
        task.add_done_callback(lambda _: self._ended(body["id"]))

    def _ended(self, evaluation_id: str) -> None:
        self._tasks.pop(evaluation_id, None)
        self._bodies.pop(evaluation_id, None)

    async def _run(self, body: dict[str, Any]) -> None:
        async with self._turn:
            self._metrics.evaluations.inc()
            try:
                await self._attempt(body)
            except PatchbayError as error:
                self._finish(body, "failed", {"message": error.message, "code": error.code})
            except Exception as error:  # a fault of ours in one evaluation is shown there, and the next one runs
                log.exception("evaluation %s", body["id"])
                self._finish(
                    body, "failed", {"message": f"an unexpected error: {type(error).__name__}", "code": "internal_error"}
                )
            finally:
                self._metrics.evaluations.dec()

    async def _attempt(self, body: dict[str, Any]) -> None:
        """Once; and again from the start where the engine died in between."""
        prepared = await asyncio.to_thread(self._load_plan, body)
        for attempt in range(1, _TRIES + 1):
            # One that was begun on another base is wholly of this one.
            body |= {"status": "running", "base": self._base}
            self._save(body)
            try:
                report = await self._evaluate(body, prepared)
            except* Unavailable as group:
                if attempt == _TRIES:
                    raise group.exceptions[0] from None
                await self._engine_back()
            else:
                await asyncio.to_thread(self._store_samples, body["id"], report)
                body |= report.to_json() | {"model": body["model"], "baseline": body["baseline"]}
                self._finish(body, "completed", None)
                return

    async def _engine_back(self) -> None:
        """Returns when the engine answers again, or after so long that it will not."""
        ends = time.monotonic() + _PATIENCE
        await asyncio.sleep(1.0)  # a death is noticed a moment after the request that it ended
        while self._engine.state != "ready" and time.monotonic() < ends:
            await asyncio.sleep(0.5)

    async def _evaluate(self, body: dict[str, Any], prepared: Plan) -> Report:
        model = await self._desk.admit(body["model"], ROUTE)
        baseline: Held | None = None
        status = 500
        try:
            baseline = await self._desk.admit(body["baseline"], ROUTE) if body["baseline"] else None
            pair = [EngineModel(self._engine, lease) for lease in (model, baseline) if lease is not None]
            report = await evaluate(
                pair[0],
                pair[1] if len(pair) > 1 else None,
                prepared,
                concurrency=self._concurrency,
                on_progress=lambda done, total: body["progress"].update(done=done, total=total),
            )
            status = 200
            return report
        finally:
            for lease in (model, baseline):
                if lease is not None:
                    lease.close(status)

    def _finish(self, body: dict[str, Any], status: str, error: dict[str, str] | None) -> None:
        body |= {"status": status, "finished": now(), "error": error}
        self._save(body)
        name = self._name(body)
        for metric, figures in (body["scores"] or {}).items():
            if name in self._registry.state.adapters and figures["value"] is not None:
                self._metrics.score.labels(name, metric).set(figures["value"])

    @staticmethod
    def _name(body: dict[str, Any]) -> str | None:
        name, at, _ = body["model"].partition("@")
        return name if at else None

    def _save(self, body: dict[str, Any]) -> None:
        self._registry.records.save(body)

    def get(self, evaluation_id: str) -> dict[str, Any]:
        """An evaluation as it is now. Raises NotFound."""
        return self._bodies.get(evaluation_id) or self._registry.records.get(evaluation_id)

    def all(self) -> list[dict[str, Any]]:
        """All evaluations, newest first."""
        return [self._bodies.get(body["id"], body) for body in self._registry.records.all()]

    async def cancel(self, evaluation_id: str) -> dict[str, Any]:
        """Ends one that waits or runs. Raises NotFound, or Conflict for one that has ended."""
        body = self.get(evaluation_id)
        task = self._tasks.get(evaluation_id)
        if task is None:
            raise Conflict(f"the evaluation {evaluation_id} is {body['status']} already")
        task.cancel()
        await asyncio.wait([task])
        self._finish(body, "cancelled", None)
        return body

    def samples(self, evaluation_id: str) -> list[dict[str, Any]]:
        """Every item with its outputs and figures. Raises NotFound, or Conflict before it has completed."""
        body = self.get(evaluation_id)
        if body["status"] != "completed":
            raise Conflict(f"the evaluation {evaluation_id} is {body['status']}; samples are there when it has completed")
        path = self._path(evaluation_id) / "samples.jsonl"
        if not path.is_file():
            raise NotFound(f"the samples of {evaluation_id} are gone")
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def _path(self, evaluation_id: str) -> Path:
        return self._folder / evaluation_id

    def _store_rows(self, evaluation_id: str, rows: list[Row]) -> None:
        with disk_full_is_ours():
            self._path(evaluation_id).mkdir()
            write_lines(self._path(evaluation_id) / "rows.jsonl", [row_record(row) for row in rows])

    def _store_samples(self, evaluation_id: str, report: Report) -> None:
        with disk_full_is_ours():
            write_lines(self._path(evaluation_id) / "samples.jsonl", report.samples)

    def _load_plan(self, body: dict[str, Any]) -> Plan:
        """The rows as they were drawn, so that a resumed evaluation is the same evaluation."""
        asked = body["request"]
        rows = load_rows(self._path(body["id"]) / "rows.jsonl")
        return plan(rows, body["metrics"], max_tokens=asked["max_tokens"], seed=asked["seed"])
