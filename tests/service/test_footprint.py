"""What an adapter takes in the engine's memory: all of it that is held, as it is laid out for the products."""

from types import SimpleNamespace

import torch

from service.engine.footprint import _bytes, _matrices
from service.engine.products import Weights


def test_a_laid_out_adapter_is_counted_whole_and_once() -> None:
    weights = Weights.packed([torch.ones(2, 32)], [torch.ones(64, 2)], [1.0], torch.float32)
    assert weights is not None
    held = SimpleNamespace(loras={}, laid_out={"q": weights, "again": weights, "untouched": None})
    runner = SimpleNamespace(
        lora_manager=SimpleNamespace(_adapter_manager=SimpleNamespace(_registered_adapters=SimpleNamespace(cache={1: held})))
    )
    panels = sum(part.numel() for part in weights.panels or ())
    stored = 2 * 32 + 64 * 2 if weights.stored is not None else 0
    assert panels + stored >= 2 * 32 + 64 * 2
    assert _bytes(_matrices(runner)) == 4 * (stored + panels)
    assert _matrices(SimpleNamespace()) == []
