"""A result as one HTML page with its plots inside: it loads nothing."""

import io
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

_STYLE = {"svg.fonttype": "none", "svg.hashsalt": "patchbay", "font.size": 9, "font.family": "sans-serif"}
# A colour of no line: the page's own text colour stands where the SVG has it.
_TEXT = "#123456"
Line = tuple[str, str, list[float]]


def page(result: dict[str, Any]) -> str:
    """HTML that needs nothing but itself."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"ms": lambda seconds: f"{seconds * 1000:,.0f}", "grouped": "{:,}".format}
    return environment.get_template("page.html").render(r=result, plots=[Markup(svg) for svg in _plots(result)])


def _plots(result: dict[str, Any]) -> list[str]:
    parts = result["over_time"]
    width = result["scenario"]["seconds"] / 60
    at = [part["at"] + width / 2 for part in parts]

    def line(label: str, colour: str, name: str, factor: float = 1.0) -> Line:
        return label, colour, [part[name] * factor for part in parts]

    failed = [part["failed"] / width for part in parts]
    return [
        _plot(
            "Requests a second", "1/s", at, [line("answered", "#3b76d6", "requests_per_second"), ("failed", "#d2603a", failed)]
        ),
        _plot("Tokens a second", "1/s", at, [line("written", "#2b8561", "tokens_per_second")]),
        _plot("First token", "ms", at, _latency(line, "first_token")),
        _plot("Between tokens", "ms", at, _latency(line, "between_tokens")),
        _plot("Whole answer", "ms", at, _latency(line, "answer")),
    ]


def _latency(line: Any, name: str) -> list[Line]:
    colours = {50: "#3b76d6", 95: "#c28a1a", 99: "#d2603a"}
    return [line(f"p{share}", colour, f"{name}_p{share}", 1000) for share, colour in colours.items()]


def _plot(title: str, unit: str, at: list[float], lines: list[Line]) -> str:
    with rc_context(_STYLE):
        figure = Figure(figsize=(5.4, 2.3), layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0)
        for label, colour, values in lines:
            axes.plot(at, values, color=colour, linewidth=1.4, label=label, marker="." if len(at) < 3 else "")
        axes.set_title(title, color=_TEXT, loc="left", fontsize=10)
        axes.set_xlabel("seconds", color=_TEXT)
        axes.set_ylabel(unit, color=_TEXT)
        axes.set_ylim(bottom=0)
        axes.tick_params(colors=_TEXT, labelsize=8, length=2)
        axes.legend(frameon=False, labelcolor=_TEXT, fontsize=8, ncols=3, loc="lower right", bbox_to_anchor=(1, 1))
        for side, spine in axes.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set_color(_TEXT)
        stream = io.StringIO()
        FigureCanvasSVG(figure).print_svg(stream, metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    return text[text.index("<svg") :].replace(_TEXT, "currentColor")
