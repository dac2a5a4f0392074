"""Proof of effect: what the engine computes with an adapter, beside what PEFT computed and what the base computes."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite
from statistics import fmean

from adapters.errors import AdapterRefused, Problem
from adapters.manifest import ProbeFigures
from adapters.probes import Probe, Probes
from service.engine.door import Engine
from service.engine.version import EngineVersion

# Mean absolute difference in nats a token, by the bits of the base's weights. Measured with the embedded base (docs/results.md):
# up to 0.05 with 16 bits, 0.07 with 8 (0.11 where activations have 8 as well, fp8 0.32), 0.58 with 4, each over one text.
TOLERANCE = {16: 0.1, 8: 0.3, 4: 0.65}
_TEXTS = (
    "The name of the place is",
    "Order 4821: two green chairs for Maria Lopez, to be sent on Friday.",
    "Please tell me what the weather will be like tomorrow in",
)


@dataclass(frozen=True)
class Served:
    """One probe as the engine answers it: with the adapter, without it, and without it once more."""

    adapted: list[float]
    plain: list[float]
    again: list[float]


async def prove(engine: Engine, version: EngineVersion, probes: Probes | None, weight_bits: int) -> ProbeFigures:
    """Runs the recorded probes, or fixed texts where none were recorded.

    Raises:
        AdapterRefused: the engine's log-probabilities are the base's (no effect), or not the recorded ones.
    """
    if probes is None:
        served = await _all_served(engine, [engine.encode_text(text) for text in _TEXTS], version)
        return _with_effect(_effects(served))
    tolerance = TOLERANCE[weight_bits]
    served = await _all_served(engine, [tuple(probe.prompt_token_ids) for probe in probes.probes], version)
    figures = _compared(probes.probes, served, tolerance)
    if not _matches(figures):
        raise AdapterRefused((_mismatch(figures),))
    return _with_effect(figures)


async def _all_served(engine: Engine, prompts: Iterable[tuple[int, ...]], version: EngineVersion) -> list[Served]:
    """Side by side: an upload takes the engine as many steps as one prompt does."""
    return await asyncio.gather(*(_served(engine, ids, version) for ids in prompts))


async def _served(engine: Engine, ids: tuple[int, ...], version: EngineVersion) -> Served:
    plain = await engine.score_tokens(ids, None)
    return Served(await engine.score_tokens(ids, version), plain, await engine.score_tokens(ids, None))


def _gaps(pairs: Iterable[tuple[list[float], list[float]]]) -> list[float]:
    return [abs(a - b) for one, other in pairs for a, b in zip(one, other, strict=True)]


def _effects(served: list[Served]) -> ProbeFigures:
    if not all(isfinite(value) for s in served for value in s.adapted):
        # Weights that are finite can be so large that what they compute is not.
        raise AdapterRefused((Problem("not_finite", "with it the engine computes NaN or infinite log-probabilities"),))
    effect = max(_gaps((s.adapted, s.plain) for s in served))
    noise = max(_gaps((s.plain, s.again) for s in served))
    return ProbeFigures(probes=len(served), effect=round(effect, 5), noise=round(noise, 5))


def _compared(probes: list[Probe], served: list[Served], tolerance: float) -> ProbeFigures:
    pairs = list(zip(probes, served, strict=True))
    effects = _effects(served)
    gaps = _gaps((p.adapter_logprobs, s.adapted) for p, s in pairs)
    means = {
        "mean_difference": fmean(gaps),
        "base_difference": fmean(_gaps((p.base_logprobs, s.plain) for p, s in pairs)),
        "recorded_effect": fmean(_gaps((p.adapter_logprobs, p.base_logprobs) for p in probes)),
        "difference_without": fmean(_gaps((p.adapter_logprobs, s.plain) for p, s in pairs)),
    }
    rounded = {key: round(value, 5) for key, value in means.items()}
    return effects.model_copy(update={"tolerance": tolerance, "largest_difference": round(max(gaps), 5), **rounded})


def _matches(figures: ProbeFigures) -> bool:
    """Near the recorded values; and nearer than the base alone is, where the adapter does more than the engine's rounding."""
    seen, without = figures.mean_difference or 0.0, figures.difference_without or 0.0
    can_tell = (figures.recorded_effect or 0.0) > (figures.base_difference or 0.0)
    return seen <= (figures.tolerance or 0.0) and (seen < without or not can_tell)


def _with_effect(figures: ProbeFigures) -> ProbeFigures:
    if figures.effect <= figures.noise:
        raise AdapterRefused(
            (
                Problem(
                    "no_effect",
                    f"on {figures.probes} probes the engine's log-probabilities are the base's (difference {figures.effect} nats, "
                    f"the base differs from itself by {figures.noise})",
                ),
            )
        )
    return figures


def _mismatch(figures: ProbeFigures) -> Problem:
    return Problem(
        "probe_mismatch",
        f"the engine's log-probabilities differ from the recorded ones by {figures.mean_difference} nats a token with the adapter and "
        f"by {figures.difference_without} without it (at most {figures.tolerance}, and less than without); "
        "the weights are not those the probes were computed with, or the base is another",
    )
