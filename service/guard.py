"""What every request passes before any route: its size, and where a browser says it comes from."""

from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.errors import Forbidden, TooLarge
from service.errors import response_of
from service.settings import LOOPBACK


class BodyLimit:
    """Refuses a body larger than its route takes: at once when it says its size, else when it has come too far."""

    def __init__(self, app: ASGIApp, limit_of: Callable[[str], int]) -> None:
        self.app, self.limit_of = app, limit_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Counts what comes in."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.limit_of(scope["path"])
        message = f"the body has more than the {limit} bytes this route takes"
        length = Headers(scope=scope).get("content-length", "0")
        if length.isdigit() and int(length) > limit:
            await response_of(TooLarge(message))(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            part = await receive()
            seen += len(part.get("body", b""))
            if seen > limit:
                # FastAPI passes this one through while it reads a body; others it calls a parsing error.
                raise HTTPException(413, message)
            return part

        await self.app(scope, counted, send)


class LocalOnly:
    """While there are no keys: requests for this machine's own name only, and none that another site's page sent.

    Without it any web page open in a browser on this machine could reach the service, by name
    rebinding or by posting a form.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Looks at Host and Origin."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            for name, value in (("Host", f"//{headers.get('host', '')}"), ("Origin", headers.get("origin", "//localhost"))):
                if urlsplit(value).hostname not in LOOPBACK:
                    message = f"{name} is {value.removeprefix('//')!r}; without keys only {', '.join(LOOPBACK)} may call"
                    await response_of(Forbidden(message))(scope, receive, send)
                    return
        await self.app(scope, receive, send)
