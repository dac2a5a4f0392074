"""Adapters in slots: laid out once and the same as by vLLM's stacks, placed by pointers, gone when they leave."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from service.engine import slots
from service.engine.products import Layer, Step, Weights


def lora(a: Any, b: Any) -> SimpleNamespace:
    """An adapter's part of one layer, as vLLM holds it after merging."""
    return SimpleNamespace(module_name="m", lora_a=a, lora_b=b)


def product(layer: Layer, weights: Weights | None) -> torch.Tensor:
    layer.set(1, weights)
    y = torch.zeros(3, sum(layer.widths))
    layer.add(y, torch.arange(12.0).reshape(3, 4), Step([1, -1, 1]))
    return y


def test_merged_slices_without_some_and_padded_rows() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(2, 4), torch.randn(3, 2)
    stack_a, stack_b = torch.zeros(8, 4), torch.zeros(5, 8)
    stack_a[:2], stack_b[:3, :2] = a, b
    empty = torch.zeros(8, 4), torch.zeros(6, 8)
    by_stacks = product(Layer(2, (5, 6), 4), Weights.of([stack_a, empty[0]], [stack_b, empty[1]]))
    layer = Layer(2, (5, 6), 4)
    laid_out = product(layer, slots._laid_out(lora([a, None], [b, None]), layer))
    torch.testing.assert_close(laid_out, by_stacks)
    assert laid_out[0].any()
    assert not laid_out[1].any()


def test_an_embeddings_rows_are_kept_once() -> None:
    """The kernel multiplies by none of them, and there are as many as the vocabulary has words."""
    kept = slots._laid_out(lora(torch.ones(2, 100), torch.ones(5, 2)), Layer(2, (5,), 0))
    assert kept is not None
    assert kept.panels is None


def test_another_number_of_parts_is_an_error() -> None:
    with pytest.raises(ValueError, match="m has 1 parts, the model's layer 2"):
        slots._laid_out(lora(torch.ones(1, 4), torch.ones(5, 1)), Layer(2, (5, 6), 4))


class Manager(SimpleNamespace):
    """What of vLLM's manager the changes touch."""

    def __init__(self, count: int, **weights: Weights) -> None:
        self.layer = Layer(count, (5,), 4)
        registered = {int(key[1:]): SimpleNamespace(laid_out={"m": value}) for key, value in weights.items()}
        super().__init__(
            placed={"m": self.layer}, lora_index_to_id=[None] * count, _active_adapters={}, _registered_adapters=registered
        )


@pytest.mark.parametrize("sharded", [False, True])
def test_shards_keep_the_stacks_that_their_products_read(sharded: bool) -> None:
    manager = SimpleNamespace(modules={}, packed_modules={}, model=None, lora_config=SimpleNamespace(fully_sharded_loras=sharded))
    slots._creating(lambda _: None)(manager)
    assert (manager.placed is None) == sharded


def refuse(*_: Any) -> Any:
    raise AssertionError("vLLM's own way was taken")


def test_a_slot_is_taken_by_pointers_and_given_back() -> None:
    one, two = (Weights.packed([torch.full((1, 4), n)], [torch.ones(5, 1)], [1.0], torch.float32) for n in (1.0, 2.0))
    assert one is not None
    assert two is not None
    manager = Manager(2, a7=one, a9=two)
    activate, deactivate = slots._activating(refuse), slots._deactivating(lambda *_: None)
    assert [activate(manager, 7), activate(manager, 9), activate(manager, 9)] == [True, True, False]
    assert manager.lora_index_to_id == [7, 9]
    assert manager.layer.weights == [one, two]
    deactivate(manager, 7)
    assert manager.layer.weights == [None, two]
    with pytest.raises(ValueError, match="No free lora slots"):
        slots._activating(refuse)(Manager(0), 7)


def test_what_is_loaded_is_found_without_asking_for_all_and_the_rest_goes_vllms_way() -> None:
    seen: list[Any] = []

    class Registered(dict[int, Any]):
        def touch(self, key: int) -> None:
            seen.append(("touched", key))

    manager = SimpleNamespace(
        lora_slots=2, _registered_adapters=Registered({7: None}), activate_adapter=lambda key: seen.append(("active", key))
    )
    worker = SimpleNamespace(_adapter_manager=manager)
    apply = slots._applying(lambda _, requests: seen.append(("vllm", {r.lora_int_id for r in requests})))

    class Request(SimpleNamespace):
        def __hash__(self) -> int:
            return int(self.lora_int_id)

    apply(worker, {Request(lora_int_id=7, load_inplace=False)})
    assert seen == [("touched", 7), ("active", 7)]
    apply(worker, {Request(lora_int_id=8, load_inplace=False)})
    assert seen[2:] == [("vllm", {8})]


def test_stacks_without_memory_keep_their_shape_and_have_addresses_of_their_own() -> None:
    module = SimpleNamespace(lora_a_stacked=(torch.zeros(64, 1, 8, 4),), lora_b_stacked=torch.zeros(64, 1, 6, 8))
    slots._without_memory(module)
    assert module.lora_a_stacked[0].shape == (64, 1, 8, 4)
    assert module.lora_b_stacked.shape == (64, 1, 6, 8)
    assert module.lora_b_stacked.untyped_storage().nbytes() == 4
    assert module.lora_a_stacked[0].data_ptr() != module.lora_b_stacked.data_ptr()
