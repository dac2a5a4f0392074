"""One training step, its memory by part; called in a process of its own (training.fresh), so that nothing else is in it."""

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import psutil
import torch
from torch.profiler import ProfilerActivity, profile

from adapters.base import describe_base, resolve_base
from training.config import TrainConfig
from training.data import IGNORED, Example
from training.loop import Curves, build_trainer
from training.memory.formula import Batch
from training.model import add_adapter, load_model
from training.quantized import is_quantized, layer_bytes
from training.record import peak_memory

Parts = dict[str, int]


def measure(config: TrainConfig, batch: Batch) -> dict[str, Any]:
    """Bytes `allocated` by part and at the peak of a step, and `resident` in the process.

    Allocated: `weights` with the scales of quantized ones, `gradients`, the `optimizer`'s state, the `activations` that autograd
    keeps, each at its largest; `peak` what was allocated at once at most, by the allocator's own events; `rest` what that is
    more than weights, optimizer and the larger of gradients and activations. Resident: `before` the base was loaded (Python and
    the libraries), once it is `loaded`, and the process's `peak`.
    """
    before = psutil.Process().memory_info().rss
    base = describe_base(resolve_base(config.base), config.base)
    model = load_model(base, config)
    if config.method != "full":
        model = add_adapter(model, config, base)
    loaded = psutil.Process().memory_info().rss
    with tempfile.TemporaryDirectory() as folder:
        examples = _examples(batch)
        trainer = build_trainer(config, model, Path(folder), examples, examples, 0, Curves(Path(folder) / "curves.jsonl"))
        parts, peak = _parts(trainer, model, trainer.data_collator(examples))
    return {"allocated": parts, "resident": {"before": before, "loaded": loaded, "peak": peak}}


def _examples(batch: Batch) -> list[Example]:
    """Rows of tokens that every vocabulary has; the last of each are its labels."""
    ids = list(range(3, 3 + batch.length % 251)) + [3 + n % 251 for n in range(batch.length - batch.length % 251)]
    labels = [IGNORED] * (batch.length - batch.labels // batch.rows) + ids[batch.length - batch.labels // batch.rows :]
    return [{"input_ids": ids, "labels": labels, "length": batch.length}] * batch.rows


def _parts(trainer: Any, model: Any, inputs: dict[str, torch.Tensor]) -> tuple[Parts, int]:
    """What is allocated by part, and what the process has had resident at most after one step."""
    inputs = {name: tensor.to(model.device) for name, tensor in inputs.items()}
    optimizer = trainer.create_optimizer()
    model.train()
    seen: Parts = {}

    def step() -> None:
        trainer.compute_loss(model, inputs).backward()
        seen["gradients"] = _bytes(p.grad for p in model.parameters() if p.grad is not None)
        optimizer.step()
        optimizer.zero_grad()

    step()  # the optimizer's state is made by its first step
    resident = peak_memory()["resident"]  # before the profiler below takes its own
    state = [value for entry in optimizer.state.values() for value in entry.values() if torch.is_tensor(value)]
    parts = {"weights": _weights(model), "gradients": seen["gradients"], "optimizer": _bytes(state)}
    parts["activations"] = _kept(lambda: trainer.compute_loss(model, inputs), model)
    parts["peak"] = parts["weights"] + parts["optimizer"] + _most_allocated(step)
    at_once = parts["weights"] + parts["optimizer"] + max(parts["gradients"], parts["activations"])
    return parts | {"rest": parts["peak"] - at_once}, resident


def _bytes(tensors: Iterable[torch.Tensor]) -> int:
    """Of the storages, each once."""
    storages = [tensor.untyped_storage() for tensor in tensors]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def _weights(model: Any) -> int:
    scales: int = sum(layer_bytes(module) - module.weight.data.nbytes for module in model.modules() if is_quantized(module))
    return _bytes([*model.parameters(), *model.buffers()]) + scales


def _kept(forward: Callable[[], torch.Tensor], model: Any) -> int:
    """Bytes that autograd keeps of a forward pass, besides the weights."""
    own = {tensor.untyped_storage().data_ptr() for tensor in [*model.parameters(), *model.buffers()]}
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = forward()
    total = sum(kept.values())
    del loss  # frees them; until here no address was used twice
    return total


def _most_allocated(step: Callable[[], None]) -> int:
    """The most bytes that a step holds beyond what was there before it."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return int(torch.cuda.max_memory_allocated() - before)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        step()
    # The allocator's own events, each with its bytes, negative where they were freed; only Kineto's list has them in order.
    events = [event for event in seen.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += int(event.nbytes())
        most = max(most, held)
    return most
