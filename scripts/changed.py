"""Whether the tests passed on exactly these files already: exit code 0 if so. `--keep` notes that they have."""

import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOTE = ROOT / ".venv" / ".tested"


def state() -> str:
    """A digest of every file that git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True
    ).stdout
    whole = hashlib.sha256(sys.version.encode())
    for name in sorted(filter(None, listed.split(b"\0"))):
        path = ROOT / name.decode()
        if path.is_file():
            whole.update(name + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


def main() -> int:
    """0 when nothing changed since the tests last passed, 1 otherwise."""
    if "--keep" in sys.argv:
        NOTE.write_text(state(), encoding="utf-8")
        return 0
    if NOTE.is_file() and NOTE.read_text(encoding="utf-8") == state():
        print("tests passed on exactly these files already; remove .venv/.tested to run them again")
        return 0
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
