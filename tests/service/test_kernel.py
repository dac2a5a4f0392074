"""Building the kernel: once for a machine, and what happens where it cannot be."""

import logging
from pathlib import Path

import pytest
import torch

from service.engine import kernel
from service.engine.layout import array_of, filled


@pytest.fixture
def anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty cache, and no kernel in memory from an earlier test, nor left for a later one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(kernel, "kernel", kernel.cache(kernel.kernel.__wrapped__))


@pytest.mark.usefixtures("anew")
def test_it_is_built_once(tmp_path: Path) -> None:
    assert kernel.kernel() is not None
    (built,) = (tmp_path / "cache" / "patchbay").iterdir()
    before = built.stat().st_mtime_ns
    kernel.kernel.cache_clear()
    assert kernel.kernel() is not None
    assert built.stat().st_mtime_ns == before


@pytest.mark.usefixtures("anew")
def test_a_cache_that_cannot_be_written_to_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert kernel.kernel() is not None


@pytest.mark.usefixtures("anew")
@pytest.mark.parametrize(
    ("compiler", "said"), [("no-such-compiler", "no C++ compiler; install g++"), ("false", "returned non-zero")]
)
def test_without_a_compiler_it_warns_and_goes_on(
    compiler: str, said: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CXX", compiler)
    monkeypatch.setattr(logging.getLogger("vllm"), "propagate", True)
    assert kernel.kernel() is None
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert said in record.message


def job(start: int, to: int, rows: torch.Tensor, kept: torch.dtype, first: int, together: int, scale: float) -> kernel.Job:
    columns, depth = rows.shape
    by = kernel.DTYPES.index
    return kernel.Job(start, to, columns, depth, first, together, depth, scale, by(rows.dtype), by(kept))


@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("wanted", [torch.float32, torch.bfloat16])
def test_panels_lie_side_by_side_in_blocks(stored: torch.dtype, wanted: torch.dtype) -> None:
    made = kernel.kernel()
    assert made is not None
    torch.manual_seed(0)
    wide = made.lanes * made.block
    parts = [torch.randn(count, 3).to(stored) for count in (2, 0, wide, 1)]
    other = torch.randn(made.lanes, 2).to(stored)
    pieces = torch.cat([part.reshape(-1) for part in [*parts, other]])
    jobs, first, at = [], 0, 0
    for part in parts:
        jobs.append(job(at, 0, part, wanted, first, wide + 3, 0.7))
        first, at = first + len(part), at + part.nbytes
    size = made.size(wide + 3, 3, wanted)
    jobs.append(job(at, size * wanted.itemsize, other, wanted, 0, len(other), 1.0))
    together = filled(made, array_of(jobs), size + made.size(len(other), 2, wanted), wanted, pieces.data_ptr())
    flat, rest = together.tensor_split([size])
    assert torch.equal(made.matrix(rest, made.lanes, 2), other.to(wanted))
    columns = torch.cat([torch.cat(parts).float() * 0.7, torch.zeros(made.lanes - 3, 3)]).to(wanted)
    assert flat.numel() == len(columns) * (4 if wanted == torch.bfloat16 else 3)
    start = 0
    for block in (columns[:wide], columns[wide:]):  # the second has one panel
        depth = block.t()
        if wanted == torch.bfloat16:  # in pairs along an even depth
            depth = torch.cat([depth, torch.zeros(1, len(block), dtype=wanted)]).view(2, 2, -1).transpose(1, 2)
        assert torch.equal(flat[start : start + depth.numel()], depth.reshape(-1))
        start += depth.numel()


def test_every_number_of_16_bits_is_read_as_it_is() -> None:
    made = kernel.kernel()
    assert made is not None
    halves = torch.arange(-(2**15), 2**15, dtype=torch.int16).view(torch.float16).view(-1, 64)
    size = made.size(len(halves), 64, torch.float32)
    jobs = array_of([job(0, 0, halves, torch.float32, 0, len(halves), 1.0)])
    found = made.matrix(filled(made, jobs, size, torch.float32, halves.data_ptr()), len(halves), 64)
    torch.testing.assert_close(found, halves.float(), rtol=0, atol=0, equal_nan=True)
