"""What the service is told: one frozen object, built by the command line; the environment is read here alone."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import psutil

from adapters.limits import Limits

LogFormat = Literal["text", "json"]
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Settings:
    """`max_slots` adapters may share one batch, `max_resident` lie in the engine's memory ready to take a slot.

    Times are seconds, sizes bytes. `engine` holds vLLM's own options by their names. `database_url` is the
    registry's database where that is not the home's own file.
    """

    base: str
    home: Path
    host: str = "127.0.0.1"
    port: int = 8000
    keys: Path | None = None
    max_slots: int = 4
    max_resident: int = 32
    limits: Limits = field(default_factory=Limits)
    engine: Mapping[str, str] = field(default_factory=dict)
    adapters: tuple[tuple[str, Path], ...] = ()
    kv_cache: int = 2**30
    file_bytes: int = 64 * 2**20
    body_bytes: int = 16 * 2**20
    max_queue: int = 256
    request_seconds: float = 600.0
    drain_seconds: float = 30.0
    evaluation_concurrency: int = 8
    otlp_endpoint: str | None = None
    log_format: LogFormat = "text"
    database_url: str | None = field(default=None, repr=False)
    require_verified: bool = False

    @property
    def database(self) -> str:
        """The registry's database, as SQLAlchemy names it."""
        return self.database_url or f"sqlite:///{self.home / 'registry.db'}"


def default_home() -> Path:
    """The user's data folder, by the XDG rules; PATCHBAY_HOME wins."""
    if given := os.environ.get("PATCHBAY_HOME"):
        return Path(given)
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "patchbay"


def engine_environment(has_gpu: bool, otlp_endpoint: str | None = None) -> dict[str, str]:
    """What the engine's processes need to find in their environment; nothing in it phones home."""
    protocol = "http/protobuf" if otlp_endpoint and otlp_endpoint.endswith("/v1/traces") else "grpc"
    wanted = {
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "VLLM_PLUGINS": "patchbay_lora",
        "VLLM_LOGGING_LEVEL": os.environ.get("VLLM_LOGGING_LEVEL", "WARNING"),
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
        "TOKENIZERS_PARALLELISM": "false",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", protocol),
    }
    if not has_gpu:
        wanted |= _cpu_engine()
    return {key: value for key, value in wanted.items() if value}


def allowed_cores() -> int:
    """Cores that this process may run on: on Linux perhaps fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu_engine() -> dict[str, str]:
    """On CPU vLLM starts the worker in a process of its own, for the sake of OpenMP's settings, which can as well be there from the start.

    With one process less a step costs no messages and no waiting in a loop, and half a gigabyte is saved. The settings
    are those of vLLM 0.32 (vllm/utils/ompmultiprocessing.py): a thread for each core but one, which is left to the HTTP
    side; threads that wait do so for 5 ms and then sleep. With more than one worker vLLM goes its own way all the same.
    """
    allowed = allowed_cores()
    threads = max(1, min(allowed, psutil.cpu_count(logical=False) or allowed) - 1)
    return {
        "LD_PRELOAD": ":".join(_preloads()),
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads)),
        "KMP_BLOCKTIME": os.environ.get("KMP_BLOCKTIME", "5"),
        "KMP_TPAUSE": os.environ.get("KMP_TPAUSE", "0"),
    }


def _preloads() -> list[str]:
    """Intel's OpenMP, which vLLM's CPU kernels are bound to, and tcmalloc where the system has it; after what was set before."""
    import sysconfig

    found = [part for part in os.environ.get("LD_PRELOAD", "").split(":") if part]
    openmp = Path(sysconfig.get_path("data")) / "lib" / "libiomp5.so"
    places = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib")
    tcmalloc = [Path(place) / "libtcmalloc_minimal.so.4" for place in places]
    for library in (openmp, next((path for path in tcmalloc if path.exists()), None)):
        if library is not None and library.exists() and str(library) not in found:
            found.append(str(library))
    return found
