"""A full disk in the middle of an upload: 507, nothing left of it, and what was there serves on."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake_service import FakeService
from tests.makers import EMBEDDED, files_of, lora_config, lora_tensors, write_adapter

_MODULES = tuple(name for name in sorted(EMBEDDED.modules) if name.endswith(("q_proj", "down_proj")))


def upload(service: FakeService, folder: Path, name: str) -> tuple[int, str]:
    """The status and the error's code."""
    files = [("files", (file, content)) for file, content in files_of(folder).items()]
    answer = service.http.post("/v1/adapters", data={"name": name}, files=files)
    return answer.status_code, answer.json().get("error", {}).get("code", "")


def large(folder: Path) -> Path:
    """An adapter of about a megabyte."""
    return write_adapter(folder, tensors=lora_tensors(modules=_MODULES, rank=32), config=lora_config(rank=32))


def check_as_before(service: FakeService, home: Path) -> None:
    """Only the first adapter is there, and it answers."""
    assert [a["name"] for a in service.http.get("/v1/adapters").json()["data"]] == ["small"]
    assert [path.name for path in (home / "adapters").iterdir()] == ["small"]
    assert list((home / "staging").iterdir()) == []
    assert service.http.post("/v1/completions", json={"model": "small", "prompt": "x"}).status_code == 200


def test_a_file_larger_than_may_be_written(tmp_path: Path) -> None:
    home = tmp_path / "home"
    service = FakeService(home, largest_file=600_000).ready()
    try:
        assert upload(service, write_adapter(tmp_path / "small"), "small") == (201, "")
        assert upload(service, large(tmp_path / "large"), "large") == (507, "storage_full")
        check_as_before(service, home)
    finally:
        service.kill()


def may_mount(folder: Path) -> bool:
    """Mounts four megabytes of memory as a disk, where this user may."""
    return subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", folder], capture_output=True).returncode == 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path | None]:
    """A disk of four megabytes; None where nothing may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not may_mount(folder):
        yield None
        return
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_wherever_it_strikes(tmp_path: Path, disk: Path | None) -> None:
    """From no room at all to just enough: at each size the upload is whole or it is not there. In the end it is whole."""
    home = (disk or tmp_path) / "home"
    service = FakeService(home).ready()
    try:
        assert upload(service, write_adapter(tmp_path / "small"), "small") == (201, "")
        folder = large(tmp_path / "large")
        need = sum(path.stat().st_size for path in folder.iterdir())
        statuses = []
        for left in (0, 8192, need // 2, *range(need - 16_384, need + 65_536, 8192)) if disk else ():
            ballast = fill(disk, left)
            statuses.append(upload(service, folder, "large"))
            if statuses[-1] == (201, ""):
                ballast.unlink()
                break
            check_as_before(service, home)
            ballast.unlink()
        assert set(statuses[:-1]) == ({(507, "storage_full")} if disk else set())
        assert disk is None or (len(statuses) > 4 and statuses[-1] == (201, ""))
        assert upload(service, folder, "large")[0] in (200, 201)
        assert service.http.post("/v1/completions", json={"model": "large", "prompt": "x"}).status_code == 200
    finally:
        service.kill()


def fill(disk: Path, left: int) -> Path:
    """A file that leaves so many bytes on the disk."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        file.write(bytes(max(0, shutil.disk_usage(disk).free - left)))
    return ballast
