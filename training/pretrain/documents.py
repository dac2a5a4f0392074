"""What the pretraining stream is made of: a document is a list of segments, some of them only read."""

from typing import NamedTuple


class Segment(NamedTuple):
    """A piece of text; the loss is taken on it only when `trained`."""

    text: str
    trained: bool


Document = list[Segment]


def read_then_write(source: str, target: str) -> Document:
    """A task: the model reads `source`, whose random values nobody could predict, and is trained on `target`."""
    return [Segment(source, False), Segment(target, True)]


def plain(text: str) -> Document:
    """Running text, trained throughout."""
    return [Segment(text, True)]
