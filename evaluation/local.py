"""A base, with an adapter or without, on this machine: what `patchbay evaluate` scores without a service."""

import asyncio
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, CompressedTensorsConfig
from transformers.utils import logging as transformers_logging

from adapters.base import Base
from evaluation.model import Completion, Span, TokenScore
from evaluation.rows import Row
from evaluation.tokens import encode_prompt, encode_row, windows


class LocalBase:
    """The weights, loaded once; `model(None)` is the base and `model(name)` the adapter on it."""

    def __init__(self, base: Base, adapter: Path | None) -> None:
        self.base = base
        transformers_logging.disable_progress_bar()  # the bar over the rows is the one that means something
        self.tokenizer = AutoTokenizer.from_pretrained(base.path, local_files_only=True)
        loaded = load_net(base).eval()
        device = "cuda" if torch.cuda.is_available() else "cpu"
        # bfloat16 on a CPU without instructions for it is slow and no more exact; full precision is what PEFT's own users get.
        loaded = loaded.to(device) if device == "cuda" or base.quantization == "bitsandbytes" else loaded.float()
        self.net: Any = loaded if adapter is None else _with_adapter(loaded, adapter)
        self.lock = threading.Lock()

    def model(self, name: str | None) -> "LocalModel":
        """The base under its id, or the adapter under a name."""
        return LocalModel(self, name)


def _with_adapter(net: Any, folder: Path) -> Any:
    with warnings.catch_warnings():
        # That an embedding which the output head shares has an adapter matters to who merges it.
        warnings.filterwarnings("ignore", message="Model has `tie_word_embeddings=True`")
        return PeftModel.from_pretrained(net, str(folder)).eval()


def load_net(base: Base) -> Any:
    """A base as it is stored, adapters fit on it: PEFT puts no adapter on packed weights, so those are unpacked; activations are still rounded where the base has it so."""
    if base.quantization != "compressed-tensors":
        return AutoModelForCausalLM.from_pretrained(base.path, dtype="auto", local_files_only=True)
    with warnings.catch_warnings():  # transformers says that the folder's own settings stay in force, which is what is meant
        warnings.simplefilter("ignore")
        unpacked = CompressedTensorsConfig(dequantize=True)
        return AutoModelForCausalLM.from_pretrained(base.path, dtype="auto", local_files_only=True, quantization_config=unpacked)


class LocalModel:
    """See evaluation.model.Model, which this is. One call at a time: the machine's cores serve each in turn."""

    def __init__(self, local: LocalBase, name: str | None) -> None:
        self._local, self._name = local, name

    @property
    def id(self) -> str:
        """The adapter's name, or the base's id."""
        return self._name or self._local.base.id

    @property
    def span(self) -> Span:
        """All the base sees at once."""
        return Span(self._local.base.max_length)

    async def complete(self, prompt: Any, max_tokens: int, stop: str | None = None) -> Completion:
        """A greedy answer, ended before `stop` where it says that."""
        return await asyncio.to_thread(self._alone, lambda: self._complete(prompt, max_tokens, stop))

    async def score(self, row: Row) -> TokenScore:
        """The completion's log-probabilities."""
        return await asyncio.to_thread(self._alone, lambda: self._score(row))

    @torch.inference_mode()
    def _alone(self, work: Callable[[], Any]) -> Any:
        net = self._local.net
        with self._local.lock, net.disable_adapter() if self._name is None and hasattr(net, "disable_adapter") else nullcontext():
            return work()

    def _complete(self, prompt: Any, max_tokens: int, stop: str | None) -> Completion:
        tokenizer, net = self._local.tokenizer, self._local.net
        ids = torch.tensor([encode_prompt(prompt, tokenizer)], device=net.device)
        began = time.monotonic()
        made = net.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=max_tokens,
            do_sample=False,
            pad_token_id=tokenizer.pad_token_id or tokenizer.eos_token_id,
            **({"stop_strings": [stop], "tokenizer": tokenizer} if stop else {}),
        )[0, ids.shape[1] :]
        seconds = time.monotonic() - began
        text = tokenizer.decode(made, skip_special_tokens=True)
        kept = text.split(stop, 1)[0] if stop else text
        ended = kept != text or bool((made == tokenizer.eos_token_id).any())
        return Completion(kept, len(made), seconds, not ended)

    def _score(self, row: Row) -> TokenScore:
        net = self._local.net
        total, count = 0.0, 0
        for window in windows(encode_row(row, self._local.tokenizer), self.span.length, self.span.stride):
            ids = torch.tensor([window.ids], device=net.device)
            logits = net(input_ids=ids).logits[0, window.first_scored - 1 : -1].float()
            chosen = torch.log_softmax(logits, dim=-1).gather(1, ids[0, window.first_scored :, None])
            total, count = total - float(chosen.sum()), count + len(chosen)
        return TokenScore(total, count)
