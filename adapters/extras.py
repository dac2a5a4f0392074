"""What lies beside an adapter (a tokenizer, a README): kept and never run, so it has to be what its name says."""

from pathlib import Path

from adapters.archive import CONFIG, PROBES, RUN, WEIGHTS
from adapters.errors import Problem
from adapters.json_file import read_json
from adapters.limits import Limits

_SENTENCEPIECE = "tokenizer.model"
# Read for its chat template, and small.
_READ = ("tokenizer_config.json",)
_CHUNK = 1 << 20


def check_extras(folder: Path, limits: Limits) -> list[Problem]:
    """Every problem of the files that are neither config, weights, probes nor run record."""
    problems = []
    for path in sorted(folder.iterdir()):
        if path.name in (CONFIG, WEIGHTS, PROBES, RUN):
            continue
        if (size := path.stat().st_size) > limits.extra_file:
            problems.append(Problem("file_too_large", f"has {size} bytes, at most {limits.extra_file} are taken", path.name))
        elif path.name in _READ:
            _, problem = read_json(path, limits.json_file)
            problems += [problem] if problem else []
        elif not (_is_sentencepiece(path) if path.name == _SENTENCEPIECE else _is_text(path)):
            problems.append(Problem("not_what_it_says", "is not what a file of this name holds; leave it out", path.name))
    return problems


def _is_sentencepiece(path: Path) -> bool:
    """A protocol buffer whose first field is its pieces; archives, programs and pickles begin otherwise."""
    with path.open("rb") as file:
        return file.read(1) == b"\n"


def _is_text(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            while chunk := file.read(_CHUNK):
                if "\0" in chunk:
                    return False
    except UnicodeDecodeError:
        return False
    return True
