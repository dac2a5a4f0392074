"""A service on a fake engine to put load on, and an adapter to make more from."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.makers import write_adapter
from tests.served import Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """With two adapters of its own, and room for six."""
    with Site(tmp_path / "home", max_resident=6) as site:
        site.upload("describe", tmp_path / "describe", seed=1)
        site.upload("route", tmp_path / "route", seed=2)
        yield site


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """An adapter's folder, as a run has it."""
    write_adapter(tmp_path / "run" / "adapter", seed=3)
    return tmp_path / "run"
