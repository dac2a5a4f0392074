"""Plots as SVG that stands inside a page: it takes the page's text colour and font, and loads nothing."""

import io
import re
from collections.abc import Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

ACCENT, WARN = "#3b76d6", "#d2603a"
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
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter("")
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


def _svg(figure: Figure, title: str) -> str:
    stream = io.StringIO()
    FigureCanvasSVG(figure).print_svg(stream, metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :].replace(_TEXT, "currentColor")
    # The first size is the picture's own; the page decides how wide it stands.
    text = re.sub(r'<svg ([^>]*?)width="[^"]*"', r"<svg \1", text, count=1)
    text = re.sub(r'<svg ([^>]*?)height="[^"]*"', r'<svg \1role="img"', text, count=1)
    return re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
