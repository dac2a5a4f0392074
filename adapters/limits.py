"""How large an adapter may be: one frozen object, from the service's settings."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bytes and counts. `archive` caps what is sent, `unpacked` what it becomes, `rank` the largest r served."""

    archive: int = 512 * 2**20
    unpacked: int = 1024 * 2**20
    files: int = 32
    ratio: int = 200
    json_file: int = 8 * 2**20
    rank: int = 64
