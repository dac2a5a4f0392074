"""Where commands write: refused before the work, whatever else is wrong; and records that were damaged since."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.errors import BadInput
from training.config import TrainConfig
from training.lab.run import lab
from training.memory.compare import compare
from training.memory.formula import Batch
from training.merge import merge
from training.pretrain.run import pretrain
from training.quantize import quantize
from training.samples import write_samples
from training.seeds import train_seeds
from training.sweep.run import Asked, sweep
from training.sweep.space import read_space
from training.train import train

# Nothing of this name is there: whoever began the work would say so.
GONE = Path("no-such-thing")
CONFIG = TrainConfig(data=str(GONE), base=str(GONE))
COMMANDS: dict[str, Callable[[Path], Any]] = {
    "train": lambda out: train(CONFIG, out),
    "train --seeds": lambda out: train_seeds(CONFIG, [1, 2], out),
    "sweep": lambda out: sweep(Asked(CONFIG, read_space({"rank": "4"}), "grid", 2, True, None, None, 8), out),
    "merge": lambda out: merge(str(GONE), GONE, out),
    "quantize": lambda out: quantize(str(GONE), out, "nf4"),
    "memory": lambda out: compare(str(GONE), ("lora",), 4, Batch(1, 8, 4), out / "memory.json"),
    "samples": write_samples,
    "pretrain": lambda out: pretrain(out, tokens=10**9, seed=1, resume=False),
    "lab": lambda out: lab(out, "en", print),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("below", ["", "deep/down"])
def test_a_file_is_no_folder(command: str, below: str, tmp_path: Path) -> None:
    file = tmp_path / "thesis.txt"
    file.write_text("mine")
    with pytest.raises(BadInput, match=r"thesis\.txt.* cannot be a folder: .*thesis\.txt is not one; choose another --out"):
        COMMANDS[command](file / below)
    assert file.read_text() == "mine"


@pytest.mark.parametrize(
    ("text", "says"),
    [('{"kind": "run", "sta', "is damaged"), ("[1]", "is no record"), ('{"kind": "sweep"}', "is no record of a run")],
)
def test_a_damaged_record_is_named(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(BadInput, match=rf"run\.json {says}.*another --out"):
        train(CONFIG, tmp_path)
