"""A vLLM general plugin: in every process of the engine, workers tell their memory and exchange adapters, and multi-LoRA on CPU goes through our own products."""

import logging
from functools import wraps
from typing import Any

from service.engine.kernel import compiler

_MARK = "patched_by_patchbay"  # vLLM may run a plugin more than once in a process


def register() -> None:
    """Puts GroupedLora in the place of vLLM's CPU wrapper; on other platforms no products change."""
    from vllm.platforms import current_platform

    from service.engine import exchange, footprint

    footprint.install()
    exchange.install()
    if not current_platform.is_cpu():
        return
    from vllm.platforms.cpu import CpuPlatform

    from service.engine import slots

    if getattr(CpuPlatform, _MARK, False):
        return
    setattr(CpuPlatform, _MARK, True)
    CpuPlatform.get_punica_wrapper = classmethod(lambda cls: "service.engine.punica.GroupedLora")
    _keep_compiling(CpuPlatform)
    _load_compiled()
    slots.install()
    _embed_without_waste()
    _mark_prompt_logprobs()
    _serve_quantized()


def _keep_compiling(platform: Any) -> None:
    """vLLM turns graph compilation off with LoRA on CPU, as its own products cannot be traced; ours can."""
    if compiler() is None:
        logging.getLogger("vllm").warning("no C++ compiler found: multi-LoRA runs uncompiled, slower; install g++ or set CXX")
        return
    original = platform.check_and_update_config.__func__

    @wraps(original)
    def checked(cls: Any, vllm_config: Any) -> None:
        lora, vllm_config.lora_config = vllm_config.lora_config, None
        try:
            original(cls, vllm_config)
        finally:
            vllm_config.lora_config = lora

    platform.check_and_update_config = classmethod(checked)


def _load_compiled() -> None:
    """Graphs that were compiled at an earlier start are used again, which takes seconds where compiling takes half a minute.

    vLLM 0.32 keeps them on CPU too, but asks each that it reads back for a step that only those of its own backend have,
    and compiles anew. On CPU the backend is torch's, whose functions are ready as they are read.
    """
    import torch

    original = torch.compiler.load_compiled_function

    @wraps(original)
    def load(*args: Any, **kwargs: Any) -> Any:
        loaded: Any = original(*args, **kwargs)
        compiled = loaded._artifacts.compiled_fn
        if not hasattr(compiled, "finalize_loading"):
            compiled.finalize_loading = lambda config: None
        return loaded

    torch.compiler.load_compiled_function = load


def _embed_without_waste() -> None:
    """vLLM looks up an adapter's rows for each token, also where no adapter touches the embedding."""
    from vllm.lora.layers.vocab_parallel_embedding import VocabParallelEmbeddingWithLoRA

    def forward(self: Any, x: Any) -> Any:
        from service.engine.punica import embed

        return embed(self, x)

    VocabParallelEmbeddingWithLoRA.forward = forward


def _mark_prompt_logprobs() -> None:
    """Lets the wrapper know which rows the output head is asked about."""
    from vllm.v1.worker.gpu_model_runner import GPUModelRunner

    original = GPUModelRunner._get_prompt_logprobs_dict

    @wraps(original)
    def marked(*args: Any, **kwargs: Any) -> Any:
        from service.engine.punica import prompt_logprobs

        prompt_logprobs.under_way = True
        try:
            return original(*args, **kwargs)
        finally:
            prompt_logprobs.under_way = False

    GPUModelRunner._get_prompt_logprobs_dict = marked


def _serve_quantized() -> None:
    """Quantized bases take adapters, whatever the CPU can compute with."""
    from service.engine import quantized, unpacked

    quantized.register()
    unpacked.register()
