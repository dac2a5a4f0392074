"""Memory of the service's processes, as the system counts it."""

import psutil


def proportional_bytes(pids: list[int]) -> int:
    """Sum of the processes' proportional set sizes: pages shared between them are counted once in all.

    Where the system does not tell (other than Linux, or not allowed), resident size stands in. A
    process that ended in between counts nothing.
    """
    return sum(_one(pid) for pid in pids)


def _one(pid: int) -> int:
    try:
        process = psutil.Process(pid)
        try:
            return int(process.memory_full_info().pss)
        except (AttributeError, psutil.AccessDenied):
            return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
