"""The memory record as text."""

from typing import Any

_PARTS = ("weights", "gradients", "optimizer", "activations", "peak")


def show(record: dict[str, Any]) -> str:
    """Measured beside predicted, what is saved, and the computed table."""
    batch = record["batch"]
    lines = [
        f"{record['base']['id']}, {record['base']['parameters']:,} parameters, rank {record['rank']}, {batch['rows']} rows of {batch['length']} tokens, "
        f"{batch['labels']} labels; MiB measured (predicted)",
        f"{'':<12}" + "".join(f"{part:>18}" for part in _PARTS) + f"{'resident':>12}",
    ]
    for method, figures in record["methods"].items():
        measured, predicted = figures["measured"], figures["predicted"]
        cells = [f"{_mebi(measured['allocated'][part])} ({_mebi(predicted[part])})" for part in _PARTS]
        lines.append(f"{method:<12}" + "".join(f"{cell:>18}" for cell in cells) + f"{_mebi(measured['resident']['peak']):>12}")
    for method, figures in record["methods"].items():
        if figures["saved"] and method != "full":
            saved = figures["saved"]
            lines.append(
                f"{method} saves of full fine-tuning {100 * saved['trained_state']:.1f} % of gradients and optimizer, "
                f"{100 * saved['allocated_peak']:.1f} % of the allocated peak, {100 * saved['resident_growth']:.1f} % of what the process grew by"
            )
    known = record["computed"][0]["batch"]
    lines.append(
        f"\ncomputed, not measured: {known['rows']} row of {known['length']} tokens, rank {record['rank']}, frozen weights in bfloat16; GiB"
    )
    lines.append(f"{'':<14}{'':<12}" + "".join(f"{part:>13}" for part in _PARTS))
    for entry in record["computed"]:
        computed = "".join(f"{entry['predicted'][part] / 2**30:>13.1f}" for part in _PARTS)
        lines.append(f"{entry['model']:<14}{entry['method']:<12}{computed}")
    return "\n".join(lines)


def _mebi(size: int) -> str:
    return f"{size / 2**20:.1f}"
