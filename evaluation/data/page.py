"""The report of a check as one HTML page with its plots inside."""

from pathlib import Path
from typing import Any

from markupsafe import Markup

from evaluation import html, plots
from evaluation.data.show import percent

_LABELS = 20


def page(report: dict[str, Any]) -> str:
    """HTML that needs nothing but itself."""
    drawn = {name: [Markup(svg) for svg in _plots(split)] for name, split in report["splits"].items()}
    filters = {"percent": percent, "grouped": "{:,}".format}
    return html.render(Path(__file__).with_name("page.html"), filters, report=report, plots=drawn)


def _plots(split: dict[str, Any]) -> list[str]:
    found = []
    tokens = split["tokens"]
    if tokens["histogram"]:
        title = f"Tokens a row, {percent(tokens['share_over'])} over the limit of {tokens['limit']:,}"
        h = tokens["histogram"]
        found.append(plots.histogram(h["edges"], h["counts"], title=title, x="tokens", y="rows", limit=tokens["limit"]))
    if split["domain_words"]:
        top = split["domain_words"][:20]
        found.append(
            plots.bars([e["word"] for e in top], [e["z"] for e in top], title="Domain words", x="z-score of the log-odds")
        )
    if split["labels"]:
        counts = list(split["labels"]["counts"].items())
        shown = counts if len(counts) <= _LABELS else counts[: _LABELS // 2] + counts[-_LABELS // 2 :]
        title = "Rows a label" if len(counts) <= _LABELS else f"Rows a label: the most and least frequent of {len(counts)}"
        found.append(plots.bars([name for name, _ in shown], [n for _, n in shown], title=title, x="rows"))
    return found
