"""With keys: which role may call what. What is not named here needs an admin."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.errors import Forbidden, PatchbayError
from service.caller import NOBODY, Caller, enter, leave
from service.errors import response_of
from service.inference import INFERENCE
from service.keyring import Keyring

# Whether it lives and answers, for those who start and watch a service; and the page, which is the same everywhere and asks for a key itself.
_OPEN = frozenset(("/health", "/ready", "/"))
_OPEN_BELOW = "/page/"
# Read by any key, each seeing its own adapters only.
_READ = frozenset(("/v1/models", "/v1/adapters", "/v1/default", "/version", "/openapi.json", "/docs"))
_READ_BELOW = ("/v1/models/", "/v1/adapters/")
# These name every adapter.
_READ_WHOLE = frozenset(("/metrics",))


def is_open(path: str) -> bool:
    """Whether this route answers without a key."""
    return path in _OPEN or path.startswith(_OPEN_BELOW)


def require_role(caller: Caller, method: str, path: str) -> None:
    """Raises Forbidden where the caller's key is not enough for this route, whatever is there."""
    if path in _READ_WHOLE and caller.adapters is not None:
        raise Forbidden(f"{path} names every adapter; it needs a key without a list of adapters")
    if not (caller.is_admin or _for_inference(method, path)):
        raise Forbidden(f"{method} {path} needs an admin's key; this one is for inference")


def _for_inference(method: str, path: str) -> bool:
    if method == "POST":
        return path in INFERENCE
    return method == "GET" and (path in _READ or path in _READ_WHOLE or path.startswith(_READ_BELOW))


class WithKeys:
    """Before anything of the request is read: who it is, whether the role is enough, and whether the key's limits are."""

    def __init__(self, app: ASGIApp, keyring: Keyring) -> None:
        self.app, self._keyring = app, keyring

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Looks at the Authorization header."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limited: dict[str, str] = {}

        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(limited)
            await send(message)

        caller = NOBODY
        if not is_open(scope["path"]):
            try:
                caller = self._keyring.caller(Headers(scope=scope).get("authorization"))
                require_role(caller, scope["method"], scope["path"])
                if caller.allowance is not None and scope["path"] in INFERENCE:
                    try:
                        caller.allowance.enter()
                    finally:
                        limited = caller.allowance.headers()
            except PatchbayError as error:
                await response_of(error)(scope, receive, telling)
                return
        token = enter(caller)
        try:
            await self.app(scope, receive, telling if limited else send)
        finally:
            leave(token)
