"""What lies in the memory of the engine's worker: asked of it by name, as every process of the engine runs our plugin."""

import ctypes
import mmap
from collections.abc import Iterable
from typing import Any

import torch

ASK = "patchbay_footprint"


def install() -> None:
    """Workers answer to ASK from now on."""
    from vllm.v1.worker.worker_base import WorkerBase

    setattr(WorkerBase, ASK, footprint)


def footprint(worker: Any) -> dict[str, int]:
    """Bytes of the base's weights, of the KV cache's pages that were ever written, and of the adapters.

    With a device, they lie there, and `device` is what torch took of it besides.
    """
    runner = worker.model_runner
    model = runner.get_model()
    parts = {
        "weights": _bytes(model.parameters()) + _packed(model),
        "kv_cache": sum(resident(pointer, size) if is_host else size for pointer, size, is_host in _storages(runner.kv_caches)),
        "adapters": sum(map(_adapter, _adapters(runner))),
    }
    if worker.device.type == "cuda":
        parts["device"] = max(0, torch.cuda.memory_reserved(worker.device) - sum(parts.values()))
    return parts


def _storages(tensors: Iterable[torch.Tensor]) -> set[tuple[int, int, bool]]:
    """Address, bytes and whether it is host memory; shared ones once."""
    found = ((tensor.untyped_storage(), tensor.device.type == "cpu") for tensor in tensors)
    return {(storage.data_ptr(), storage.nbytes(), is_host) for storage, is_host in found}


def _bytes(tensors: Iterable[torch.Tensor]) -> int:
    return sum(size for _, size, _ in _storages(tensors))


def _packed(model: Any) -> int:
    """Bytes of the linear layers whose weight the CPU's products keep in a layout of their own, and left none in the layer."""
    # A layer under an adapter hands on what its base layer has, and would count twice; one in 4 bits has parameters of other names.
    layers = [m for m in model.modules() if hasattr(m, "input_size_per_partition") and not hasattr(m, "base_layer")]
    return sum(
        layer.output_size_per_partition * layer.input_size_per_partition * _packed_itemsize(layer.weight)
        for layer in layers
        if hasattr(layer, "weight")
    )


def _packed_itemsize(weight: torch.Tensor | None) -> int:
    """Bytes of each number that is held elsewhere: of 16 or more bits vLLM leaves an empty weight, of 8 none at all."""
    if weight is None:
        return 1
    return weight.itemsize if weight.numel() == 0 else 0


def _adapters(runner: Any) -> Iterable[Any]:
    """Every loaded one."""
    manager = getattr(runner, "lora_manager", None)
    return manager._adapter_manager._registered_adapters.cache.values() if manager else ()


def _adapter(adapter: Any) -> int:
    """Bytes of an adapter as vLLM read it and as it is laid out for the products (service.engine.slots), what is the same piece of memory once."""
    laid_out = [weights for weights in getattr(adapter, "laid_out", {}).values() if weights is not None]
    if not adapter.loras:  # read straight into its layout; hundreds of them are looked at together
        return sum(weights.bytes for weights in laid_out)
    halves = [part for lora in adapter.loras.values() for part in (lora.lora_a, lora.lora_b)]
    parts = [part for half in halves for part in (half if isinstance(half, list) else [half]) if part is not None]
    return _bytes(parts + [tensor for weights in laid_out for tensor in weights.tensors])


def resident(pointer: int, size: int) -> int:
    """Bytes of an address range that have pages: memory that was set aside and never written has none."""
    first = pointer // mmap.PAGESIZE * mmap.PAGESIZE
    pages = -(-(pointer + size - first) // mmap.PAGESIZE)
    states = (ctypes.c_ubyte * pages)()
    if ctypes.CDLL(None, use_errno=True).mincore(ctypes.c_void_p(first), ctypes.c_size_t(pages * mmap.PAGESIZE), states) != 0:
        return size  # a system that does not tell
    touched = bytes(states).translate(_LOWEST).count(1)
    return min(size, touched * mmap.PAGESIZE)


# The lowest bit says that the page is there; the others are nobody's business.
_LOWEST = bytes(n & 1 for n in range(256))
