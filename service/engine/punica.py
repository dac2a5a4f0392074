"""vLLM's side of multi-LoRA on CPU: what its LoRA layers call, handed on to service.engine.products.

vLLM 0.32's own CPU wrapper copies a weight matrix for each token, and in a batch whose slots are all
taken it gives rows without an adapter (index -1) the last slot's. Here such a row is in no group.

The products are operators of torch's library, opaque to its compiler, so that graphs stay compiled with LoRA on:
a step's groups are looked up when the operator runs, not when the graph is traced.
"""

from collections.abc import Sequence
from typing import Any
from weakref import WeakValueDictionary

import torch
from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

from service.engine.products import Layer, Step, Weights, add_product

_LIBRARY: Any = torch.library.Library("patchbay", "FRAGMENT")  # type: ignore[no-untyped-call]  # torch leaves it unannotated


class GroupedLora(PunicaWrapperCPU):
    """Holds the step's groups. Weights come stacked by slot: A (slots, 1, r, in), B (slots, 1, out, r), zeros where r is less."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tokens = self.sampled = Step(())

    def update_metadata(
        self, mapping: Any, lora_index_to_id: list[int | None], max_loras: int, vocab_size: int, **kwargs: Any
    ) -> None:
        """Groups the step's rows once, for all layers. Of vLLM's own arrays of them, none of which is read here, those that one asks for are made then."""
        slot_of = {adapter: slot for slot, adapter in enumerate(lora_index_to_id) if adapter is not None}
        self.tokens = Step([slot_of.get(adapter, -1) for adapter in mapping.index_mapping])
        self.sampled = Step([slot_of.get(adapter, -1) for adapter in mapping.prompt_mapping])

    @property
    def token_lora_indices(self) -> torch.Tensor:
        """The slot of each row."""
        return torch.tensor(self.tokens.slots)

    @property
    def sampler_indices(self) -> torch.Tensor:
        """The slot of each row whose logits are asked for."""
        return torch.tensor(self.sampled.slots)

    def add_lora_linear(
        self, y: torch.Tensor, x: torch.Tensor, lora_a_stacked: tuple[torch.Tensor, ...], *args: Any, **kwargs: Any
    ) -> None:
        """y[:, slice i] += x A_i^T B_i^T; y is (rows, sum of slices), x (rows, in)."""
        torch.ops.patchbay.lora_linear(y, x, lora_a_stacked[0])

    def add_lora_logits(self, y: torch.Tensor, x: torch.Tensor, lora_a_stacked: torch.Tensor, *args: Any, **kwargs: Any) -> None:
        """y += x A^T B^T for the rows whose logits are asked for; y is (rows, vocabulary)."""
        found = _LAYERS.get(lora_a_stacked.data_ptr())
        if found is not None and found.touched:
            found.add(y, x, self._logit_step(x))

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
        y: Sequence[torch.Tensor] | torch.Tensor,
        x: torch.Tensor,
        lora_a_stacked: Sequence[torch.Tensor],
        scale: float,
        **kwargs: Any,
    ) -> None:
        """y[i] += x A_i^T scale; each y[i] is (rows, r). Asked for by layers whose adapters are sharded over several processes."""
        torch.ops.patchbay.lora_shrink(list(y), x, list(lora_a_stacked), scale)

    def add_expand(
        self,
        y: torch.Tensor,
        x: Sequence[torch.Tensor] | torch.Tensor,
        lora_b_stacked: Sequence[torch.Tensor],
        output_slices: tuple[int, ...],
        offset_start: int = 0,
        add_inputs: bool = True,
        **kwargs: Any,
    ) -> None:
        """y[:, slice i] += x[i] B_i^T (or = where not `add_inputs`); each x[i] is (rows, r)."""
        torch.ops.patchbay.lora_expand(y, list(x), list(lora_b_stacked), list(output_slices), offset_start, add_inputs)


class WrappedLayer(Layer):
    """A layer's adapters, and whose steps they are for."""

    def __init__(self, wrapper: GroupedLora, slots: int, widths: Sequence[int], width_in: int) -> None:
        super().__init__(slots, widths, width_in)
        self.wrapper = wrapper


# Each wrapped layer by the address of a stack of its weights, which vLLM's layer passes with each call. The layer's module owns it.
_LAYERS: WeakValueDictionary[int, WrappedLayer] = WeakValueDictionary()


def layer_of(module: Any) -> WrappedLayer | None:
    """A wrapped layer's place in the products; None for one that vLLM has no CPU path for (experts)."""
    a, b = getattr(module, "lora_a_stacked", None), getattr(module, "lora_b_stacked", None)
    if a is None or b is None:
        return None
    stacks_a, stacks_b = (a, b) if isinstance(a, tuple) else ((a,), (b,))
    if stacks_b[0].ndim != 4 or stacks_b[0].shape[1] != 1:
        return None
    if not hasattr(module, "patchbay_layer"):
        # An embedding's A is (slots, vocabulary, r): a token's row of it takes the place of x A^T.
        width_in = 0 if stacks_a[0].ndim == 3 else stacks_a[0].shape[-1]
        layer = WrappedLayer(module.punica_wrapper, len(stacks_a[0]), [stack.shape[2] for stack in stacks_b], width_in)
        module.patchbay_layer = _LAYERS[stacks_a[0].data_ptr()] = _LAYERS[stacks_b[0].data_ptr()] = layer
    found: WrappedLayer = module.patchbay_layer
    return found


def lay_out(module: Any, slot: int) -> None:
    """Takes a wrapped layer's weights in `slot` (just set, or zeroed) into the layout of the products."""
    layer = layer_of(module)
    if layer is None:
        return
    a, b = module.lora_a_stacked, module.lora_b_stacked
    stacks_a, stacks_b = (a, b) if isinstance(a, tuple) else ((a,), (b,))
    lefts = [stack[slot].t() if stack.ndim == 3 else stack[slot, 0] for stack in stacks_a]
    layer.set(slot, Weights.of(lefts, [stack[slot, 0] for stack in stacks_b], with_panels=layer.width_in > 0))


def embed(self: Any, x: torch.Tensor) -> torch.Tensor:
    """The forward of vLLM's VocabParallelEmbeddingWithLoRA: looks up A only for rows whose adapter touches the embedding."""
    y: torch.Tensor = self.base_layer.forward(x)
    torch.ops.patchbay.lora_embedding(y.view(-1, y.shape[-1]), x.view(-1), self.lora_a_stacked)
    return y


def _lora_linear(y: torch.Tensor, x: torch.Tensor, stacked: torch.Tensor) -> None:
    layer = _LAYERS.get(stacked.data_ptr())
    if layer is not None:
        layer.add(y, x, layer.wrapper.tokens)


def _lora_embedding(y: torch.Tensor, ids: torch.Tensor, stacked: torch.Tensor) -> None:
    layer = _LAYERS.get(stacked.data_ptr())
    if layer is None or not layer.touched:
        return
    for run in layer.wrapper.tokens.runs:
        weights = layer.weights[run.slot]
        if weights is not None:
            (a,), (b,), (scale,) = weights.matrices(layer.widths, layer.width_in)
            add_product(y[run.rows], a.t()[ids[run.rows]], b, scale)


def _lora_shrink(y: list[torch.Tensor], x: torch.Tensor, stacks: list[torch.Tensor], scale: float) -> None:
    layer = _LAYERS.get(stacks[0].data_ptr())
    for run in layer.wrapper.tokens.runs if layer is not None else ():
        for target, a in zip(y, stacks, strict=True):
            target[run.rows] += (torch.mm(x[run.rows].to(a.dtype), a[run.slot, 0].t()) * scale).to(target.dtype)


def _lora_expand(
    y: torch.Tensor, x: list[torch.Tensor], stacks: list[torch.Tensor], widths: list[int], start: int, add_inputs: bool
) -> None:
    layer = _LAYERS.get(stacks[0].data_ptr())
    for source, b, width in zip(x, stacks, widths, strict=True):
        for run in layer.wrapper.tokens.runs if layer is not None else ():
            target = y[run.rows, start : start + width]
            if not add_inputs:
                target.zero_()
            add_product(target, source[run.rows], b[run.slot, 0])
        start += width


def _define(name: str, schema: str, function: Any) -> None:
    _LIBRARY.define(name + schema)
    _LIBRARY.impl(name, function, "CPU")
    torch.library.register_fake(f"patchbay::{name}", lambda *args: None, lib=_LIBRARY)


_define("lora_linear", "(Tensor(a!) y, Tensor x, Tensor stacked) -> ()", _lora_linear)
_define("lora_embedding", "(Tensor(a!) y, Tensor ids, Tensor stacked) -> ()", _lora_embedding)
_define("lora_shrink", "(Tensor(a!)[] y, Tensor x, Tensor[] stacks, float scale) -> ()", _lora_shrink)
_define(
    "lora_expand", "(Tensor(a!) y, Tensor[] x, Tensor[] stacks, int[] widths, int start, bool add_inputs) -> ()", _lora_expand
)


class PromptLogprobs:
    """Set while vLLM computes log-probabilities of prompts (service.engine.plugin sees to it)."""

    under_way = False


prompt_logprobs = PromptLogprobs()
