"""A vLLM general plugin: in every process of the engine, multi-LoRA on CPU goes through our own products."""

from functools import wraps
from typing import Any


def register() -> None:
    """Puts GroupedLora in the place of vLLM's CPU wrapper; on other platforms it changes nothing."""
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        return
    from vllm.platforms.cpu import CpuPlatform

    CpuPlatform.get_punica_wrapper = classmethod(lambda cls: "service.engine.punica.GroupedLora")
    _mark_prompt_logprobs()


def _mark_prompt_logprobs() -> None:
    """Lets the wrapper know which rows the output head is asked about."""
    from vllm.v1.worker.gpu_model_runner import GPUModelRunner

    from service.engine.punica import prompt_logprobs

    original = GPUModelRunner._get_prompt_logprobs_dict
    if getattr(original, "marked", False):  # vLLM may run a plugin more than once in a process
        return

    @wraps(original)
    def marked(*args: Any, **kwargs: Any) -> Any:
        prompt_logprobs.under_way = True
        try:
            return original(*args, **kwargs)
        finally:
            prompt_logprobs.under_way = False

    marked.marked = True  # type: ignore[attr-defined]
    GPUModelRunner._get_prompt_logprobs_dict = marked
