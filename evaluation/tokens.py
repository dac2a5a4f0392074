"""A row as token ids: the one convention that training, evaluation and serving share.

- prompt and completion: the prompt tokenized as the tokenizer does by itself (with its special
  tokens), the completion tokenized on its own without any, then the end-of-text token. Tokenizing the
  two apart makes the boundary of training the boundary of serving, where only the prompt is known.
- messages: the chat template over all messages but the last, with its generation prompt, is the
  prompt; the last assistant message and the end-of-text token are the completion. The template
  writes its own special tokens, so none are added to the rendered text.
- text: everything is completion, with the end-of-text token last.

Works with any tokenizer of the Hugging Face interface and needs no torch.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from adapters.errors import BadInput
from evaluation.rows import Row


class Tokenizer(Protocol):
    """The part of a Hugging Face tokenizer that is used here."""

    @property
    def eos_token_id(self) -> Any: ...

    def __call__(self, text: Any, *, add_special_tokens: bool = ...) -> Any: ...

    def apply_chat_template(self, conversation: Any, *, tokenize: bool = ..., add_generation_prompt: bool = ...) -> Any: ...


@dataclass(frozen=True)
class EncodedRow:
    """Token ids of a row. `completion_ids` ends with the end-of-text token; the loss and the
    perplexity are taken over it alone."""

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]

    @property
    def ids(self) -> tuple[int, ...]:
        return self.prompt_ids + self.completion_ids

    @property
    def first_scored(self) -> int:
        """Position in `ids` of the first token that has a probability given what precedes it: the
        first of the completion, or the second token where nothing precedes the first."""
        return max(1, len(self.prompt_ids))


def encode_row(row: Row, tokenizer: Tokenizer) -> EncodedRow:
    """The row's prompt and completion as token ids, by the convention above.

    Raises BadInput when the tokenizer has no end-of-text token or (for messages) no usable chat
    template, and when the row has nothing to learn (references only).
    """
    eos = _eos(tokenizer)
    if row.text is not None:
        ids = _ids(tokenizer, row.text, special=True)
        # Some tokenizers end every text themselves; two ends would teach the model to go on after one.
        return EncodedRow((), ids if ids and ids[-1] == eos else (*ids, eos))
    if row.answer is None or row.question is None:
        raise BadInput(f'line {row.line} has no completion to score; give "completion" beside "references".', param="data")
    return EncodedRow(encode_prompt(row.question, tokenizer), (*_ids(tokenizer, row.answer, special=False), eos))


def encode_prompt(prompt: str | Sequence[Mapping[str, str]], tokenizer: Tokenizer) -> tuple[int, ...]:
    """Token ids of what a model is asked: a text as it stands, or messages through the template.

    Raises BadInput when the tokenizer has no chat template or the template refuses the messages.
    """
    if isinstance(prompt, str):
        return _ids(tokenizer, prompt, special=True)
    return _ids(tokenizer, rendered(prompt, tokenizer), special=False)


def rendered(messages: Sequence[Mapping[str, str]], tokenizer: Tokenizer) -> str:
    """Messages as the text that asks for the next one; the template has written its special tokens into it.

    Raises BadInput when the tokenizer has no chat template or the template refuses the messages.
    """
    try:
        return str(tokenizer.apply_chat_template([dict(m) for m in messages], tokenize=False, add_generation_prompt=True))
    # Templates are programs of the base's author: besides ValueError (no template) they raise
    # jinja's errors and whatever their own code runs into.
    except Exception as error:
        raise BadInput(
            f"the base's chat template does not take these messages ({error}); "
            'use "prompt" and "completion" rows, or a base with a chat template.',
            param="messages",
        ) from error


@dataclass(frozen=True)
class Window:
    """A stretch of ids to run the model over; tokens from `first_scored` on count."""

    ids: tuple[int, ...]
    first_scored: int


def windows(encoded: EncodedRow, length: int, stride: int) -> Iterator[Window]:
    """Cut a row that is longer than the model into windows of at most `length` tokens.

    Every token of the completion is scored exactly once. The first window starts at the row's first
    token; each later one moves on by `stride` tokens, so that a token scored there is preceded by at
    least `length - stride` tokens (the strided perplexity of Hugging Face's documentation). A row that
    fits gives one window. 1 <= stride < length.
    """
    if not 1 <= stride < length:
        raise BadInput(
            f"the stride is {stride}; give one from 1 to {length - 1}, below the window's {length} tokens.", param="stride"
        )
    ids, scored = encoded.ids, encoded.first_scored
    start = 0
    while scored < len(ids):
        end = min(start + length, len(ids))
        if end > scored:
            yield Window(ids[start:end], scored - start)
            scored = end
        start += stride


def _eos(tokenizer: Tokenizer) -> int:
    eos = tokenizer.eos_token_id
    if not isinstance(eos, int):
        raise BadInput(
            "the base's tokenizer has no end-of-text token, so a model could not learn to stop; "
            'set "eos_token" in its tokenizer_config.json.',
            param="base",
        )
    return eos


def _ids(tokenizer: Tokenizer, text: str, *, special: bool) -> tuple[int, ...]:
    return tuple(int(i) for i in tokenizer(text, add_special_tokens=special)["input_ids"])
