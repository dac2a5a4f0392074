"""The tensors of an adapter against the base: names, pairs, shapes, dtypes and values, all of them looked at."""

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from adapters.archive import CONFIG, WEIGHTS
from adapters.base import Base, ModuleShape
from adapters.base_copy import check_copy, is_copy
from adapters.config import AdapterConfig
from adapters.errors import Problem
from adapters.limits import Limits
from adapters.safetensors_header import TensorEntry, inspect_header

# As PEFT writes them: base_model.model.<module>.lora_A.weight, and for embeddings .lora_embedding_A.
_NAME = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<embedding>embedding_)?(?P<side>[AB])(?P<weight>\.weight)?")
# The bits of an exponent: where all are set, the number is infinite or none.
_EXPONENT = {"F32": (np.uint32, 0x7F800000), "F16": (np.uint16, 0x7C00), "BF16": (np.uint16, 0x7F80)}
_SIGN = {"F32": 0x7FFFFFFF, "F16": 0x7FFF, "BF16": 0x7FFF}
_CHUNK = 1 << 22
_HINTED = 10


@dataclass(frozen=True)
class Tensors:
    """What was found: the modules touched, the bytes of all tensors, and the problems."""

    modules: tuple[str, ...]
    bytes: int
    problems: list[Problem]


@dataclass(frozen=True)
class _Pair:
    module: str
    sides: dict[str, tuple[str, TensorEntry]]
    embedding: bool


def check_tensors(folder: Path, base: Base, config: AdapterConfig | None, limits: Limits) -> Tensors:
    """Every problem of adapter_model.safetensors; without a readable config, ranks and targets are not compared."""
    path = folder / WEIGHTS
    if not path.is_file():
        return Tensors((), 0, [Problem("missing_file", "is missing; upload it beside the config", WEIGHTS)])
    header, faults = inspect_header(path, limits.header)
    if faults:
        return Tensors((), 0, [Problem("bad_safetensors", fault, WEIGHTS) for fault in faults])
    tensors = header.tensors
    matrices = {name: entry for name, entry in tensors.items() if _NAME.fullmatch(name)}
    pairs, problems = _pairs(matrices)
    if not tensors:
        problems.append(Problem("no_tensors", "holds no tensor; the adapter was saved empty", WEIGHTS))
    for name in (name for name in tensors if name not in matrices):
        problems += check_copy(path, name, tensors[name], base) if is_copy(name, pairs.keys()) else [_unexpected(name)]
    unknown = [module for module in pairs if module not in base.modules]
    problems += [_unknown(module, base) for module in unknown[:_HINTED]]
    problems += [Problem("unknown_module", f"{base.id} has no such layer", module) for module in unknown[_HINTED:]]
    for module, pair in pairs.items():
        problems += _check_pair(pair, base.modules[module], config) if module in base.modules else []
    problems += _untargeted([module for module in pairs if module in base.modules], config)
    problems += _check_values(path, matrices, pairs)
    total = sum(entry.end - entry.start for entry in matrices.values())
    return Tensors(tuple(sorted(pairs)), total, problems)


def _unexpected(name: str) -> Problem:
    return Problem(
        "unexpected_tensor", "is no LoRA matrix (base_model.model.<module>.lora_A.weight); save the adapter alone", name
    )


def _untargeted(modules: list[str], config: AdapterConfig | None) -> list[Problem]:
    """PEFT leaves out what the config does not name, an engine takes it from the file: they must not differ."""
    if config is None or config.targets is None:
        return []
    try:
        missing = config.targets.missing(modules)
    except TimeoutError:
        return [Problem("bad_pattern", "target_modules or exclude_modules takes too long to match; list the names", CONFIG)]
    return [Problem("untargeted_module", "has matrices, but the config's target_modules does not name it", m) for m in missing]


def _pairs(tensors: dict[str, TensorEntry]) -> tuple[dict[str, _Pair], list[Problem]]:
    pairs: dict[str, _Pair] = {}
    problems = []
    for name, entry in tensors.items():
        found = _NAME.fullmatch(name)
        if not found or bool(found["embedding"]) == bool(found["weight"]):
            problems.append(_unexpected(name))
            continue
        module = found["module"]
        pair = pairs.setdefault(module, _Pair(module, {}, bool(found["embedding"])))
        if found["side"] in pair.sides or pair.embedding != bool(found["embedding"]):
            problems.append(Problem("unexpected_tensor", f"is a second lora_{found['side']} of {module}", name))
        else:
            pair.sides[found["side"]] = (name, entry)
    return pairs, problems


def _check_pair(pair: _Pair, shape: ModuleShape, config: AdapterConfig | None) -> list[Problem]:
    """A is (r, in) and B (out, r), where an embedding looks rows up: in is its vocabulary, out its width."""
    if pair.embedding != (shape.kind == "embedding"):
        return [Problem("wrong_kind", f"is a {shape.kind} layer in the base, its tensors are those of another kind", pair.module)]
    missing = [side for side in "AB" if side not in pair.sides]
    problems = [Problem("missing_tensor", f"lora_{side} is missing; A and B go together", pair.module) for side in missing]
    rank = (config.rank_of(pair.module) if config else 0) or _rank_of_shapes(pair)
    wanted = {"A": (rank, shape.in_features), "B": (shape.out_features, rank)}
    for side, (name, entry) in pair.sides.items():
        if entry.dtype not in _EXPONENT:
            problems.append(Problem("wrong_dtype", f"is {entry.dtype}; give F32, F16 or BF16", name))
        if entry.shape != wanted[side]:
            transposed = " (it is transposed)" if entry.shape == wanted[side][::-1] else ""
            problems.append(Problem("wrong_shape", f"is {list(entry.shape)}, expected {list(wanted[side])}{transposed}", name))
    return problems


def _rank_of_shapes(pair: _Pair) -> int:
    """The rank as the tensors have it, where the config says none."""
    sizes = [entry.shape[0 if side == "A" else -1] for side, (_, entry) in pair.sides.items() if entry.shape]
    return sizes[0] if sizes else 0


def _unknown(module: str, base: Base) -> Problem:
    close = difflib.get_close_matches(module[:200], base.modules, n=1, cutoff=0.5)
    hint = (
        f"the closest is {close[0]}" if close else f"it has {len(base.modules)} layers such as {next(iter(base.modules), 'none')}"
    )
    return Problem("unknown_module", f"{base.id} has no such layer; {hint}", module)


def _check_values(path: Path, tensors: dict[str, TensorEntry], pairs: dict[str, _Pair]) -> list[Problem]:
    problems = []
    nonzero = set()
    with path.open("rb") as file:
        for name, entry in tensors.items():
            is_finite, is_nonzero = _scan(file, entry) if entry.dtype in _EXPONENT else (True, True)
            if is_nonzero:
                nonzero.add(name)
            if not is_finite:
                problems.append(Problem("not_finite", "holds NaN or infinite values; train again with a lower rate", name))
    whole = [[name for name, _ in pair.sides.values()] for pair in pairs.values() if len(pair.sides) == 2]
    if whole and not any(nonzero.issuperset(names) for names in whole):
        problems.append(Problem("no_effect", "A or B is zero everywhere: the adapter was saved before it was trained", WEIGHTS))
    return problems


def _scan(file: BinaryIO, entry: TensorEntry) -> tuple[bool, bool]:
    """Whether all numbers of a tensor are finite, and whether any is not zero; read a chunk at a time."""
    dtype, exponent = _EXPONENT[entry.dtype]
    file.seek(entry.start)
    left, finite, nonzero = entry.end - entry.start, True, False
    while left:
        raw = file.read(min(_CHUNK, left))
        left -= len(raw)
        bits = np.frombuffer(raw, dtype=dtype)
        finite = finite and not bool(np.any((bits & exponent) == exponent))
        nonzero = nonzero or bool(np.any(bits & _SIGN[entry.dtype]))
    return finite, nonzero
