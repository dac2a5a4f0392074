"""vLLM's arguments: ours, and on top of them what the person gave with --engine KEY=VALUE."""

from argparse import Namespace
from typing import NoReturn

from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser

from adapters.base import Base
from adapters.errors import BadInput
from service.engine.precision import serving_dtype
from service.settings import Settings

# Ours to decide: another value would serve another model, or open a door beside ours.
_RESERVED = frozenset(
    ("model", "model_tag", "tokenizer", "served_model_name", "enable_lora", "max_loras", "max_lora_rank", "max_cpu_loras", "lora_modules",
     "host", "port", "api_key", "fingerprint_mode", "config", "headless", "grpc", "api_server_count", "disable_log_stats", "uds")
)  # fmt: skip


class _Parser(FlexibleArgumentParser):
    """argparse ends the process at a bad argument; here it raises."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"--engine: {message}; vLLM's documentation of `vllm serve` lists the options", param="engine")


def engine_arguments(base: Base, settings: Settings) -> Namespace:
    """Every option of vLLM's server, resolved. Raises BadInput for an unknown or reserved one."""
    parsed: Namespace = make_arg_parser(_Parser()).parse_args(engine_options(base, settings))
    return parsed


def engine_options(base: Base, settings: Settings) -> list[str]:
    """The same as the words of a command line. Raises BadInput for a reserved one."""
    given = {key.replace("-", "_"): value for key, value in settings.engine.items()}
    reserved = sorted(_RESERVED & given.keys())
    if reserved:
        raise BadInput(f"--engine {reserved[0]}: Patchbay sets this itself; see patchbay serve --help", param="engine")
    defaults = {
        "kv_cache_memory_bytes": str(settings.kv_cache),
        "max_model_len": str(base.max_length),
        "dtype": serving_dtype() if not base.quantization else "auto",
        "max_num_seqs": "64",
    }
    line = ["--model", str(base.path), "--served-model-name", base.id, "--enable-lora", "--fingerprint-mode", "none"]
    line += ["--max-loras", str(settings.max_slots), "--max-lora-rank", str(_served_rank(settings.limits.rank))]
    line += ["--max-cpu-loras", str(max(settings.max_resident, settings.max_slots))]
    if settings.otlp_endpoint:
        defaults["otlp_traces_endpoint"] = settings.otlp_endpoint
    for key, value in (defaults | given).items():
        line += _option(key, value)
    return line


def _served_rank(rank: int) -> int:
    """vLLM makes room for one of its own sizes: the smallest that holds `rank`."""
    return next((size for size in (1, 8, 16, 32, 64, 128, 256, 320, 512) if size >= rank), rank)


def _option(key: str, value: str) -> list[str]:
    flag = "--" + key.replace("_", "-")
    if value.lower() == "true":
        return [flag]
    if value.lower() == "false":
        return ["--no-" + flag.removeprefix("--")]
    return [flag, value]
