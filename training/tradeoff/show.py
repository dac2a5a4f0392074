"""The trade-off as text."""

from typing import Any


def show(record: dict[str, Any]) -> str:
    """A line for each technique and engine, then what is best for what."""
    metrics = list(record["rows"][0]["scores"])
    streams = list(record["rows"][0]["tokens_per_second"])
    header = [f"{'technique':<10}{'engine':<22}{'disk':>8}{'weights':>9}{'resident':>10}"]
    header += [f"{f'tokens/s x{n}':>20}" for n in streams] + [f"{metric:>22}" for metric in metrics]
    lines = [
        f"{record['base']['id']} with {record['adapter']}, {record['n']} rows; MiB; scores with the adapter (without)",
        "".join(header),
    ]
    for row in record["rows"]:
        cells = [f"{row['technique']:<10}{row['engine']:<22}"]
        cells += [
            f"{row[name] / 2**20:>{width}.1f}"
            for name, width in (("disk_bytes", 8), ("weights_bytes", 9), ("resident_bytes", 10))
        ]
        cells += [f"{_rate(row, n):>20}" for n in streams]
        cells += [f"{_score(row['scores'][metric]):>22}" for metric in metrics]
        lines.append("".join(cells))
    lines += [f"{use.replace('_', ' ')}: {best['technique']} on {best['engine']}" for use, best in record["best"].items()]
    return "\n".join([*lines, record["rule"]])


def _rate(row: dict[str, Any], streams: str) -> str:
    return f"{row['tokens_per_second'][streams]:.1f} ({row['speed_up'][streams]:.2f}x)"


def _score(score: dict[str, Any]) -> str:
    return f"{score['value']:.4g} ({score['baseline']:.4g})"
