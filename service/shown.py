"""How adapters look in answers."""

from typing import Any

from adapters.state import Adapter, State
from service.residency import Residency


def shown_adapter(adapter: Adapter, state: State, residency: Residency) -> dict[str, Any]:
    """An adapter with its versions, newest first."""
    live = adapter.live_version
    return {
        "object": "adapter",
        "name": adapter.name,
        "live": adapter.live,
        "previous": adapter.previous,
        "pinned": adapter.pinned,
        "default": state.default == adapter.name,
        "resident": live is not None and residency.is_resident(live),
        "created": adapter.created,
        "versions": [
            {
                "version": v.digest,
                "status": v.status,
                "rank": v.rank,
                "tensor_bytes": v.tensor_bytes,
                "resident": residency.is_resident(v),
                "created": v.created,
            }
            for v in reversed(adapter.versions)
        ],
    }
