"""How a row becomes tokens: one convention for training, evaluation and serving.

The prompt and the completion are tokenised apart, so that the boundary the model was trained on is
the one it meets when it is served; the end-of-text token always belongs to the completion.
"""

from dataclasses import dataclass
from typing import Any

from adapters.errors import BadInput
from evaluation.rows import Row


@dataclass(frozen=True)
class EncodedRow:
    """Token ids of a row; the completion's end with the end-of-text token."""

    prompt: list[int]
    completion: list[int]


def encode_prompt(row: Row, tokenizer: Any) -> list[int]:
    """Token ids of what the model is given: the prompt, or the chat before the last message, ready for an answer."""
    if row.messages:
        return encode_chat(list(row.messages[:-1]), tokenizer)
    if row.prompt is not None:
        return list(tokenizer(row.prompt)["input_ids"])
    begin = tokenizer.bos_token_id
    return [] if begin is None else [int(begin)]


def encode_chat(messages: list[dict[str, str]], tokenizer: Any) -> list[int]:
    """Token ids of a chat, ready for the assistant's answer. Raises BadInput when the tokenizer has no chat template."""
    if not tokenizer.chat_template:
        raise BadInput("the base has no chat template, so rows of messages cannot be used; use prompt and completion", param="data")
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def encode_row(row: Row, tokenizer: Any, answer: str | None = None) -> EncodedRow:
    """Token ids of a row with its first answer, or with `answer`; `tokenizer` is a Hugging Face tokenizer."""
    target = row.text if row.text is not None else (answer if answer is not None else row.answers[0])
    completion = list(tokenizer(target, add_special_tokens=False)["input_ids"])
    return EncodedRow(encode_prompt(row, tokenizer), [*completion, int(tokenizer.eos_token_id)])
