"""The layers that an adapter is put on: those that were named, or a refusal."""

from pathlib import Path

import pytest

from adapters.errors import BadInput
from training.config import load_config
from training.sweep.run import Asked, sweep
from training.sweep.space import read_space
from training.train import train


def test_names_may_have_blanks_around_them(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("target_modules: q_proj, v_proj\n")
    for config in (load_config(file, {"data": "-"}), load_config(None, {"data": "-", "target_modules": " q_proj ,v_proj"})):
        assert config.target_modules == ("q_proj", "v_proj")


@pytest.mark.parametrize(
    ("given", "says"), [("q_proj,nope, vproj", "'nope', 'vproj'; give some of .*q_proj"), ("", "no ''"), ([], "no layer"), ("_proj", "no '_proj'")]
)  # fmt: skip
def test_every_name_is_one_of_a_layer(given: str | list[str], says: str, tiny: Path, rows: Path, tmp_path: Path) -> None:
    config = load_config(None, {"base": str(tiny), "data": str(rows), "target_modules": given})
    with pytest.raises(BadInput, match=says):
        train(config, tmp_path / "run")
    with pytest.raises(BadInput, match=says):
        sweep(Asked(config, read_space({"rank": "4"}), "grid", 2, True, None, None, 8), tmp_path / "sweep")
    assert not list(tmp_path.iterdir())
