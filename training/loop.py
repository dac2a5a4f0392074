"""The training loop: transformers' Trainer with a loss that works only where a label is, and our own bar and curves."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.integrations import TensorBoardCallback

from evaluation.output import write_text
from training.config import TrainConfig
from training.data import IGNORED, Collator, Example
from training.parts import OVERHEAD_ELSEWHERE, OVERHEAD_ON_CPU, parts
from training.precision import compute_dtype

# Settings of architectures that do more to the head's output than multiply by its weight.
_RESCALED = ("final_logit_softcapping", "logits_scaling", "logit_scale")

OnEval = Callable[[int, float], None]


class CompletionTrainer(Trainer):
    """Computes logits at label positions alone: on a small base the output head is a large part of a step."""

    def compute_loss(
        self, model: Any, inputs: dict[str, torch.Tensor], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """See label_loss."""
        # Trainer leaves mixed precision to the wrapped model's forward, which is not the one called here.
        with self.accelerator.autocast():
            loss = label_loss(model, inputs)
        return (loss, {}) if return_outputs else loss


def label_loss(model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Mean cross-entropy in nats a label; `inputs` are (rows, length) each, padded on the right, and go through in `parts`."""
    lengths: list[int] = inputs["attention_mask"].sum(dim=1).tolist()
    found = parts(lengths, OVERHEAD_ON_CPU if inputs["input_ids"].device.type == "cpu" else OVERHEAD_ELSEWHERE)
    cut = ({name: tensor[rows, : lengths[rows[0]]] for name, tensor in inputs.items()} for rows in found)
    summed = [_summed_loss(model, part) for part in cut]
    return torch.stack([loss for loss, _ in summed]).sum() / sum(labels for _, labels in summed)


def _summed_loss(model: Any, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, int]:
    """Cross-entropy in nats, and of how many labels."""
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    target = inputs["labels"][:, 1:]
    kept = target != IGNORED
    seen = {"input_ids": inputs["input_ids"], "attention_mask": inputs["attention_mask"]}
    if any(getattr(causal.config, name, None) is not None for name in _RESCALED):
        logits = causal(**seen).logits[:, :-1][kept]
    else:
        hidden = causal.base_model(**seen).last_hidden_state
        logits = causal.get_output_embeddings()(hidden[:, :-1][kept])
    return torch.nn.functional.cross_entropy(logits.float(), target[kept], reduction="sum"), len(logits)


class Curves(TrainerCallback):
    """Writes curves.jsonl, draws the progress bar, and stops cleanly at a step's end when asked to."""

    def __init__(self, path: Path, on_eval: OnEval | None = None) -> None:
        self.path = path
        self.on_eval = on_eval
        self.stop_asked = False
        self.bar: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Opens the bar, and the curves, at the step a resumed run begins with."""
        if self.path.exists():
            lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
            write_text(self.path, "".join(line for line in lines if _is_up_to(line, state.global_step)))
        self.bar = tqdm(total=state.max_steps, initial=state.global_step, unit="step", desc="train")

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        """Moves the bar on; an interrupt saves a checkpoint here."""
        self.bar.update()
        if self.stop_asked:
            control.should_save = True
            control.should_training_stop = True
        return control

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """One line a log entry."""
        entry = {"step": state.global_step, "time": round(time.time(), 2), **(logs or {})}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        shown = {key: f"{value:.3f}" for key, value in (logs or {}).items() if key in ("loss", "eval_loss")}
        if self.bar is not None and shown:
            self.bar.set_postfix(shown, refresh=False)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **_: Any) -> None:
        """Passes a validation on."""
        if self.on_eval is not None:
            self.on_eval(state.global_step, metrics["eval_loss"])


def _is_up_to(line: str, step: int) -> bool:
    """Steps after a checkpoint are done again when a process was killed; it may have been killed in the middle of a line."""
    return line.endswith("\n") and int(json.loads(line)["step"]) <= step


class Validations(TrainerCallback):
    """Asks for a validation, and a checkpoint with it, at chosen steps; Trainer knows only every so many."""

    def __init__(self, steps: frozenset[int]) -> None:
        self.steps = steps

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        """The last step's are Trainer's own."""
        if state.global_step in self.steps:
            control.should_evaluate = control.should_save = True
        return control


def validation_steps(steps: int, evals: int) -> frozenset[int]:
    """`evals` of the steps (all, where they are fewer), evenly spread, the last among them."""
    count = min(evals, steps)
    return frozenset(steps * n // count for n in range(1, count + 1))


@contextmanager
def stopping_at_interrupt(curves: Curves) -> Iterator[None]:
    """While inside, the first Ctrl-C asks for a checkpoint at the end of the step; the second interrupts at once.

    However it ends, the bar is closed.
    """

    def ask(number: int, frame: FrameType | None) -> None:
        if curves.stop_asked:
            raise KeyboardInterrupt
        curves.stop_asked = True
        tqdm.write("stopping after this step; a second Ctrl-C stops at once")

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if curves.bar is not None:
            curves.bar.close()


def build_trainer(
    config: TrainConfig, model: Any, out: Path, train: list[Example], valid: list[Example], pad_id: int, curves: Curves
) -> CompletionTrainer:
    """The trainer of a run: AdamW, the checkpoint of the lowest validation loss kept."""
    steps = config.max_steps or max(1, round(config.epochs * len(train) / config.batch_size))
    arguments = TrainingArguments(
        output_dir=str(out / "checkpoints"),
        max_steps=steps,
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=max(32, config.batch_size),
        learning_rate=config.resolved_lr,
        lr_scheduler_type=config.schedule,
        warmup_steps=round(config.warmup * steps),
        weight_decay=config.weight_decay,
        bf16=compute_dtype(config.dtype) == torch.bfloat16,
        use_cpu=not torch.cuda.is_available(),
        seed=config.seed,
        eval_strategy="steps",
        eval_steps=steps,
        save_strategy="steps",
        save_steps=steps,
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        logging_steps=max(1, steps // 100),
        prediction_loss_only=True,
        remove_unused_columns=False,
        label_names=["labels"],
        report_to="none",
        disable_tqdm=True,
        dataloader_num_workers=0,
    )
    trainer = CompletionTrainer(
        model=model,
        args=arguments,
        train_dataset=train,
        eval_dataset=valid,
        data_collator=Collator(pad_id),
        callbacks=[
            curves,
            Validations(validation_steps(steps, config.evals)),
            TensorBoardCallback(SummaryWriter(str(out / "tensorboard"))),
        ],
    )
    trainer.remove_callback(PrinterCallback)  # the bar and curves.jsonl say it
    return trainer
