"""The products against a dense reference, for random mixes of base and adapters."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from service.engine import kernel, products
from service.engine.products import LARGE, Layer, Step, Weights

CLOSE = {torch.bfloat16: {"rtol": 0.02, "atol": 0.05}, torch.float32: {"rtol": 1e-4, "atol": 1e-4}}


def stacks(slots: int, rank: int, width: int, widths: tuple[int, ...], dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    """Random A and B by slice, as vLLM stacks them; each slot has a rank of its own, padded with zeros."""
    a = [torch.randn(slots, rank, width) / width**0.5 for _ in widths]
    b = [torch.randn(slots, out, rank) / rank**0.5 for out in widths]
    for slot in range(slots):
        for left, right in zip(a, b, strict=True):
            own = int(torch.randint(0, rank + 1, ()))
            left[slot, own:], right[slot, :, own:] = 0, 0
    return [t.to(dtype) for t in a], [t.to(dtype) for t in b]


def layer_of(a: list[torch.Tensor], b: list[torch.Tensor]) -> Layer:
    made = Layer(len(a[0]), [t.shape[1] for t in b], a[0].shape[-1])
    for slot in range(len(a[0])):
        made.set(slot, Weights.of([t[slot] for t in a], [t[slot] for t in b]))
    return made


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-1, 3), st.integers(1, LARGE + 4)), min_size=1, max_size=6),
    st.sampled_from([8, 16, 33, 96]),
    st.sampled_from([(16,), (64, 16, 16), (40, 7, 130)]),
    st.integers(1, 9),
    st.sampled_from([torch.float32, torch.bfloat16]),
    st.booleans(),
    st.integers(0, 2**31),
)
def test_each_row_gets_its_own_adapter_and_no_other(
    runs: list[tuple[int, int]], width: int, widths: tuple[int, ...], rank: int, dtype: torch.dtype, shuffled: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    slots = [slot for slot, count in runs for _ in range(count)]
    if shuffled:
        slots = [slots[i] for i in torch.randperm(len(slots)).tolist()]
    a, b = stacks(4, rank, width, widths, dtype)
    x, y = torch.randn(len(slots), width).to(dtype), torch.randn(len(slots), sum(widths)).to(dtype)
    before = y.clone()
    layer_of(a, b).add(y, x, Step(slots))
    for row, slot in enumerate(slots):
        if slot < 0:
            assert torch.equal(y[row], before[row])
            continue
        update = [x[row].float() @ left[slot].float().t() @ right[slot].float().t() for left, right in zip(a, b, strict=True)]
        torch.testing.assert_close(y[row].float(), before[row].float() + torch.cat(update), **CLOSE[dtype])


def test_the_kernel_and_the_library_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    a, b = stacks(3, 16, 64, (48, 16), torch.float32)
    slots, x = [0, 1, 2, -1] * 5, torch.randn(20, 64)
    with_kernel, without = torch.zeros(20, 64), torch.zeros(20, 64)
    layer = layer_of(a, b)
    layer.add(with_kernel, x, Step(slots))
    monkeypatch.setattr(Layer, "_kernel", lambda *_: None)
    layer.add(without, x, Step(slots))
    torch.testing.assert_close(with_kernel, without, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("dtype", list(CLOSE))
def test_long_runs_are_right_by_the_library_and_by_the_kernel(
    dtype: torch.dtype, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    a, b = stacks(2, 16, 64, (48, 16), dtype)
    slots = [0] * (LARGE + 1) + [-1, 1, 1] + [1] * LARGE + [0]
    x, y = torch.randn(len(slots), 64).to(dtype), torch.zeros(len(slots), 64, dtype=dtype)
    monkeypatch.setattr(products, "library_is_fast", lambda dtype: fast)
    layer_of(a, b).add(y, x, Step(slots))
    for slot in (0, 1):
        rows = [row for row, one in enumerate(slots) if one == slot]
        update = [x[rows].float() @ left[slot].float().t() @ right[slot].float().t() for left, right in zip(a, b, strict=True)]
        torch.testing.assert_close(y[rows].float(), torch.cat(update, dim=1), **CLOSE[dtype])
    assert not y[LARGE + 1].any()


@pytest.mark.parametrize("dtype", list(CLOSE))
def test_what_is_held_in_panels_alone_comes_out_of_them_whole(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """Odd ranks, an odd width, more panels than a block holds, a slice left out."""
    monkeypatch.setattr(products, "library_is_fast", lambda dtype: False)
    torch.manual_seed(0)
    a = [torch.randn(rank, 33).to(dtype) for rank in (5, 0, 130)]
    b = [torch.randn(width, len(left)).to(dtype) for width, left in zip((70, 9, 250), a, strict=True)]
    made = Weights.packed(a, b, [2.0, 1.0, 0.5], dtype)
    assert made is not None
    found = made.matrices((70, 9, 250), 33)
    for left, right, scale, mine, theirs in zip(a, b, (2.0, 1.0, 0.5), found.a, found.b, strict=True):
        assert torch.equal(mine[: len(left)], left)
        assert torch.equal(theirs[:, : len(left)], right * scale)
        assert not mine[len(left) :].any()
    if kernel.kernel() is not None:
        assert made.stored is None


def test_rows_of_another_dtype_than_the_weights_are_added_too() -> None:
    """A base may compute its logits in float32 over bfloat16 adapters."""
    layer = layer_of([torch.ones(1, 1, 16, dtype=torch.bfloat16)], [torch.ones(1, 16, 1, dtype=torch.bfloat16)])
    y = torch.zeros(2, 16)
    layer.add(y, torch.ones(2, 16, dtype=torch.bfloat16), Step([0, -1]))
    assert y.sum(dim=1).tolist() == [256.0, 0.0]


@pytest.mark.parametrize(("scale", "narrow"), [(2.0, True), (0.25, True), (1.0, True), (1.5, False)])
def test_weights_stored_in_bfloat16_are_read_so_and_lose_nothing(scale: float, narrow: bool) -> None:
    """Beside an adapter in float32, in one layer; scaled, only where bfloat16 holds the product."""
    torch.manual_seed(0)
    a, b = [torch.randn(5, 33), torch.randn(0, 33)], [torch.randn(70, 5), torch.randn(9, 0)]
    short_a, short_b = ([part.bfloat16() for part in parts] for parts in (a, b))
    stored = Weights.packed(short_a, short_b, [scale, 1.0], torch.float32)
    wide = Weights.packed([part.float() for part in short_a], [part.float() for part in short_b], [scale, 1.0], torch.float32)
    if kernel.kernel() is not None:
        assert [part.dtype == torch.bfloat16 for part in stored.panels + wide.panels] == [narrow, narrow, False, False]
    layer = Layer(2, (70, 9), 33)
    layer.set(0, stored)
    layer.set(1, wide)
    x, y = torch.randn(6, 33), torch.zeros(12, 79)
    layer.add(y, torch.cat([x, x]), Step([0] * 6 + [1] * 6))
    assert torch.equal(y[:6], y[6:])
    torch.testing.assert_close(y[:6, :70], scale * x @ short_a[0].float().t() @ short_b[0].float().t())
    assert not y[:, 70:].any()


def test_a_dtype_that_the_kernel_lacks_goes_through_the_library() -> None:
    layer = layer_of([torch.ones(1, 1, 16, dtype=torch.float16)], [torch.ones(1, 16, 1, dtype=torch.float16)])
    y = torch.zeros(2, 16, dtype=torch.float16)
    layer.add(y, torch.ones(2, 16, dtype=torch.float16), Step([0, -1]))
    assert y.sum(dim=1).tolist() == [256.0, 0.0]


def test_rows_that_are_a_part_of_a_wider_tensor() -> None:
    layer = layer_of([torch.ones(1, 1, 16)], [torch.ones(1, 16, 1)])
    y, x = torch.zeros(3, 40), torch.ones(3, 50)
    layer.add(y[:, 8:24], x[:, 1:17], Step([0, -1, 0]))
    assert y.sum(dim=1).tolist() == [256.0, 0.0, 256.0]
    assert not y[:, :8].any()
    assert not y[:, 24:].any()


def test_work_follows_an_adapters_own_rank() -> None:
    a, b = torch.zeros(8, 4), torch.zeros(6, 8)
    a[:3], b[:, :5] = 1.0, 1.0
    kept = Weights.of([a], [b])
    assert kept is not None
    assert kept.ranks == (3,)
    assert Weights.of([a], [torch.zeros(6, 8)]) is None


def test_an_emptied_slot_adds_nothing() -> None:
    a, b = [torch.ones(2, 1, 16)], [torch.ones(2, 16, 1)]
    layer = layer_of(a, b)
    layer.set(0, None)
    y = torch.zeros(2, 16)
    layer.add(y, torch.ones(2, 16), Step([0, 1]))
    assert not y[0].any()
    assert y[1].tolist() == [16.0] * 16
    layer.set(1, None)
    assert not layer.touched


def test_a_step_with_more_rows_than_the_layer_is_an_error_not_a_stray_write() -> None:
    layer = layer_of([torch.ones(1, 1, 16)], [torch.ones(1, 16, 1)])
    with pytest.raises(ValueError, match="groups 3 rows, the layer has 2"):
        layer.add(torch.zeros(2, 16), torch.ones(2, 16), Step([0, 0, 0]))


@pytest.mark.parametrize("dtype", list(CLOSE))
def test_what_overflows_in_one_slice_leaves_its_neighbours_alone(dtype: torch.dtype) -> None:
    """Weights in bfloat16 are multiplied in pairs: an odd rank's last has no partner in the next slice."""
    a = [torch.ones(1, 16).to(dtype), torch.full((1, 16), 3e38).to(dtype)]
    layer = Layer(1, (16, 16), 16)
    layer.set(0, Weights.packed(a, [torch.ones(16, 1).to(dtype)] * 2, [1.0, 1.0], dtype))
    y = torch.zeros(1, 32, dtype=dtype)
    layer.add(y, torch.full((1, 16), 4.0).to(dtype), Step([0]))
    assert y[0, :16].tolist() == [64.0] * 16
    assert y[0, 16:].isinf().all()


def test_nan_in_a_row_stays_nan_and_stays_in_its_row() -> None:
    layer = layer_of([torch.ones(1, 1, 16, dtype=torch.bfloat16)], [torch.ones(1, 16, 1, dtype=torch.bfloat16)])
    x = torch.ones(2, 16, dtype=torch.bfloat16)
    x[0, 3] = float("nan")
    y = torch.zeros(2, 16, dtype=torch.bfloat16)
    layer.add(y, x, Step([0, 0]))
    assert y[0].isnan().all()
    assert y[1].tolist() == [16.0] * 16
