"""Plots as SVG that stands inside a page: it takes the page's text colour and font, and loads nothing."""

import io
import re
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any, Literal

from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

ACCENT, WARN = "#3b76d6", "#d2603a"
COLOURS = (ACCENT, WARN, "#4a9d6b", "#a56cc1", "#c9a227", "#7f8c99")
_FEW = 4  # values along an axis that are each told
_MARKS = "osD^vPX"  # one more than there are colours, so that a pair comes again only after all pairs
# A colour of no plot: it is written in the SVG where the page's own text colour is meant.
_TEXT = "#123456"
_STYLE = {"svg.fonttype": "none", "svg.hashsalt": "patchbay", "font.size": 9, "font.family": "sans-serif"}


def histogram(edges: Sequence[float], counts: Sequence[int], *, title: str, x: str, y: str, limit: float | None = None) -> str:
    """Counts between edges, on a logarithmic axis where these grow; `limit` draws a line there when it lies within the plot, and colours what is beyond."""
    with rc_context(_STYLE):
        figure, axes = _figure(title, x, y)
        widths = [b - a for a, b in zip(edges, edges[1:], strict=False)]
        beyond = [limit is not None and edge >= limit for edge in edges[:-1]]
        axes.bar(edges[:-1], counts, width=widths, align="edge", color=[WARN if b else ACCENT for b in beyond], linewidth=0)
        if len(edges) > 2 and widths[-1] > 2 * widths[0]:
            _logarithmic(axes, "x")
        if limit is not None and edges[0] <= limit <= edges[-1]:
            axes.axvline(limit, color=WARN, linestyle="--", linewidth=1)
            axes.annotate(f"limit {limit:,g}", (limit, axes.get_ylim()[1]), color=WARN, ha="right", va="top", rotation=90)
        return _svg(figure, title)


def bars(names: Sequence[str], values: Sequence[float], *, title: str, x: str) -> str:
    """One horizontal bar a name, the first on top."""
    with rc_context(_STYLE):
        figure, axes = _figure(title, x, "", height=0.5 + 0.2 * max(3, len(names)))
        axes.barh(range(len(names)), values, color=ACCENT, height=0.7)
        axes.set_yticks(range(len(names)), [_short(name) for name in names])
        axes.invert_yaxis()
        axes.margins(y=0.01)
        return _svg(figure, title)


def intervals(
    points: Sequence[tuple[str, float, float, float]],
    *,
    title: str,
    x: str,
    before: Sequence[float | None] = (),
    names: tuple[str, str] = ("before", "after"),
) -> str:
    """A figure (name, value, low, high) a line, with its interval; `before` are hollow points on the same lines."""
    with rc_context(_STYLE):
        figure, axes = _figure(title, x, "", height=0.9 + 0.25 * len(points))
        places = range(len(points))
        values = [value for _, value, _, _ in points]
        # An interval of resamples need not hold the figure itself.
        around = [[max(0.0, v - low) for _, v, low, _ in points], [max(0.0, high - v) for _, v, _, high in points]]
        axes.errorbar(values, places, xerr=around, fmt="o", color=ACCENT, markersize=4, capsize=3, label=names[1])
        if before:
            shown = [(value, place) for value, place in zip(before, places, strict=True) if value is not None]
            axes.plot(*zip(*shown, strict=True), "o", color=WARN, markersize=5, fillstyle="none", label=names[0])
            _legend(axes)
        axes.set_yticks(places, [_short(name) for name, *_ in points])
        axes.set_ylim(len(points) - 0.5, -0.5)
        return _svg(figure, title)


def curves(lines: Mapping[str, Sequence[tuple[float, float]]], *, title: str, x: str, y: str) -> str:
    """One line a name, through its points, on a logarithmic axis: a loss falls fast and then by little."""
    with rc_context(_STYLE):
        figure, axes = _figure(title, x, y)
        for (name, line), colour in zip(lines.items(), COLOURS * len(lines), strict=False):
            axes.plot(*zip(*line, strict=True), color=colour, linewidth=1.3, label=_short(name))
        _logarithmic(axes, "y")
        _legend(axes)
        return _svg(figure, title)


def scatter(points: Sequence[tuple[str, float, float]], *, title: str, x: str, y: str, log: bool = False) -> str:
    """Points; those with a name have a mark of their own, told beside the plot, as names within it would lie on one another."""
    with rc_context(_STYLE):
        figure, axes = _figure(title, x, y)
        colours, marks = cycle(COLOURS), cycle(_MARKS)
        for name, a, b in points:
            own = (
                {"color": next(colours), "marker": next(marks), "label": _short(name)}
                if name
                else {"color": ACCENT, "marker": "o"}
            )
            axes.plot([a], [b], linestyle="", markersize=6, **own)
        if any(name for name, _, _ in points):
            _legend(axes)
        if log:
            _logarithmic(axes, "x")
            if len(tried := sorted({a for _, a, _ in points})) <= _FEW:
                axes.set_xticks(tried)
        axes.margins(x=0.18, y=0.15)
        return _svg(figure, title)


def stacked(names: Sequence[str], parts: Mapping[str, Sequence[float]], *, title: str, x: str) -> str:
    """One horizontal bar a name, made of its parts, the first name on top."""
    with rc_context(_STYLE):
        figure, axes = _figure(title, x, "", height=1.0 + 0.28 * max(3, len(names)))
        left = [0.0] * len(names)
        for (part, sizes), colour in zip(parts.items(), COLOURS * len(parts), strict=False):
            axes.barh(range(len(names)), sizes, left=left, color=colour, height=0.7, label=_short(part))
            left = [a + b for a, b in zip(left, sizes, strict=True)]
        axes.set_yticks(range(len(names)), [_short(name) for name in names])
        axes.invert_yaxis()
        _legend(axes)
        return _svg(figure, title)


def _legend(axes: Any) -> None:
    axes.legend(fontsize=8, frameon=False, labelcolor=_TEXT, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _short(name: str) -> str:
    # matplotlib reads $…$ as mathematics.
    return (name if len(name) <= 28 else name[:27] + "…").replace("$", r"\$")


def _figure(title: str, x: str, y: str, height: float = 2.4) -> tuple[Figure, Any]:
    figure = Figure(figsize=(5.4, height), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    axes.set_title(title, color=_TEXT, loc="left", fontsize=10)
    axes.set_xlabel(x, color=_TEXT)
    axes.set_ylabel(y, color=_TEXT)
    axes.tick_params(colors=_TEXT, labelsize=8, length=2)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(_TEXT)
    return figure, axes


def _logarithmic(axes: Any, side: Literal["x", "y"]) -> None:
    """With figures at 1, 2 and 5 of each power of ten: two powers may lie farther apart than the whole axis is long."""
    axes.set(**{f"{side}scale": "log"})
    axis = axes.xaxis if side == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter("")


def _svg(figure: Figure, title: str) -> str:
    stream = io.StringIO()
    FigureCanvasSVG(figure).print_svg(stream, metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :].replace(_TEXT, "currentColor")
    # The first size is the picture's own; the page decides how wide it stands.
    text = re.sub(r'<svg ([^>]*?)width="[^"]*"', r"<svg \1", text, count=1)
    text = re.sub(r'<svg ([^>]*?)height="[^"]*"', r'<svg \1role="img"', text, count=1)
    return re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
