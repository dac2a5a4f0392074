"""What the benchmarks run on: the embedded base, a larger model of random weights, adapters of random weights."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from adapters.base import resolve_base

LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def large(folder: Path) -> Path:
    """A Llama of 0.39 billion random bf16 parameters with the embedded base's tokenizer; speed does not ask what weights say."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    target = folder / "random-0.4b"
    if (target / "config.json").is_file():
        return target
    tokenizer = AutoTokenizer.from_pretrained(resolve_base("embedded"))
    shape = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=1024, intermediate_size=2816, num_hidden_layers=32, num_attention_heads=16,
        num_key_value_heads=8, max_position_embeddings=1024, tie_word_embeddings=True,
    )  # fmt: skip
    torch.manual_seed(0)
    model = LlamaForCausalLM(shape).to(torch.bfloat16)
    tokenizer.save_pretrained(target)
    model.save_pretrained(target)
    return target


def shape_8b(folder: Path) -> Path:
    """Llama 3.1 8B's shape (its published config.json), 8.03 billion parameters, with the embedded base's tokenizer.

    No weights are written: an engine told `load_format="dummy"` draws its own.
    """
    from transformers import AutoTokenizer, LlamaConfig

    target = folder / "random-8b"
    shape = LlamaConfig(
        architectures=["LlamaForCausalLM"], vocab_size=128_256, hidden_size=4096, intermediate_size=14_336, num_hidden_layers=32,
        num_attention_heads=32, num_key_value_heads=8, max_position_embeddings=8192, tie_word_embeddings=False, dtype="bfloat16",
    )  # fmt: skip
    AutoTokenizer.from_pretrained(resolve_base("embedded")).save_pretrained(target)
    shape.save_pretrained(target)
    return target


def has_weights(model: Path) -> bool:
    """Whether the folder holds any."""
    return any(model.glob("*.safetensors"))


def adapters(model: Path, folder: Path, count: int, ranks: tuple[int, ...] = (8, 16, 32, 64)) -> list[Path]:
    """PEFT adapters on all linear layers, ranks taken in turn; written once, read again by later runs."""
    shape = json.loads((model / "config.json").read_text(encoding="utf-8"))
    made = []
    for number in range(count):
        target = folder / f"{model.name}-adapter-{number}"
        if not (target / "adapter_config.json").is_file():
            target.mkdir(parents=True, exist_ok=True)
            rank = ranks[number % len(ranks)]
            save_file(random_tensors(shape, rank, number), target / "adapter_model.safetensors")
            config = {
                "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": rank, "target_modules": list(LINEAR),
                "base_model_name_or_path": model.name, "bias": "none",
            }  # fmt: skip
            (target / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
        made.append(target)
    return made


def random_tensors(shape: dict[str, int], rank: int, seed: int, scale: float = 0.02) -> dict[str, torch.Tensor]:
    """Bfloat16 tensors by PEFT's names; `scale` is B's standard deviation."""
    hidden, inner = shape["hidden_size"], shape["intermediate_size"]
    head = shape.get("head_dim") or hidden // shape["num_attention_heads"]
    queries, keys = head * shape["num_attention_heads"], head * shape["num_key_value_heads"]
    sizes = dict(zip(LINEAR, [(hidden, queries), (hidden, keys), (hidden, keys), (queries, hidden), (hidden, inner), (hidden, inner), (inner, hidden)], strict=True))  # fmt: skip
    drawn = torch.Generator().manual_seed(seed + 1)
    made = {}
    for layer in range(shape["num_hidden_layers"]):
        for name, (width_in, width_out) in sizes.items():
            part = "self_attn" if name in LINEAR[:4] else "mlp"
            key = f"base_model.model.model.layers.{layer}.{part}.{name}"
            made[f"{key}.lora_A.weight"] = (torch.randn(rank, width_in, generator=drawn) / width_in**0.5).bfloat16()
            made[f"{key}.lora_B.weight"] = (torch.randn(width_out, rank, generator=drawn) * scale).bfloat16()
    return made
