"""What the engine's processes are told by their environment."""

import psutil
import pytest

from service import settings


@pytest.mark.parametrize(
    ("allowed", "cores", "threads"),
    [(2, 64, "1"), (8, 4, "3"), (1, 1, "1"), (4, None, "3")],
    ids=["container", "smt", "one", "unknown"],
)
def test_a_thread_for_each_core_that_it_may_use_but_one(
    allowed: int, cores: int | None, threads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(settings.os, "sched_getaffinity", lambda process: set(range(allowed)))
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: cores)
    assert settings.engine_environment(has_gpu=False)["OMP_NUM_THREADS"] == threads


def test_what_a_person_set_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert settings.engine_environment(has_gpu=False)["OMP_NUM_THREADS"] == "7"
    assert "OMP_NUM_THREADS" not in settings.engine_environment(has_gpu=True)
