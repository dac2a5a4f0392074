"""What PEFT computes in float32, to hold an engine to."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, CompressedTensorsConfig

from tests.makers import EMBEDDED


def embedded() -> Any:
    """The embedded base in float32."""
    return AutoModelForCausalLM.from_pretrained(EMBEDDED.path, dtype=torch.float32).eval()


def dequantized(folder: Path) -> Any:
    """The embedded base with the weights of a quantized copy, as numbers of 32 bits; activations stay as they are."""
    stored = AutoModelForCausalLM.from_pretrained(folder, quantization_config=CompressedTensorsConfig(dequantize=True))
    model = embedded()
    model.load_state_dict({name: value for name, value in stored.state_dict().items() if name in model.state_dict()})
    return model


def in_eight_bits() -> Any:
    """The embedded base with each row of each linear layer rounded to 127 steps either way."""
    model = embedded()
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and name != "lm_head":
            step = module.weight.data.abs().amax(dim=1, keepdim=True) / 127
            module.weight.data = (module.weight.data / step).round() * step
    return model


class Reference:
    """A base and adapters on it."""

    def __init__(self, model: Any, adapters: Mapping[str, Path]) -> None:
        names = iter(adapters)
        first = next(names)
        self._net: Any = PeftModel.from_pretrained(model, adapters[first], adapter_name=first).eval()
        for name in names:
            self._net.load_adapter(adapters[name], adapter_name=name)

    @torch.no_grad()
    def logprobs(self, adapter: str | None, ids: Sequence[int]) -> list[float]:
        """Of each token after the first, given those before it; None is the base alone."""
        if adapter is not None:
            self._net.set_adapter(adapter)
        with self._net.disable_adapter() if adapter is None else nullcontext():
            scores = torch.log_softmax(self._net(input_ids=torch.tensor([list(ids)])).logits[0], dim=-1)
        chosen: list[float] = scores[:-1].gather(1, torch.tensor(ids)[1:, None])[:, 0].tolist()
        return chosen
