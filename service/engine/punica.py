"""Multi-LoRA products on CPU: rows grouped by adapter, two plain matrix products for each group.

vLLM 0.32's CPU wrapper copies a weight matrix for each token, and in a batch whose slots are all
taken it gives rows without an adapter (index -1) the last slot's. Here a row without one is in no group.
"""

from typing import Any

import torch
from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

Rows = slice | torch.Tensor
Groups = list[tuple[int, Rows]]


_LIVE_SLOTS: dict[int, tuple[int, frozenset[int]]] = {}


class GroupedLora(PunicaWrapperCPU):
    """Weights come stacked by slot: A (slots, 1, r, in), B (slots, 1, out, r), padded with zeros to the largest r."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._token_groups: Groups = []
        self._sampler_groups: Groups = []
        self._slots: list[int] = []

    def update_metadata(
        self, mapping: Any, lora_index_to_id: list[int | None], max_loras: int, vocab_size: int, **kwargs: Any
    ) -> None:
        """Groups the step's rows once, for all layers."""
        super().update_metadata(mapping, lora_index_to_id, max_loras, vocab_size, **kwargs)
        self._slots = self.token_lora_indices.tolist()
        self._token_groups = _groups(self._slots)
        self._sampler_groups = _groups(self.sampler_indices.tolist())

    def add_lora_linear(
        self,
        y: torch.Tensor,
        x: torch.Tensor,
        lora_a_stacked: tuple[torch.Tensor, ...],
        lora_b_stacked: tuple[torch.Tensor, ...],
        scale: float,
        output_slices: tuple[int, ...],
        *,
        buffer: Any = None,
        **kwargs: Any,
    ) -> None:
        """y[:, slice i] += x A_i^T B_i^T scale; y is (rows, sum of slices), x (rows, in)."""
        if not self._token_groups:
            return
        y, x = y.view(-1, y.shape[-1]), x.view(-1, x.shape[-1])
        for slot, rows in self._token_groups:
            part = x[rows]
            start = 0
            for a, b, width in zip(lora_a_stacked, lora_b_stacked, output_slices, strict=True):
                _add(y, rows, slice(start, start + width), _shrunk(part, a[slot, 0], scale), b[slot, 0])
                start += width

    def add_shrink(
        self,
        y: tuple[torch.Tensor, ...] | torch.Tensor,
        x: torch.Tensor,
        lora_a_stacked: tuple[torch.Tensor, ...],
        scale: float,
        **kwargs: Any,
    ) -> None:
        """y[i] += x A_i^T scale; each y[i] is (rows, r)."""
        x = x.view(-1, x.shape[-1])
        for target, a in zip(y, lora_a_stacked, strict=True):
            flat = target.view(-1, target.shape[-1])
            for slot, rows in self._token_groups:
                flat[rows] += _shrunk(x[rows], a[slot, 0], scale).to(flat.dtype)

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
        """y[:, slice i] += x[i] B_i^T; each x[i] is (rows, r)."""
        y = y.view(-1, y.shape[-1])
        start = offset_start
        for source, b, width in zip(x, lora_b_stacked, output_slices, strict=True):
            for slot, rows in self._token_groups:
                _add(y, rows, slice(start, start + width), source[rows], b[slot, 0], add_inputs)
            start += width

    def add_lora_embedding(
        self, y: torch.Tensor, x: torch.Tensor, lora_b_stacked: torch.Tensor, add_inputs: bool = True, **kwargs: Any
    ) -> None:
        """y += x B^T; x (rows, r) holds the looked-up rows of A."""
        for slot, rows in self._token_groups:
            _add(y, rows, slice(None), x[rows], lora_b_stacked[slot, 0], add_inputs)

    def add_lora_logits(
        self,
        y: torch.Tensor,
        x: torch.Tensor,
        lora_a_stacked: torch.Tensor,
        lora_b_stacked: torch.Tensor,
        scale: float,
        **kwargs: Any,
    ) -> None:
        """y += x A^T B^T scale for the rows whose logits are asked for; y is (rows, vocabulary)."""
        touched = _touched(lora_b_stacked)
        if not touched:
            return
        y, x = y.view(-1, y.shape[-1]), x.view(-1, x.shape[-1])
        for slot, rows in self._logit_groups(x):
            if slot not in touched:
                continue
            b = lora_b_stacked[slot, 0]
            _add(y, rows, slice(0, b.shape[0]), _shrunk(x[rows], lora_a_stacked[slot, 0], scale), b)

    def _logit_groups(self, x: torch.Tensor) -> Groups:
        """The sampled rows' groups; for a prompt's log-probabilities, those of the rows that `x` is a view of.

        vLLM asks for the latter one request at a time, with a slice of the step's hidden states, and
        its own wrapper takes the sampled rows' adapters for them.
        """
        if not prompt_logprobs.under_way:
            return self._sampler_groups
        first = x.storage_offset() // x.shape[-1]
        return _groups(self._slots[first : first + x.shape[0]])


class PromptLogprobs:
    """Set while vLLM computes log-probabilities of prompts (service.engine.plugin sees to it)."""

    under_way = False


prompt_logprobs = PromptLogprobs()


def _touched(stacked: torch.Tensor) -> frozenset[int]:
    """The slots whose B is not zero; looked at again only when the tensor has been written to."""
    key = stacked.data_ptr()
    known = _LIVE_SLOTS.get(key)
    if known is None or known[0] != stacked._version:
        known = (stacked._version, frozenset(slot for slot in range(len(stacked)) if bool(stacked[slot].any())))
        _LIVE_SLOTS[key] = known
    return known[1]


def _groups(slots: list[int]) -> Groups:
    """(slot, its rows) for each slot in use; rows are a slice where they follow one another, which spares a copy."""
    by_slot: dict[int, list[int]] = {}
    for row, slot in enumerate(slots):
        if slot >= 0:
            by_slot.setdefault(slot, []).append(row)
    return [(slot, _as_slice(rows)) for slot, rows in by_slot.items()]


def _as_slice(rows: list[int]) -> Rows:
    if rows[-1] - rows[0] + 1 == len(rows):
        return slice(rows[0], rows[-1] + 1)
    return torch.tensor(rows)


def _shrunk(x: torch.Tensor, a: torch.Tensor, scale: float) -> torch.Tensor:
    shrunk = torch.mm(x.to(a.dtype), a.t())
    return shrunk if scale == 1.0 else shrunk * scale


def _add(y: torch.Tensor, rows: Rows, columns: slice, shrunk: torch.Tensor, b: torch.Tensor, add_inputs: bool = True) -> None:
    update = torch.mm(shrunk.to(b.dtype), b.t()).to(y.dtype)
    if isinstance(rows, slice):
        target = y[rows, columns]
        target.add_(update) if add_inputs else target.copy_(update)
    elif add_inputs:
        y[:, columns].index_add_(0, rows, update)
    else:
        y[:, columns].index_copy_(0, rows, update)
