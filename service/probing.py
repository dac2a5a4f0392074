"""Proof of effect: what the engine computes with an adapter, beside what PEFT computed and what the base computes."""

from math import isfinite
from statistics import fmean

from adapters.errors import AdapterRefused, Problem
from adapters.manifest import ProbeFigures
from adapters.probes import Probe, Probes
from service.engine.door import Engine
from service.engine.version import EngineVersion

# Mean absolute difference in nats a token that bfloat16 products, or a quantized base under the adapter, may cause.
TOLERANCE = {"plain": 0.1, "quantized": 0.6}
_TEXTS = (
    "The name of the place is",
    "Order 4821: two green chairs for Maria Lopez, to be sent on Friday.",
    "Please tell me what the weather will be like tomorrow in",
)


async def prove(engine: Engine, version: EngineVersion, probes: Probes | None, quantized: bool) -> ProbeFigures:
    """Runs the recorded probes, or fixed texts where none were recorded.

    Raises:
        AdapterRefused: the engine's log-probabilities are the base's (no effect), or differ from the recorded ones.
    """
    if probes is None:
        pairs = [await _both(engine, engine.encode_text(text), version) for text in _TEXTS]
        _check_finite(pairs)
        return _with_effect(ProbeFigures(probes=len(pairs), effect=_largest(pairs)))
    tolerance = TOLERANCE["quantized" if quantized else "plain"]
    served = [await _both(engine, tuple(probe.prompt_token_ids), version) for probe in probes.probes]
    _check_finite(served)
    figures = _compare(probes.probes, served, tolerance)
    if figures.mean_difference is not None and figures.mean_difference > tolerance:
        raise AdapterRefused((_mismatch(figures, tolerance),))
    return _with_effect(figures)


async def _both(engine: Engine, ids: tuple[int, ...], version: EngineVersion) -> tuple[list[float], list[float]]:
    return await engine.score_tokens(ids, version), await engine.score_tokens(ids, None)


def _compare(probes: list[Probe], served: list[tuple[list[float], list[float]]], tolerance: float) -> ProbeFigures:
    gaps = [
        abs(a - b)
        for probe, (adapted, _) in zip(probes, served, strict=True)
        for a, b in zip(probe.adapter_logprobs, adapted, strict=True)
    ]
    return ProbeFigures(
        probes=len(probes),
        tolerance=tolerance,
        largest_difference=round(max(gaps), 5),
        mean_difference=round(fmean(gaps), 5),
        effect=_largest(served),
    )


def _largest(pairs: list[tuple[list[float], list[float]]]) -> float:
    return round(max(abs(a - b) for adapted, plain in pairs for a, b in zip(adapted, plain, strict=True)), 5)


def _check_finite(pairs: list[tuple[list[float], list[float]]]) -> None:
    """Weights that are finite can be so large that what they compute is not."""
    if not all(isfinite(value) for adapted, _ in pairs for value in adapted):
        raise AdapterRefused((Problem("not_finite", "with it the engine computes NaN or infinite log-probabilities"),))


def _with_effect(figures: ProbeFigures) -> ProbeFigures:
    if figures.effect == 0.0:
        raise AdapterRefused(
            (Problem("no_effect", f"on {figures.probes} probes the engine gives exactly the base's log-probabilities"),)
        )
    return figures


def _mismatch(figures: ProbeFigures, tolerance: float) -> Problem:
    return Problem(
        "probe_mismatch",
        f"the engine's log-probabilities differ from the recorded ones by {figures.mean_difference} nats a token (at most {tolerance}); "
        "the weights are not those the probes were computed with, or the base is another",
    )
