"""Who asks: set once for each request, before any route, and read wherever it matters what that one may see and do."""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from adapters.errors import Forbidden, NotFound
from adapters.state import State
from service.allowance import Allowance


@dataclass(frozen=True)
class Caller:
    """`name` stands in the audit trail; `adapters` are those it may use, None for all. The base is everyone's."""

    name: str
    is_admin: bool
    adapters: tuple[str, ...] | None = None
    allowance: Allowance | None = None

    def may_use(self, name: str) -> bool:
        """Whether this adapter is one of its own."""
        return self.adapters is None or name in self.adapters

    def may_see(self, model: str | None, base_id: str) -> bool:
        """Whether this model id (or None, for none at all) is the base or an adapter of its own."""
        return model is None or model == base_id or self.may_use(model.partition("@")[0])

    def require(self, name: str) -> None:
        """Raises Forbidden for a name that it may not give to an adapter, whether or not there is one."""
        if not self.may_use(name):
            raise Forbidden(f"this key may not use the name {name!r}; it may use {', '.join(self.adapters or ())}", param="name")

    def owns(self, found: Mapping[str, Any]) -> bool:
        """Whether it may see this file or evaluation: its own, or any where it may use all adapters."""
        return self.adapters is None or found.get("made_by") == self.name

    def view(self, state: State) -> State:
        """The registry as this caller sees it: adapters it may not use are not there."""
        if self.adapters is None:
            return state
        return State({name: state.adapters[name] for name in self.adapters if name in state.adapters}, state.default)


# Without keys whoever reaches the service is this machine's user, and the service's own work is done in that name too.
LOCAL = Caller("local", is_admin=True)
# Who comes without a key, where that is allowed.
NOBODY = Caller("nobody", is_admin=False, adapters=())
_current: ContextVar[Caller] = ContextVar("caller", default=LOCAL)


def caller() -> Caller:
    """Who made the request that this code runs for."""
    return _current.get()


def own(found: dict[str, Any]) -> dict[str, Any]:
    """A file or an evaluation that the caller may see. Raises NotFound: another's is as unknown as one that is not there."""
    if not caller().owns(found):
        raise NotFound(f"there is no {found['object']} {found['id']!r}", param="id")
    return found


enter = _current.set
leave = _current.reset
