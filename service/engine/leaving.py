"""An adapter put out of the engine and seen to be gone, in one message: vLLM's own ways are one to remove, and one that lists all that are left."""

from typing import Any

PUT_OUT = "patchbay_put_out"


def install() -> None:
    """Workers answer to PUT_OUT from now on."""
    from vllm.v1.worker.worker_base import WorkerBase

    setattr(WorkerBase, PUT_OUT, put_out)


def put_out(worker: Any, engine_id: int) -> bool:
    """Whether the worker holds it no longer."""
    worker.remove_lora(engine_id)
    return engine_id not in worker.list_loras()
