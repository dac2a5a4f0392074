"""What an adapter takes in the engine's memory: all of it that is held, as it is laid out for the products."""

from types import SimpleNamespace

import torch

from service.engine.footprint import _bytes, _matrices, _packed
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


def test_weights_that_the_products_took_are_counted_by_their_bits() -> None:
    """What is left of them in a layer: an empty weight of 16 bits, none of 8, another name of 4, all of it where nothing was taken."""
    layers = [torch.nn.Linear(2, 2) for _ in range(4)]
    for layer in layers:
        layer.input_size_per_partition, layer.output_size_per_partition = 30, 10
    layers[0].weight = torch.nn.Parameter(torch.empty(0, dtype=torch.bfloat16))
    layers[1].weight = None
    del layers[2].weight
    assert [_packed(torch.nn.Sequential(layer)) for layer in layers] == [600, 300, 0, 0]
