"""The tensors of an adapter against the base: names, pairs, shapes, dtypes and values, all of them looked at."""

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from adapters.archive import WEIGHTS
from adapters.base import Base, ModuleShape
from adapters.config import AdapterConfig
from adapters.errors import BadInput, Problem
from adapters.safetensors_header import TensorEntry, read_header

# As PEFT writes them: base_model.model.<module>.lora_A.weight, and for embeddings .lora_embedding_A.
_NAME = re.compile(r"^base_model\.model\.(?P<module>.+)\.lora_(?P<embedding>embedding_)?(?P<side>[AB])(?P<weight>\.weight)?$")
# The bits of an exponent: where all are set, the number is infinite or none.
_EXPONENT = {"F32": (np.uint32, 0x7F800000), "F16": (np.uint16, 0x7C00), "BF16": (np.uint16, 0x7F80)}
_SIGN = {"F32": 0x7FFFFFFF, "F16": 0x7FFF, "BF16": 0x7FFF}
_CHUNK = 1 << 22
_LISTED = 20


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


def check_tensors(folder: Path, base: Base, config: AdapterConfig | None) -> Tensors:
    """Every problem of adapter_model.safetensors; without a readable config, ranks are not compared."""
    path = folder / WEIGHTS
    if not path.is_file():
        return Tensors((), 0, [Problem("missing_file", "is missing; upload it beside the config", WEIGHTS)])
    try:
        header = read_header(path)
    except BadInput as error:
        return Tensors((), 0, [Problem("bad_safetensors", error.message, WEIGHTS)])
    pairs, problems = _pairs(header.tensors)
    if not header.tensors:
        problems.append(Problem("no_tensors", "holds no tensor; the adapter was saved empty", WEIGHTS))
    for pair in pairs.values():
        problems += _check_pair(pair, base, config)
    problems += _check_values(path, header.tensors)
    total = sum(entry.end - entry.start for entry in header.tensors.values())
    return Tensors(tuple(sorted(pairs)), total, _shortened(problems))


def _shortened(problems: list[Problem]) -> list[Problem]:
    """All kinds of problem, each at most `_LISTED` times: a thousand tensors of one fault are one fault."""
    kept: list[Problem] = []
    for code in dict.fromkeys(p.code for p in problems):
        same = [p for p in problems if p.code == code]
        kept += same[:_LISTED]
        if len(same) > _LISTED:
            kept.append(Problem(code, f"and {len(same) - _LISTED} more of the same kind", WEIGHTS))
    return kept


def _pairs(tensors: dict[str, TensorEntry]) -> tuple[dict[str, _Pair], list[Problem]]:
    pairs: dict[str, _Pair] = {}
    problems = []
    for name, entry in tensors.items():
        found = _NAME.match(name)
        if not found or bool(found["embedding"]) == bool(found["weight"]):
            problems.append(
                Problem(
                    "unexpected_tensor",
                    "is no LoRA matrix (base_model.model.<module>.lora_A.weight); save the adapter alone",
                    name,
                )
            )
            continue
        module = found["module"]
        pair = pairs.setdefault(module, _Pair(module, {}, bool(found["embedding"])))
        if found["side"] in pair.sides or pair.embedding != bool(found["embedding"]):
            problems.append(Problem("unexpected_tensor", f"is a second lora_{found['side']} of {module}", name))
        else:
            pair.sides[found["side"]] = (name, entry)
    return pairs, problems


def _check_pair(pair: _Pair, base: Base, config: AdapterConfig | None) -> list[Problem]:
    shape = base.modules.get(pair.module)
    if shape is None:
        return [Problem("unknown_module", f"{base.id} has no such layer{_closest(pair.module, base)}", pair.module)]
    if pair.embedding != (shape.kind == "embedding"):
        return [
            Problem("wrong_kind", f"is a {shape.kind} layer in {base.id}, its tensors are those of another kind", pair.module)
        ]
    missing = [side for side in "AB" if side not in pair.sides]
    if missing:
        return [Problem("missing_tensor", f"lora_{missing[0]} is missing; A and B go together", pair.module)]
    return _check_shapes(pair, shape, config)


def _closest(module: str, base: Base) -> str:
    close = difflib.get_close_matches(module, base.modules, n=1, cutoff=0.5)
    return (
        f"; the closest is {close[0]}"
        if close
        else f"; it has {len(base.modules)} layers such as {next(iter(base.modules), 'none')}"
    )


def _check_shapes(pair: _Pair, shape: ModuleShape, config: AdapterConfig | None) -> list[Problem]:
    """A is (r, in) and B (out, r), where an embedding looks rows up: in is its vocabulary, out its width."""
    (a_name, a), (b_name, b) = pair.sides["A"], pair.sides["B"]
    rank = config.rank_of(pair.module) if config else (a.shape[0] if a.shape else 0)
    problems = []
    for name, entry, wanted in ((a_name, a, (rank, shape.in_features)), (b_name, b, (shape.out_features, rank))):
        if entry.dtype not in _EXPONENT:
            problems.append(Problem("wrong_dtype", f"is {entry.dtype}; give F32, F16 or BF16", name))
        if entry.shape != wanted:
            transposed = " (it is transposed)" if entry.shape == wanted[::-1] else ""
            problems.append(Problem("wrong_shape", f"is {list(entry.shape)}, expected {list(wanted)}{transposed}", name))
    return problems


def _check_values(path: Path, tensors: dict[str, TensorEntry]) -> list[Problem]:
    problems = []
    any_b = has_effect = False
    with path.open("rb") as file:
        for name, entry in tensors.items():
            if entry.dtype not in _EXPONENT:
                continue
            is_b = bool(_NAME.match(name)) and (name.endswith(("lora_B.weight", "lora_embedding_B")))
            finite, nonzero = _scan(file, entry)
            any_b |= is_b
            has_effect |= is_b and nonzero
            if not finite:
                problems.append(Problem("not_finite", "holds NaN or infinite values; train again with a lower rate", name))
    if any_b and not has_effect:
        problems.append(Problem("no_effect", "every lora_B is zero: the adapter was saved before it was trained", WEIGHTS))
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
