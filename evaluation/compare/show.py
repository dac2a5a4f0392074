"""A comparison as text for a terminal."""

from typing import Any

from evaluation.show import shown


def show(record: dict[str, Any]) -> str:
    """A line an approach, then when to use which and by which rule."""
    metric = record["primary"]
    lines = [f"{record['data']['n']} items of {record['data']['items']} on {record['base']}, {record['settings']['k']} examples"]
    for a in record["approaches"]:
        score = a["scores"][metric]
        lines.append(
            f"  {a['name']:<15}{metric} {shown(score['value'])} [{shown(score['low'])}, {shown(score['high'])}]  "
            f"{a['latency']['p50_seconds']:.3f} s  {a['prompt_tokens']:.0f} prompt tokens{_money(a, record)}{_trained(a['training'])}"
        )
    lines += [f"  {c['use'].replace('_', ' ')}: {c['approach']} ({record['rules'][c['use']]})" for c in record["choices"]]
    lines += [f"  {_break_even(even)}" for even in record["break_even"]]
    return "\n".join(lines)


def _trained(training: dict[str, Any] | None) -> str:
    if training is None:
        return ""
    return "  trained -" if training["seconds"] is None else f"  trained {training['seconds']:.0f} s"


def _break_even(even: dict[str, Any]) -> str:
    after = f"after {even['answers']:,} answers" if even["answers"] is not None else "after an unknown number of answers"
    return f"{even['approach']} has paid back its training over {even['over']} {after}, by machine time"


def _money(approach: dict[str, Any], record: dict[str, Any]) -> str:
    if approach["money"] is None:
        return ""
    return f"  {approach['money']['thousand_answers']:.4f} {record['prices']['currency']} per 1,000"
