"""From a lease to the last byte of its answer: ended when its time is over, and when nobody waits for it any more."""

import asyncio
import json
from collections.abc import AsyncGenerator, Coroutine, Mapping
from typing import Any

from fastapi import Request
from fastapi.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from adapters.errors import TimedOut
from service.deadline import in_time
from service.errors import STATUS, body_of
from service.inference import CLIENT_CLOSED, Lease


async def while_wanted(request: Request, work: Coroutine[Any, Any, Response]) -> Response:
    """The work's answer; ends the work when the client is gone, its lease with it. The request's body must have been read."""
    task = asyncio.create_task(work)
    gone = asyncio.create_task(_gone(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        task.cancel()
        await asyncio.wait((task,))
        return Response(status_code=CLIENT_CLOSED) if task.cancelled() else task.result()
    finally:
        task.cancel()
        gone.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class LeasedStream(StreamingResponse):
    """A stream of events that holds its lease until the last of it is sent, its time is over, or the client is gone."""

    def __init__(self, content: AsyncGenerator[str, None], lease: Lease, headers: Mapping[str, str]) -> None:
        super().__init__(content, media_type="text/event-stream", headers=headers)
        self._content, self._lease = content, lease
        self._status = CLIENT_CLOSED

    async def stream_response(self, send: Send) -> None:
        """All of it was sent where this returns."""
        await super().stream_response(send)
        self._status = self.status_code

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One clock for the whole stream: a chunk costs nothing more."""
        try:
            await in_time(super().__call__(scope, receive, send), self._lease.left, self._lease.seconds)
        except TimedOut as error:
            # The status has been sent long ago: the error is the stream's last event.
            self._status = STATUS[TimedOut]
            body = json.dumps(body_of(error.message, self._status, None, error.code))
            await send({"type": "http.response.body", "body": f"data: {body}\n\n".encode(), "more_body": False})
        finally:
            await self._content.aclose()
            self._lease.close(self._status)
