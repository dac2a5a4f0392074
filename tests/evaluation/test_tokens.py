"""Windows over rows that are longer than a model: every scored token once, with enough before it."""

from hypothesis import given
from hypothesis import strategies as st

from evaluation.tokens import EncodedRow, windows


@given(st.integers(0, 60), st.integers(1, 60), st.integers(2, 20), st.data())
def test_every_completion_token_is_scored_once(prompt: int, completion: int, length: int, data: st.DataObject) -> None:
    stride = data.draw(st.integers(1, length - 1))
    row = EncodedRow(tuple(range(prompt)), tuple(range(prompt, prompt + completion)))
    scored = []
    for window in windows(row, length, stride):
        assert len(window.ids) <= length
        assert window.first_scored >= 1, "something stands before the first"
        at_begin = window.ids[0] == 0
        assert at_begin or window.first_scored >= length - stride
        scored += window.ids[window.first_scored :]
    assert scored == list(range(max(1, prompt), prompt + completion))
