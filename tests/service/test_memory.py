"""The memory of processes, told often and walked through rarely."""

import subprocess
import sys

import psutil
import pytest

from service import memory

# Says "held" once it has the bytes that its input asks for, and ends with its input.
HOLDER = "import sys\nheld = []\nfor line in sys.stdin:\n    held.append(b'x' * int(line))\n    print('held', flush=True)\n"


@pytest.fixture
def holder():  # type: ignore[no-untyped-def]
    process = subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield process
    process.communicate()


def hold(process: "subprocess.Popen[str]", size: int) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{size}\n")
    process.stdin.flush()
    assert process.stdout.readline() == "held\n"


def test_what_a_process_takes_is_told_at_once_and_it_is_walked_through_once(
    holder: "subprocess.Popen[str]", monkeypatch: pytest.MonkeyPatch
) -> None:
    walks = []
    walk = memory._walk
    monkeypatch.setattr(memory, "_walk", lambda process: (walks.append(process.pid), walk(process))[1])
    hold(holder, 1)
    before = memory.proportional_bytes([holder.pid])
    assert before == pytest.approx(psutil.Process(holder.pid).memory_full_info().pss, rel=0.02)
    hold(holder, 50 << 20)
    after = memory.proportional_bytes([holder.pid])
    assert after == pytest.approx(psutil.Process(holder.pid).memory_full_info().pss, rel=0.02)
    assert after - before == pytest.approx(50 << 20, rel=0.05)
    assert walks == [holder.pid]
    monkeypatch.setattr(memory, "_WALK", 0.0)
    memory.proportional_bytes([holder.pid])
    assert walks == [holder.pid] * 2


def test_a_process_that_ended_counts_nothing(holder: "subprocess.Popen[str]") -> None:
    hold(holder, 1)
    assert memory.proportional_bytes([holder.pid]) > 0
    holder.communicate()
    assert memory.proportional_bytes([holder.pid]) == 0
