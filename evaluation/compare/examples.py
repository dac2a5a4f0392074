"""Examples for a prompt out of training rows: a fixed few, or those nearest to the question by BM25."""

import random
from collections.abc import Callable, Sequence

import bm25s

from adapters.errors import BadInput
from evaluation.rows import Row

# Blank line between examples, and where an answer has ended.
BREAK = "\n\n"
Question = str | list[dict[str, str]]


class Examples:
    """Training rows of one kind (prompts, or messages), indexed by what they ask.

    BM25 as Lucene has it (Robertson and Zaragoza, 2009; bm25s), words in lower case, no stop words left out.
    """

    def __init__(self, rows: Sequence[Row], k: int, seed: int) -> None:
        """Raises BadInput for rows that are text, for they ask nothing."""
        self.rows = [row for row in rows if row.text is None and row.answer is not None]
        if not self.rows:
            raise BadInput("the training rows are text; examples need prompt and completion, or messages", param="data")
        self.k = min(k, len(self.rows))
        self.fixed = _varied(self.rows, self.k, seed)
        words = _words([_asked(row.question) for row in self.rows])
        self._index = bm25s.BM25(backend="numpy") if words.vocab else None
        if self._index is not None:
            self._index.index(words, show_progress=False)

    def nearest(self, question: Question) -> list[Row]:
        """The k rows whose question is most like this one, the most like it last: next to the question.

        Where no row has a word in its question there is nothing to be like, and the fixed ones serve.
        """
        if self._index is None:
            return self.fixed
        places, _ = self._index.retrieve(_words([_asked(question)]), k=self.k, show_progress=False)
        return [self.rows[int(place)] for place in reversed(places[0])]

    @property
    def stop(self) -> str | None:
        """What ends an answer of a model that goes on with examples of its own; None where answers hold such, or are messages."""
        if any(row.messages or BREAK in str(row.answer) for row in self.rows):
            return None
        return BREAK


def with_examples(question: Question, examples: Sequence[Row], fits: Callable[[Question], bool]) -> tuple[Question, int]:
    """The question with as many examples before it as fit, the first left out before the others; and how many those are."""
    alike = [row for row in examples if bool(row.messages) == (not isinstance(question, str))]
    while alike:
        asked = _joined(question, alike)
        if fits(asked):
            return asked, len(alike)
        alike = alike[1:]
    return question, 0


def _joined(question: Question, examples: Sequence[Row]) -> Question:
    if isinstance(question, str):
        return "".join(f"{row.prompt}{row.answer}{BREAK}" for row in examples) + question
    system = [message for message in question if message["role"] == "system"]
    turns = [
        m for row in examples for m in (*_of(row), {"role": "assistant", "content": str(row.answer)}) if m["role"] != "system"
    ]
    return [*system, *turns, *(message for message in question if message["role"] != "system")]


def _of(row: Row) -> list[dict[str, str]]:
    return row.question if isinstance(row.question, list) else []


def _varied(rows: Sequence[Row], k: int, seed: int) -> list[Row]:
    """k rows by the seed; answers that are not among them yet come first, so that labels are shown before any is repeated."""
    order = random.Random(seed).sample(range(len(rows)), len(rows))
    seen: set[str | None] = set()
    first: list[Row] = []
    again: list[Row] = []
    for place in order:
        (again if rows[place].answer in seen else first).append(rows[place])
        seen.add(rows[place].answer)
    return [*first, *again][:k]


def _asked(question: Question | None) -> str:
    """What is searched for: the prompt, or what users said."""
    if isinstance(question, str):
        return question
    return "\n".join(message["content"] for message in question or [] if message["role"] == "user")


def _words(texts: list[str]) -> bm25s.tokenization.Tokenized:
    return bm25s.tokenize(texts, token_pattern=r"(?u)\b\w+\b", stopwords=[], show_progress=False)
