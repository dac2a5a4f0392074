"""Adapters in slots on CPU: an adapter's weights are laid out once, when it is loaded; taking a slot is then a change of pointers.

vLLM 0.32 copies an adapter's weights, padded to the largest rank, into stacks of all slots each time it takes one, on the
thread that makes the steps. With more adapters than slots that costs a step or two for every request of a cold one. Here the
stacks are shapes without memory, so that slots cost nothing and there can be as many as resident adapters; and what a step
looks up for each of its adapters takes the same time however many are resident.
"""

import json
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any

import torch

from adapters.archive import CONFIG
from service.engine.products import Weights
from service.engine.reading import Reader, lay_out


def install() -> None:
    """Changes vLLM's managers of adapters. A model with a layer that is not plain (see `_is_plain`) keeps vLLM's way."""
    from vllm.lora.model_manager import LoRAModelManager
    from vllm.lora.worker_manager import LRUCacheWorkerLoRAManager, WorkerLoRAManager

    for manager, name, change in (
        (LoRAModelManager, "_create_lora_modules", _creating),
        (LoRAModelManager, "_add_adapter", _adding),
        (LoRAModelManager, "activate_adapter", _activating),
        (LoRAModelManager, "_deactivate_adapter", _deactivating),
        (WorkerLoRAManager, "_load_adapter", _loading),
        (LRUCacheWorkerLoRAManager, "_apply_adapters", _applying),
    ):
        original = getattr(manager, name)
        setattr(manager, name, wraps(original)(change(original)))


def _creating(original: Any) -> Any:
    def create(self: Any) -> None:
        from service.engine.punica import layer_of

        original(self)
        self.placed = None
        # Shards have products of their own, which read vLLM's stacks; with one process too.
        if not self.lora_config.fully_sharded_loras and all(map(_is_plain, self.modules.values())):
            for module in self.modules.values():
                _without_memory(module)
            self.placed = {name: layer_of(module) for name, module in self.modules.items()}
            self.reader = Reader(self.placed, self.packed_modules, _mapper(self.model))

    return create


def _mapper(model: Any) -> Any:
    """How the model's own names differ from those in files, as vLLM's loader asks for it."""
    mapper = getattr(model, "hf_to_vllm_mapper", None)
    return mapper and mapper.get_rename_mapper()


def _loading(original: Any) -> Any:
    def load(self: Any, request: Any) -> Any:
        from vllm.lora.lora_model import LoRAModel

        manager, folder = self._adapter_manager, Path(request.lora_path)
        if manager.placed is None:
            return original(self, request)
        try:
            config = (folder / CONFIG).read_text(encoding="utf-8")
        except FileNotFoundError:  # the name of an adapter on a hub, perhaps
            return original(self, request)
        helper = _helper(config)
        helper.validate_legal(self.lora_config)
        laid_out = manager.reader.read(folder, helper, self.lora_config.lora_dtype)
        if laid_out is None:
            return original(self, request)
        lora = LoRAModel(request.lora_int_id, helper.r, {})
        lora.laid_out = laid_out
        return lora

    return load


@lru_cache(maxsize=256)  # adapters of one recipe have the same
def _helper(config: str) -> Any:
    """vLLM's reading of a config; what it says of a model's longest text, vLLM's own loader adds and nothing asks for."""
    from vllm.lora.peft_helper import PEFTHelper

    return PEFTHelper.from_dict(json.loads(config))


def _adding(original: Any) -> Any:
    def add(self: Any, lora: Any) -> None:
        if hasattr(lora, "laid_out"):
            self._registered_adapters[lora.id] = lora
            return
        original(self, lora)
        if self.placed is not None:
            lora.laid_out = {name: _laid_out(lora.get_lora(name), layer) for name, layer in self.placed.items()}

    return add


def _activating(original: Any) -> Any:
    def activate(self: Any, lora_id: int) -> bool:
        if self.placed is None:
            return _by_stacks(original, self, lora_id)
        if lora_id in self._active_adapters:
            return False
        if None not in self.lora_index_to_id:
            raise ValueError("No free lora slots")
        slot = self.lora_index_to_id.index(None)
        weights = self._registered_adapters[lora_id].laid_out
        self._active_adapters[lora_id] = None
        self.lora_index_to_id[slot] = lora_id
        for name, layer in self.placed.items():
            layer.set(slot, weights[name])
        return True

    return activate


def _by_stacks(original: Any, manager: Any, lora_id: int) -> bool:
    """vLLM's own way, its stacks then laid out for the products."""
    from service.engine.punica import lay_out

    changed: bool = original(manager, lora_id)
    if changed:
        slot = manager.lora_index_to_id.index(lora_id)
        for module in manager.modules.values():
            lay_out(module, slot)
    return changed


def _deactivating(original: Any) -> Any:
    """What left a slot is held by nothing any more."""

    def deactivate(self: Any, lora_id: int) -> None:
        if self.placed is not None and lora_id in self.lora_index_to_id:
            slot = self.lora_index_to_id.index(lora_id)
            for layer in self.placed.values():
                layer.set(slot, None)
        original(self, lora_id)

    return deactivate


def _applying(original: Any) -> Any:
    """At every step, for each adapter in it: vLLM copies the list of all that are loaded to see whether this one is."""

    def apply(self: Any, requests: set[Any]) -> None:
        manager = self._adapter_manager
        missing = {r for r in requests if r.lora_int_id not in manager._registered_adapters or r.load_inplace}
        if missing or len(requests) > manager.lora_slots:
            original(self, requests)
            return
        for request in requests:
            manager._registered_adapters.touch(request.lora_int_id)
            manager.activate_adapter(request.lora_int_id)

    return apply


def _is_plain(module: Any) -> bool:
    """A layer in one process, whose weights go into its stacks as they are: linear, merged, QKV, embedding, output head."""
    from vllm.lora.layers import LogitsProcessorWithLoRA, VocabParallelEmbeddingWithLoRA
    from vllm.lora.layers.base_linear import BaseLinearLayerWithLoRA
    from vllm.lora.layers.column_parallel_linear import MergedColumnParallelLinearWithLoRA

    ways = (
        BaseLinearLayerWithLoRA.set_lora,
        MergedColumnParallelLinearWithLoRA.set_lora,
        VocabParallelEmbeddingWithLoRA.set_lora,
        LogitsProcessorWithLoRA.set_lora,
    )
    base = getattr(module, "base_layer", None)
    return type(module).set_lora in ways and getattr(module, "tp_size", getattr(base, "tp_size", 1)) == 1


def _without_memory(module: Any) -> None:
    """Stacks that keep their shapes, and are all one zero: nothing is written to them, and nothing reads them."""

    def shape_of(stack: torch.Tensor) -> torch.Tensor:
        return stack.new_zeros(1).expand(stack.shape)

    for name in ("lora_a_stacked", "lora_b_stacked"):
        stacks = getattr(module, name)
        setattr(module, name, tuple(map(shape_of, stacks)) if isinstance(stacks, tuple) else shape_of(stacks))
    if hasattr(module, "lora_a_stacked_2d"):
        module.lora_a_stacked_2d = None  # a view of the stack that was


def _laid_out(lora: Any, layer: Any) -> Weights | None:
    """A layer's part of an adapter as vLLM loaded it (A (r, in), B (out, r); lists where slices are merged)."""
    if lora is None or layer is None:
        return None
    a, b = (part if isinstance(part, list) else [part] for part in (lora.lora_a, lora.lora_b))
    if len(a) != len(layer.widths):
        raise ValueError(f"{lora.module_name} has {len(a)} parts, the model's layer {len(layer.widths)}")
    like = next(part for part in a if part is not None)
    return lay_out(a, b, [1.0] * len(a), like.dtype, layer)  # vLLM has scaled B
