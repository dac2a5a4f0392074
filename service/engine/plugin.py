"""A vLLM general plugin: in every process of the engine, multi-LoRA on CPU goes through our own products."""


def register() -> None:
    """Puts GroupedLora in the place of vLLM's CPU wrapper; on other platforms it changes nothing."""
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        return
    from vllm.platforms.cpu import CpuPlatform

    CpuPlatform.get_punica_wrapper = classmethod(lambda cls: "service.engine.punica.GroupedLora")
