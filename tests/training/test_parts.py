"""A batch in parts: no row lost, never dearer than whole, and the same loss and gradients as in one piece."""

from pathlib import Path

import torch
from hypothesis import given
from hypothesis import strategies as st

from training.config import load_config
from training.data import Collator
from training.loop import label_loss
from training.model import load_model
from training.parts import parts
from training.train import prepare


def cost(found: list[list[int]], lengths: list[int], overhead: int) -> int:
    return sum(len(rows) * max(lengths[row] for row in rows) + overhead for rows in found)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=7), st.integers(0, 80))
def test_every_row_is_in_one_part_and_no_other_cut_is_cheaper(lengths: list[int], overhead: int) -> None:
    found = parts(lengths, overhead)
    assert sorted(row for rows in found for row in rows) == list(range(len(lengths)))
    assert all(lengths[rows[0]] == max(lengths[row] for row in rows) for rows in found)
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    cheapest = None
    for cuts in range(2 ** (len(order) - 1)):  # every way to cut the rows, long ones first
        other: list[list[int]] = [[order[0]]]
        for at, row in enumerate(order[1:]):
            if cuts >> at & 1:
                other.append([])
            other[-1].append(row)
        price = cost(other, lengths, overhead)
        cheapest = price if cheapest is None else min(cheapest, price)
    assert cost(found, lengths, overhead) == cheapest


def test_short_rows_go_apart_from_long_ones_where_that_pays() -> None:
    assert parts([10, 90, 12, 88], overhead=24) == [[1, 3], [2, 0]]
    assert parts([10, 90, 12, 88], overhead=500) == [[1, 3, 2, 0]]


def test_the_loss_and_its_gradients_are_those_of_the_whole_batch(tiny: Path, rows: Path) -> None:
    config = load_config(None, {"base": str(tiny), "data": str(rows), "method": "full"})
    ready = prepare(config)
    model = load_model(ready.base, config).eval()
    examples = [
        {"input_ids": [5] * n, "labels": [-100] * (n // 2) + [5 + n % 7] * (n - n // 2), "length": n} for n in (4, 60, 7, 55, 31)
    ]
    batch = Collator(2)(examples)
    seen = []
    model.model.layers[0].register_forward_hook(
        lambda _, __, out: seen.append(out[0].shape if isinstance(out, tuple) else out.shape)
    )
    found = label_loss(model, batch)
    found.backward()
    in_parts = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    assert len(seen) > 1
    model.zero_grad()
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1]
    whole = torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), batch["labels"][:, 1:].flatten(), ignore_index=-100)
    whole.backward()
    torch.testing.assert_close(found, whole)
    for mine, theirs in zip(in_parts, (p.grad for p in model.parameters() if p.grad is not None), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5)
