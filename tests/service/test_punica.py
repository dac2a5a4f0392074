"""The grouped products against a dense reference, for random mixes of base and adapters."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

punica = pytest.importorskip("service.engine.punica")


def wrapper(slots: list[int]) -> "punica.GroupedLora":
    made = punica.GroupedLora(max_num_batched_tokens=64, max_batches=8, device="cpu")
    made._slots = slots
    made._token_groups = made._sampler_groups = punica._groups(slots)
    return made


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(-1, 3), min_size=1, max_size=24), st.integers(0, 2**31), st.sampled_from([torch.float32, torch.bfloat16])
)
def test_linear_equals_each_row_alone(slots: list[int], seed: int, dtype: torch.dtype) -> None:
    torch.manual_seed(seed)
    rows, width, rank, slices = len(slots), 12, 4, (6, 3, 5)
    x = torch.randn(rows, width, dtype=dtype)
    a = tuple(torch.randn(4, 1, rank, width, dtype=dtype) for _ in slices)
    b = tuple(torch.randn(4, 1, out, rank, dtype=dtype) for out in slices)
    y = torch.randn(rows, sum(slices), dtype=dtype)
    wanted = y.clone().float()
    for row, slot in enumerate(slots):
        if slot >= 0:
            update = [(x[row].float() @ a[i][slot, 0].float().t()) @ b[i][slot, 0].float().t() for i in range(3)]
            wanted[row] += torch.cat(update)
    wrapper(slots).add_lora_linear(y, x, a, b, 1.0, slices)
    torch.testing.assert_close(
        y.float(), wanted, **({"rtol": 0.05, "atol": 0.4} if dtype == torch.bfloat16 else {"rtol": 1e-4, "atol": 1e-4})
    )
    for row, slot in enumerate(slots):
        if slot < 0:
            assert torch.equal(y[row].float(), wanted[row])


def test_rows_without_an_adapter_are_untouched_when_all_slots_are_taken() -> None:
    """vLLM 0.32's CPU wrapper gives row 0 the last slot's adapter here."""
    y, x = torch.zeros(3, 2), torch.ones(3, 2)
    ones = (torch.ones(2, 1, 1, 2),)
    wrapper([-1, 0, 1]).add_lora_linear(y, x, ones, (torch.ones(2, 1, 2, 1),), 1.0, (2,))
    assert y[0].tolist() == [0.0, 0.0]
    assert y[1].tolist() == y[2].tolist() == [2.0, 2.0]


def test_the_output_head_takes_the_rows_it_is_asked_about() -> None:
    a, b = torch.ones(2, 1, 1, 2), torch.stack([torch.full((1, 5, 1), 1.0), torch.full((1, 5, 1), 10.0)])
    made = wrapper([0, 0, 1, 1, -1])
    hidden = torch.ones(5, 2)
    y = torch.zeros(2, 5)
    punica.prompt_logprobs.under_way = True
    try:
        made.add_lora_logits(y, hidden[2:4], a, b, 1.0)
    finally:
        punica.prompt_logprobs.under_way = False
    assert y[:, 0].tolist() == [20.0, 20.0]


def test_a_head_that_no_adapter_touches_costs_nothing() -> None:
    b = torch.zeros(2, 1, 5, 1)
    y = torch.zeros(1, 5)
    wrapper([0]).add_lora_logits(y, torch.ones(1, 2), torch.ones(2, 1, 1, 2), b, 1.0)
    assert not y.any()
    b[0] += 1
    wrapper([0]).add_lora_logits(y, torch.ones(1, 2), torch.ones(2, 1, 1, 2), b, 1.0)
    assert y.tolist() == [[2.0] * 5]
