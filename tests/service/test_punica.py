"""The wrapper that vLLM's LoRA layers call: linear, embedding, output head, also inside a compiled graph."""

from types import SimpleNamespace

import torch

from service.engine import punica


def wrapper(slots: list[int]) -> punica.GroupedLora:
    made = punica.GroupedLora(max_num_batched_tokens=64, max_batches=8, device="cpu")
    made.tokens = made.sampled = punica.Step(slots)
    return made


def module(a: torch.Tensor, b: torch.Tensor, made: punica.GroupedLora, tupled: bool = True) -> SimpleNamespace:
    layer = SimpleNamespace(lora_a_stacked=(a,) if tupled else a, lora_b_stacked=(b,) if tupled else b, punica_wrapper=made)
    for slot in range(len(a)):
        punica.lay_out(layer, slot)
    return layer


def test_rows_without_an_adapter_are_untouched_when_all_slots_are_taken() -> None:
    """vLLM 0.32's CPU wrapper gives row 0 the last slot's adapter here."""
    made = wrapper([-1, 0, 1])
    layer = module(torch.ones(2, 1, 1, 2), torch.ones(2, 1, 2, 1), made)
    y = torch.zeros(3, 2)
    made.add_lora_linear(y, torch.ones(3, 2), layer.lora_a_stacked, layer.lora_b_stacked, 1.0, (2,))
    assert y.tolist() == [[0.0, 0.0], [2.0, 2.0], [2.0, 2.0]]


def test_a_mapping_becomes_groups_by_slot() -> None:
    made = wrapper([])
    mapping = SimpleNamespace(index_mapping=(7, 7, 0, 9), prompt_mapping=(7, 0, 9), is_prefill=True)
    made.update_metadata(mapping, [9, 7, None], 3, 100)
    assert made.tokens.slots == [1, 1, -1, 0]
    assert made.sampled.slots == [1, -1, 0]
    assert made.token_lora_indices.tolist() == [1, 1, -1, 0]
    assert made.sampler_indices.tolist() == [1, -1, 0]


def test_the_output_head_takes_the_rows_it_is_asked_about() -> None:
    made = wrapper([0, 0, 1, 1, -1])
    b = torch.stack([torch.full((1, 5, 1), 1.0), torch.full((1, 5, 1), 10.0)])
    layer = module(torch.ones(2, 1, 1, 2), b, made, tupled=False)
    y, hidden = torch.zeros(2, 5), torch.ones(5, 2)
    punica.prompt_logprobs.under_way = True
    try:
        made.add_lora_logits(y, hidden[2:4], layer.lora_a_stacked, layer.lora_b_stacked, 1.0)
    finally:
        punica.prompt_logprobs.under_way = False
    assert y[:, 0].tolist() == [20.0, 20.0]


def test_layers_sharded_over_processes_shrink_and_expand_apart() -> None:
    made = wrapper([-1, 0, 1])
    a, b = torch.ones(2, 1, 2, 4), torch.ones(2, 1, 3, 2) * torch.tensor([1.0, 10.0]).view(2, 1, 1, 1)
    layer = module(a, b, made)
    buffer, y = torch.zeros(1, 3, 2), torch.ones(3, 5)
    made.add_shrink(buffer, torch.ones(3, 4), layer.lora_a_stacked, 0.5)
    assert buffer[0].tolist() == [[0.0, 0.0], [2.0, 2.0], [2.0, 2.0]]
    made.add_expand(y, buffer, layer.lora_b_stacked, (3,), offset_start=1, add_input=True)
    assert y.tolist() == [[1.0] * 5, [1.0, 5.0, 5.0, 5.0, 1.0], [1.0, 41.0, 41.0, 41.0, 1.0]]
    made.add_expand(y, buffer, layer.lora_b_stacked, (3,), offset_start=1, add_inputs=False)
    assert y.tolist() == [[1.0] * 5, [1.0, 4.0, 4.0, 4.0, 1.0], [1.0, 40.0, 40.0, 40.0, 1.0]]


def test_an_embedding_looks_up_its_own_adapters_rows() -> None:
    made = wrapper([1, -1, 0])
    a = torch.arange(2 * 5 * 2, dtype=torch.float32).view(2, 5, 2) + 1  # (slots, vocabulary, r)
    layer = module(a, torch.ones(2, 1, 3, 2), made, tupled=False)
    layer.base_layer = SimpleNamespace(forward=lambda ids: torch.zeros(len(ids), 3))
    y = punica.embed(layer, torch.tensor([4, 4, 2]))
    assert y[:, 0].tolist() == [float(a[1, 4].sum()), 0.0, float(a[0, 2].sum())]


def test_a_compiled_graph_follows_each_steps_groups() -> None:
    made = wrapper([0, -1])
    layer = module(torch.ones(1, 1, 1, 4), torch.ones(1, 1, 4, 1), made)
    weight = torch.eye(4)

    @torch.compile(backend="aot_eager", fullgraph=True)
    def forward(x: torch.Tensor) -> torch.Tensor:
        y = torch.mm(x, weight)
        made.add_lora_linear(y, x, layer.lora_a_stacked, layer.lora_b_stacked, 1.0, (4,))
        return y * 2

    x = torch.ones(2, 4)
    assert forward(x)[:, 0].tolist() == [10.0, 2.0]
    made.tokens = punica.Step([-1, 0])
    assert forward(x)[:, 0].tolist() == [2.0, 10.0]
