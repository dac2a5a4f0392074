"""Memory of the service's processes, as the system counts it, divided so that the parts add up."""

import os
import time
from pathlib import Path
from typing import NamedTuple

import psutil

# While there is no engine; a part that vanishes from a dashboard looks like a fault.
_NONE = {"weights": 0, "kv_cache": 0, "adapters": 0}
# Seconds between two walks through a process's pages.
_WALK = 60.0
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


class _Walked(NamedTuple):
    """When a process began and was walked through, and its proportional size beyond the pages that are its own by a count."""

    begun: float
    at: float
    beyond: int


_walked: dict[int, _Walked] = {}


def divided(inside: dict[str, int], engine_pids: list[int]) -> dict[str, int]:
    """Bytes by part: `inside` as the engine tells it (service.engine.door.Engine.memory), `frontend` this process, and
    `engine` what its processes hold besides.

    Without a device, the parts' sum is what the processes have resident.
    """
    processes = proportional_bytes(engine_pids)
    held = 0 if "device" in inside else sum(inside.values())
    return {**_NONE, **inside, "frontend": proportional_bytes([os.getpid()]), "engine": max(0, processes - held)}


def limit() -> int:
    """The most bytes that this machine, or the control group it runs in, lets the processes have."""
    most = int(psutil.virtual_memory().total)
    for name in _CGROUP_LIMITS:
        path = Path(name)
        if path.is_file() and (text := path.read_text().strip()).isdigit():
            most = min(most, int(text))
    return most


def proportional_bytes(pids: list[int]) -> int:
    """Sum of the processes' proportional set sizes: pages shared between them are counted once in all.

    The system walks through all of a process's pages to tell it, tens of milliseconds for a gigabyte, and counts at once those
    that are not of files. So it is asked at most every `_WALK` seconds, and what changed since is what was counted. Where the
    system does not tell (other than Linux, or not allowed), resident size stands in. A process that ended in between
    counts nothing.
    """
    return sum(_one(pid) for pid in pids)


def _one(pid: int) -> int:
    try:
        process = psutil.Process(pid)
        counted = process.memory_info()
        own = counted.rss - getattr(counted, "shared", 0)
        known = _walked.get(pid)
        if known is None or known.begun != process.create_time() or time.monotonic() - known.at > _WALK:
            known = _walked[pid] = _Walked(process.create_time(), time.monotonic(), _walk(process) - own)
        return int(max(0, own + known.beyond))
    except psutil.NoSuchProcess:
        _walked.pop(pid, None)
        return 0


def _walk(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (AttributeError, psutil.AccessDenied):
        return int(process.memory_info().rss)
