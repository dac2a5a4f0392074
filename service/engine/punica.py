"""vLLM's side of multi-LoRA on CPU: what its LoRA layers call, handed on to service.engine.products.

vLLM 0.32's own CPU wrapper copies a weight matrix for each token, and in a batch whose slots are all
taken it gives rows without an adapter (index -1) the last slot's. Here such a row is in no group.

The products are operators of torch's library, opaque to its compiler, so that graphs stay compiled with LoRA on:
a step's groups are looked up when the operator runs, not when the graph is traced.
"""

from typing import Any

import torch
from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

from service.engine.products import Layer, Step, Weights

_LIBRARY: Any = torch.library.Library("patchbay", "FRAGMENT")  # type: ignore[no-untyped-call]  # torch leaves it unannotated
# Each wrapped layer by the address of its first stack of A, which the layer passes with each call.
_LAYERS: dict[int, tuple[Layer, "GroupedLora"]] = {}


class GroupedLora(PunicaWrapperCPU):
    """Holds the step's groups. Weights come stacked by slot: A (slots, 1, r, in), B (slots, 1, out, r), zeros where r is less."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tokens = self.sampled = Step(())

    def update_metadata(
        self, mapping: Any, lora_index_to_id: list[int | None], max_loras: int, vocab_size: int, **kwargs: Any
    ) -> None:
        """Groups the step's rows once, for all layers."""
        super().update_metadata(mapping, lora_index_to_id, max_loras, vocab_size, **kwargs)
        slot_of = {adapter: slot for slot, adapter in enumerate(lora_index_to_id) if adapter is not None}
        self.tokens = Step([slot_of.get(adapter, -1) for adapter in mapping.index_mapping])
        self.sampled = Step([slot_of.get(adapter, -1) for adapter in mapping.prompt_mapping])

    def add_lora_linear(
        self, y: torch.Tensor, x: torch.Tensor, lora_a_stacked: tuple[torch.Tensor, ...], *args: Any, **kwargs: Any
    ) -> None:
        """y[:, slice i] += x A_i^T B_i^T; y is (rows, sum of slices), x (rows, in)."""
        torch.ops.patchbay.lora_linear(y, x, lora_a_stacked[0])

    def add_lora_logits(self, y: torch.Tensor, x: torch.Tensor, lora_a_stacked: torch.Tensor, *args: Any, **kwargs: Any) -> None:
        """y += x A^T B^T for the rows whose logits are asked for; y is (rows, vocabulary)."""
        found = _LAYERS.get(lora_a_stacked.data_ptr())
        if found is not None and found[0].touched:
            found[0].add(y, x, self._logit_step(x))

    def _logit_step(self, x: torch.Tensor) -> Step:
        """The sampled rows' groups; for a prompt's log-probabilities, those of the rows that `x` is a view of.

        vLLM asks for the latter one request at a time, with a slice of the step's hidden states, and
        its own wrapper takes the sampled rows' adapters for them.
        """
        if not prompt_logprobs.under_way:
            return self.sampled
        first = x.storage_offset() // x.shape[-1]
        return Step(self.tokens.slots[first : first + x.shape[0]])

    def add_shrink(
        self,
        y: tuple[torch.Tensor, ...] | torch.Tensor,
        x: torch.Tensor,
        lora_a_stacked: tuple[torch.Tensor, ...],
        scale: float,
        **kwargs: Any,
    ) -> None:
        """y[i] += x A_i^T scale; each y[i] is (rows, r). Asked for by layers sharded over several processes."""
        x = x.view(-1, x.shape[-1])
        for target, a in zip(y, lora_a_stacked, strict=True):
            flat = target.view(-1, target.shape[-1])
            for slot, rows in self.tokens.groups:
                flat[rows] += (torch.mm(x[rows].to(a.dtype), a[slot, 0].t()) * scale).to(flat.dtype)

    def add_expand(
        self,
        y: torch.Tensor,
        x: tuple[torch.Tensor, ...] | torch.Tensor,
        lora_b_stacked: tuple[torch.Tensor, ...],
        output_slices: tuple[int, ...],
        offset_start: int = 0,
        add_inputs: bool = True,
        **kwargs: Any,
    ) -> None:
        """y[:, slice i] += x[i] B_i^T (or = where not `add_inputs`); each x[i] is (rows, r)."""
        y = y.view(-1, y.shape[-1])
        start = offset_start
        for source, b, width in zip(x, lora_b_stacked, output_slices, strict=True):
            for slot, rows in self.tokens.groups:
                update = torch.mm(source[rows].to(b.dtype), b[slot, 0].t()).to(y.dtype)
                y[rows, start : start + width] = update + y[rows, start : start + width] if add_inputs else update
            start += width


def layer_of(module: Any) -> Layer | None:
    """A wrapped layer's place in the products; None for one that vLLM has no CPU path for (experts)."""
    a, b = getattr(module, "lora_a_stacked", None), getattr(module, "lora_b_stacked", None)
    if a is None or b is None:
        return None
    stacks_a, stacks_b = (a, b) if isinstance(a, tuple) else ((a,), (b,))
    if stacks_b[0].ndim != 4 or stacks_b[0].shape[1] != 1:
        return None
    key = stacks_a[0].data_ptr()
    if key not in _LAYERS:
        # An embedding's A is (slots, vocabulary, r): a token's row of it takes the place of x A^T.
        width_in = 0 if stacks_a[0].ndim == 3 else stacks_a[0].shape[-1]
        _LAYERS[key] = (Layer(len(stacks_a[0]), [stack.shape[2] for stack in stacks_b], width_in), module.punica_wrapper)
    return _LAYERS[key][0]


def lay_out(module: Any, slot: int) -> None:
    """Takes a wrapped layer's weights in `slot` (just set, or zeroed) into the layout of the products."""
    layer = layer_of(module)
    if layer is None:
        return
    a, b = module.lora_a_stacked, module.lora_b_stacked
    stacks_a, stacks_b = (a, b) if isinstance(a, tuple) else ((a,), (b,))
    lefts = [stack[slot].t() if stack.ndim == 3 else stack[slot, 0] for stack in stacks_a]
    layer.set(slot, Weights.of(lefts, [stack[slot, 0] for stack in stacks_b]))


def _lora_linear(y: torch.Tensor, x: torch.Tensor, stacked: torch.Tensor) -> None:
    found = _LAYERS.get(stacked.data_ptr())
    if found is not None:
        layer, wrapper = found
        layer.add(y, x, wrapper.tokens)


def _lora_embedding(y: torch.Tensor, ids: torch.Tensor, stacked: torch.Tensor) -> None:
    found = _LAYERS.get(stacked.data_ptr())
    if found is None or not found[0].touched:
        return
    layer, wrapper = found
    for slot, rows in wrapper.tokens.groups:
        weights = layer.weights[slot]
        if weights is not None:
            y[rows] += torch.mm(weights.a.t()[ids[rows]], weights.b[0]).to(y.dtype)


def embed(self: Any, x: torch.Tensor) -> torch.Tensor:
    """The forward of vLLM's VocabParallelEmbeddingWithLoRA: looks up A only for rows whose adapter touches the embedding."""
    y: torch.Tensor = self.base_layer.forward(x)
    torch.ops.patchbay.lora_embedding(y.view(-1, y.shape[-1]), x.view(-1), self.lora_a_stacked)
    return y


def _define(name: str, schema: str, function: Any) -> None:
    _LIBRARY.define(name + schema)
    _LIBRARY.impl(name, function, "CPU")
    torch.library.register_fake(f"patchbay::{name}", lambda *args: None, lib=_LIBRARY)


_define("lora_linear", "(Tensor(a!) y, Tensor x, Tensor stacked) -> ()", _lora_linear)
_define("lora_embedding", "(Tensor(a!) y, Tensor ids, Tensor stacked) -> ()", _lora_embedding)


class PromptLogprobs:
    """Set while vLLM computes log-probabilities of prompts (service.engine.plugin sees to it)."""

    under_way = False


prompt_logprobs = PromptLogprobs()
