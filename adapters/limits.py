"""How large an adapter may be: one frozen object, from the service's settings."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bytes and counts. `archive` caps what is sent, `unpacked` what it becomes, `rank` the largest r served.

    `config_file` and `header` cap what is parsed of every upload, `json_file` its probes and run record,
    `extra_file` what lies beside (a tokenizer).
    """

    archive: int = 512 * 2**20
    unpacked: int = 1024 * 2**20
    files: int = 32
    ratio: int = 200
    config_file: int = 2**20
    header: int = 4 * 2**20
    json_file: int = 8 * 2**20
    extra_file: int = 64 * 2**20
    rank: int = 64


# For adapters that are used where they lie, whatever rank a service would take.
LOCAL = Limits(rank=1024)
