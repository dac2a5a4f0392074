"""`patchbay pretrain`: the embedded base from nothing, in one resumable command."""

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from tqdm import tqdm
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from adapters.errors import BadInput
from evaluation.output import check_folder
from training.pretrain import mixture
from training.pretrain.card import write_card
from training.pretrain.exam import examine
from training.pretrain.tokenizer import save_tokenizer, train_tokenizer

_CHECKPOINT = "checkpoint.pt"
_CURVES = "curves.jsonl"
_TOKENIZER = "tokenizer.json"


@dataclass(frozen=True)
class Recipe:
    """The shape of the base and of its training; everything but `tokens` and `seed` is part of the recipe."""

    tokens: int
    seed: int = 1
    vocabulary: int = 6144
    hidden: int = 256
    intermediate: int = 768
    layers: int = 6
    heads: int = 8
    positions: int = 1024
    batch_tokens: int = 6144
    length: int = 256
    long_length: int = 1024
    long_share: float = 0.1
    muon_rate: float = 0.02
    adam_rate: float = 3e-3
    warmup_steps: int = 40
    decay_share: float = 0.35
    exam_every: int = 200

    @property
    def steps(self) -> int:
        """Optimizer steps: one a batch."""
        return max(1, self.tokens // self.batch_tokens)

    def rate(self, step: int) -> float:
        """Share of the peak learning rate: warm up, hold, fall linearly to nought (warmup-stable-decay)."""
        left = (self.steps - step) / max(1.0, self.decay_share * self.steps)
        return min(1.0, (step + 1) / self.warmup_steps, left)

    def row_length(self, step: int) -> int:
        """Tokens a row: short rows first, which cost less, and long ones at the end, to teach the far positions."""
        return self.long_length if step >= (1 - self.long_share) * self.steps else self.length


def pretrain(out: Path, *, tokens: int, seed: int, resume: bool) -> Path:
    """Trains the base for `tokens` tokens and writes the finished folder to `out`/base; returns that folder.

    Interrupt it at will: with `resume` it goes on from the last checkpoint in `out`, and may be given
    another number of tokens as long as the old one had not begun its decay.

    Raises:
        BadInput: when `out` holds a run and `resume` is not given, or the number of tokens is not positive.
    """
    if tokens <= 0:
        raise BadInput(f"tokens must be positive, got {tokens}; a useful base takes some millions", param="tokens")
    check_folder(out)
    if (out / _CHECKPOINT).exists() and not resume:
        raise BadInput(f"{out} already holds a pretraining run; add --resume to go on, or choose another --out", param="out")
    out.mkdir(parents=True, exist_ok=True)
    recipe = Recipe(tokens=tokens, seed=seed)
    tokenizer = _tokenizer(out, recipe)
    torch.manual_seed(seed)
    model = _new_model(recipe)
    muon, adam = _optimizers(model, recipe)
    state = _restore(out, model, muon, adam)
    report = _train(out, recipe, tokenizer, model, muon, adam, state)
    return _save_base(out, recipe, tokenizer, model, report, state)


def _tokenizer(out: Path, recipe: Recipe) -> Tokenizer:
    path = out / _TOKENIZER
    if not path.exists():
        trained = train_tokenizer(mixture.tokenizer_text(recipe.seed, documents=20_000), recipe.vocabulary)
        trained.save(str(path))
    return Tokenizer.from_file(str(path))


def _new_model(recipe: Recipe) -> LlamaForCausalLM:
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=recipe.vocabulary,
            hidden_size=recipe.hidden,
            intermediate_size=recipe.intermediate,
            num_hidden_layers=recipe.layers,
            num_attention_heads=recipe.heads,
            num_key_value_heads=recipe.heads,
            max_position_embeddings=recipe.positions,
            tie_word_embeddings=True,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=2,
        )
    )


def _optimizers(model: LlamaForCausalLM, recipe: Recipe) -> tuple[torch.optim.Muon, torch.optim.AdamW]:
    """Muon for the matrices inside the layers, AdamW for the embedding and the norms (Jordan et al., 2024)."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "layers" in name]
    others = [p for name, p in model.named_parameters() if not (p.ndim == 2 and "layers" in name)]
    muon = torch.optim.Muon(matrices, lr=recipe.muon_rate, momentum=0.95, weight_decay=0.01)
    adam = torch.optim.AdamW(others, lr=recipe.adam_rate, betas=(0.9, 0.95), weight_decay=0.0)
    return muon, adam


def _restore(out: Path, model: LlamaForCausalLM, muon: torch.optim.Muon, adam: torch.optim.AdamW) -> dict[str, Any]:
    path = out / _CHECKPOINT
    if not path.exists():
        return {"step": 0, "seconds": 0.0}
    saved = torch.load(path, weights_only=True)
    model.load_state_dict(saved["model"])
    muon.load_state_dict(saved["muon"])
    adam.load_state_dict(saved["adam"])
    return {"step": saved["step"], "seconds": saved["seconds"]}


def _save(out: Path, model: LlamaForCausalLM, muon: torch.optim.Muon, adam: torch.optim.AdamW, state: dict[str, Any]) -> None:
    partial = out / f"{_CHECKPOINT}.part"
    torch.save({"model": model.state_dict(), "muon": muon.state_dict(), "adam": adam.state_dict(), **state}, partial)
    os.replace(partial, out / _CHECKPOINT)


def _train(
    out: Path,
    recipe: Recipe,
    tokenizer: Tokenizer,
    model: LlamaForCausalLM,
    muon: torch.optim.Muon,
    adam: torch.optim.AdamW,
    state: dict[str, Any],
) -> dict[str, dict[str, float]]:
    model.train()
    report: dict[str, dict[str, float]] = {}
    with tqdm(total=recipe.steps, initial=state["step"], unit="step", desc="pretrain") as bar:
        while state["step"] < recipe.steps:
            began = time.monotonic()
            loss = _step(recipe, tokenizer, model, muon, adam, state["step"])
            state["step"] += 1
            state["seconds"] += time.monotonic() - began
            bar.update()
            bar.set_postfix(loss=f"{loss:.3f}", tok_s=round(recipe.batch_tokens * state["step"] / state["seconds"]))
            if state["step"] % recipe.exam_every == 0 or state["step"] == recipe.steps:
                report = examine(model, tokenizer)
                _log(out, state, loss, report)
                _save(out, model, muon, adam, state)
    return report or examine(model, tokenizer)


def _step(
    recipe: Recipe,
    tokenizer: Tokenizer,
    model: LlamaForCausalLM,
    muon: torch.optim.Muon,
    adam: torch.optim.AdamW,
    step: int,
) -> float:
    """One optimizer step; returns its mean loss in nats a trained token."""
    length = recipe.row_length(step)
    ids, labels = mixture.batch(tokenizer, recipe.seed, step, step / recipe.steps, recipe.batch_tokens // length, length)
    rate = recipe.rate(step)
    for optimizer, peak in ((muon, recipe.muon_rate), (adam, recipe.adam_rate)):
        for group in optimizer.param_groups:
            group["lr"] = peak * rate
    loss = _loss(model, torch.from_numpy(ids), torch.from_numpy(labels))
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in (muon, adam):
        optimizer.step()  # type: ignore[no-untyped-call]
        optimizer.zero_grad(set_to_none=True)
    return loss.item()


def _loss(model: LlamaForCausalLM, ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the trained tokens; ids and labels are (rows, length). Logits only where a label is."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = model.model(input_ids=ids).last_hidden_state
        target = labels[:, 1:]
        kept = target != mixture.IGNORED
        logits = model.lm_head(hidden[:, :-1][kept])
    return torch.nn.functional.cross_entropy(logits.float(), target[kept])


def _log(out: Path, state: dict[str, Any], loss: float, report: dict[str, dict[str, float]]) -> None:
    line = {"step": state["step"], "seconds": round(state["seconds"], 1), "loss": loss, "exam": report}
    with (out / _CURVES).open("a", encoding="utf-8") as curves:
        curves.write(json.dumps(line) + "\n")
    tqdm.write(" ".join(f"{name} {s['perplexity']:.2f}/{s['exact']:.2f}" for name, s in report.items()))


def _save_base(
    out: Path,
    recipe: Recipe,
    tokenizer: Tokenizer,
    model: LlamaForCausalLM,
    report: dict[str, dict[str, float]],
    state: dict[str, Any],
) -> Path:
    folder = out / "base"
    folder.mkdir(exist_ok=True)
    GenerationConfig(bos_token_id=0, eos_token_id=1, pad_token_id=2).save_pretrained(folder)
    model.to(torch.bfloat16).save_pretrained(folder)
    save_tokenizer(tokenizer, folder, recipe.positions)
    write_card(folder, asdict(recipe), report, parameters=sum(p.numel() for p in model.parameters()), seconds=state["seconds"])
    return folder
