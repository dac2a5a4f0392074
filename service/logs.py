"""Log lines, as text or as JSON, and one for each request: who answered it and how long it took; no prompt, no answer, no key."""

import json
import logging
import re
import time
import uuid
from contextvars import ContextVar
from datetime import UTC, datetime

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.inference import HEADER
from service.settings import LogFormat

REQUEST_ID = "X-Request-Id"
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
_GIVEN = re.compile(r"[A-Za-z0-9._:/-]{1,128}")
_access = logging.getLogger("patchbay.access")
_QUIET = ("/metrics", "/health", "/ready")


class JsonLines(logging.Formatter):
    """One object a line: time (UTC), level, logger, message, and what the record carries besides."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if found := request_id.get():
            fields["request_id"] = found
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        return json.dumps(fields)


def set_up(form: LogFormat) -> None:
    """Ours from INFO on, others' from WARNING on, to standard error."""
    handler = logging.StreamHandler()
    text = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    handler.setFormatter(JsonLines() if form == "json" else logging.Formatter(text))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("patchbay").setLevel(logging.INFO)
    # A line for each request is for machines to read; people have the metrics.
    _access.setLevel(logging.INFO if form == "json" else logging.WARNING)


class RequestIds:
    """Gives each request an id (the caller's, where it is a plain one), answers with it, and logs the request at its end."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get(REQUEST_ID, "")
        name = given if _GIVEN.fullmatch(given) else uuid.uuid4().hex
        token, began = request_id.set(name), time.monotonic()
        seen: dict[str, object] = {"status": 499}

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = name
                seen.update(status=message["status"], adapter=headers.get(HEADER))
            await send(message)

        try:
            await self.app(scope, receive, named)
        except Exception:
            seen["status"] = 500  # answered further out
            raise
        finally:
            if _access.isEnabledFor(logging.INFO) and scope["path"] not in _QUIET:
                seconds = round(time.monotonic() - began, 6)
                fields = {"method": scope["method"], "path": scope["path"], **seen, "seconds": seconds}
                _access.info("%s %s %s", scope["method"], scope["path"], seen["status"], extra={"fields": fields})
            request_id.reset(token)
