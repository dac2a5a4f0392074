"""What an adapter takes in the engine's memory: all of it that is held, as it is laid out for the products."""

from types import SimpleNamespace

import torch

from service.engine.footprint import _adapter, _adapters, _packed
from service.engine.products import Matrices, Weights


def test_an_adapter_is_counted_whole_and_once() -> None:
    weights = Weights.packed([torch.ones(2, 32)], [torch.ones(64, 2)], [1.0], torch.float32)
    assert weights is not None
    held = SimpleNamespace(loras={}, laid_out={"q": weights, "untouched": None})
    runner = SimpleNamespace(
        lora_manager=SimpleNamespace(_adapter_manager=SimpleNamespace(_registered_adapters=SimpleNamespace(cache={1: held})))
    )
    panels = sum(part.numel() for part in weights.panels or ())
    stored = 2 * 32 + 64 * 2 if weights.stored is not None else 0
    assert panels + stored >= 2 * 32 + 64 * 2
    assert [_adapter(adapter) for adapter in _adapters(runner)] == [4 * (stored + panels)]
    assert list(_adapters(SimpleNamespace())) == []


def test_what_vllm_read_and_the_products_hold_too_is_counted_once() -> None:
    a, b = torch.ones(2, 32), torch.ones(64, 2)
    weights = Weights((2,), torch.float32, None, Matrices((a,), (b,), (1.0,)))
    held = SimpleNamespace(loras={"q": SimpleNamespace(lora_a=[a, None], lora_b=b)}, laid_out={"q": weights})
    assert _adapter(held) == 4 * (2 * 32 + 64 * 2)


def test_weights_that_the_products_took_are_counted_by_their_bits() -> None:
    """What is left of them in a layer: an empty weight of 16 bits, none of 8, another name of 4, all of it where nothing was taken."""
    layers = [torch.nn.Linear(2, 2) for _ in range(4)]
    for layer in layers:
        layer.input_size_per_partition, layer.output_size_per_partition = 30, 10
    layers[0].weight = torch.nn.Parameter(torch.empty(0, dtype=torch.bfloat16))
    layers[1].weight = None
    del layers[2].weight
    assert [_packed(torch.nn.Sequential(layer)) for layer in layers] == [600, 300, 0, 0]
