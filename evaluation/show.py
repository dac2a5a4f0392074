"""Reports of evaluations as text for a terminal."""

from collections.abc import Iterator
from typing import Any

_CASES = 2
_CUT = 90


def show(body: dict[str, Any]) -> str:
    """Figures, verdicts, what failed, and examples of both ends of the first metric that looks at answers."""
    lines = [f"{body['model']} on {body['n']} rows" + (f", beside {body['baseline']}" if body["baseline"] else "")]
    for name, figures in body["scores"].items():
        lines.append(_figures(name, figures))
        if body["baseline"]:
            lines.append(f"               {_verdict(body, name)}")
    if "window" in body:
        lines.append(f"  perplexity over windows of {body['window']['length']:,} tokens, stride {body['window']['stride']:,}")
    for key, whose in (("failures", body["model"]), ("baseline_failures", body["baseline"])):
        lines += [f"  {whose}, {name.replace('_', ' ')}: {count}" for name, count in body.get(key, {}).items() if count]
    lines += _examples(body)
    return "\n".join(lines)


def show_entry(entry: dict[str, Any]) -> str:
    """An entry of the history: its figures, and how it stands to those before it."""
    lines = [f"{entry['run']}  {entry['digest'][:19]}  {entry['n']} rows" + ("  WORSE" if entry["worse"] else "")]
    lines += [_figures(name, figures) for name, figures in entry["scores"].items()]
    for found in entry["compared"]:
        lines.append(
            f"  {found['metric']:<12} {shown(found['difference'])} from {found['with']} ({found['run']})  "
            f"[{shown(found['low'])}, {shown(found['high'])}]  p {shown(found['p'])}: {found['verdict']}"
        )
    return "\n".join(lines)


def shown(number: float | None) -> str:
    """Four digits."""
    return "-" if number is None else f"{number:.4g}"


def _figures(name: str, s: dict[str, Any]) -> str:
    line = f"  {name:<12} {shown(s['value'])}  [{shown(s['low'])}, {shown(s['high'])}]"
    if s["difference"] is None:
        return line
    return line + f"  base {shown(s['baseline'])}  difference {shown(s['difference'])}  p {shown(s['p'])}"


def _verdict(body: dict[str, Any], name: str) -> str:
    text = f"{body['verdicts'][name]}; a difference of {shown(body['detectable'][name])} would be found 4 times in 5"
    if found := body.get("calibration", {}).get(name):
        told = found["better"] + found["worse"]
        text += f"; {told} of {found['trials']} pairs of equal systems were told apart"
    return text


def _examples(body: dict[str, Any]) -> Iterator[str]:
    name = next((name for name in body["scores"] if name != "perplexity"), None)
    if name is None:
        return
    for key, title in (("works_well", "works well"), ("limits", "limits")):
        for case in body["cases"][name][key][:_CASES]:
            yield f"  {title}, line {case['line']} ({name} {shown(case['value'])}): {_cut(case['prompt'])}"
            yield f"      gave {_cut(case['output'])}, wanted {_cut(case['references'][0])}"


def _cut(text: Any) -> str:
    line = repr(text if isinstance(text, str) else text[-1]["content"])
    return line if len(line) <= _CUT else line[: _CUT - 1] + "…"
