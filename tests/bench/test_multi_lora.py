"""The benchmark of mixed adapters: as many are mixed as a column says, ranks take turns, and a ratio is one of a round."""

from bench.multi_lora import OURS, WITHOUT, Job, _by_stream, _cells, table


def test_as_many_as_the_column_says() -> None:
    job = Job("decode 8", 8, 8, 64)
    for _, mix in _cells(job, [WITHOUT, OURS]):
        for first in range(-1, 20):
            asked = _by_stream(job, mix, first, 16)
            assert len(set(asked)) == mix
            assert len(asked) == (8 if mix else 0)
            assert set(asked) <= set(range(16))


def test_a_single_stream_asks_for_another_adapter_each_round() -> None:
    job = Job("decode 1", 1, 8, 64)
    assert _cells(job, [WITHOUT, OURS]) == [(WITHOUT, 0), (OURS, 0), (OURS, 1)]
    assert [_by_stream(job, 1, first, 16) for first in range(4)] == [[0], [1], [2], [3]]


def test_ratios_are_taken_within_a_round() -> None:
    few = {f"{WITHOUT}, 0": [100.0, 10.0, 50.0], f"{OURS}, 1": [50.0, 9.0, 40.0]}
    lines = table({"decode 1": few, "decode 8": few | {f"{OURS}, 4": [10.0, 1.0, 5.0]}})
    assert lines[2:] == ["| decode 1 | 50 | 0.80 | - |", "| decode 8 | 50 | 0.80 | 0.10 |"]
