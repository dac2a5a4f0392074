"""The report of a check as text for a terminal."""

from collections.abc import Iterator
from typing import Any

_PROBLEMS = 20
_WORDS = 15
_BAR = "▁▂▃▄▅▆▇█"


def show(report: dict[str, Any]) -> str:
    """A screen or two; `--json` has the same figures whole."""
    found = report["grade"]
    lines = [f"{report['path']}: grade {found['grade']}, {found['points']:g} of 100 points"]
    lines += [f"  {entry['points']:>6g}  {entry['reason']}" for entry in found["reasons"]]
    for name, split in report["splits"].items():
        lines += ["", *_split(name, split)]
    for pair in report["overlap"]:
        lines += ["", *_pair(pair)]
    return "\n".join(lines)


def percent(share: float) -> str:
    """A share for people: two digits, and 0 for nothing at all only."""
    if not share:
        return "0 %"
    return f"{100 * share:.2g} %" if share < 0.01 else f"{100 * share:.1f} %"


def _split(name: str, split: dict[str, Any]) -> Iterator[str]:
    rows, tokens = split["rows"], split["tokens"]
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in split["kinds"].items()) or "no usable rows"
    yield f"{name}  {split['file']}, {split['format']}, {split['bytes']:,} bytes"
    yield f"  rows        {rows['usable']:,} usable of {rows['total']:,} ({kinds}); {rows['malformed']} malformed, {rows['empty']} empty, {rows['overlong']} overlong"
    if tokens["total"]:
        yield f"  tokens      {tokens['total']:,}; median {tokens['p50']}, 95 % {tokens['p95']}, most {tokens['max']}; {percent(tokens['share_over'])} over {tokens['limit']:,}"
        yield f"              {tokens['histogram']['edges'][0]:g} {_spark(tokens['histogram']['counts'])} {tokens['histogram']['edges'][-1]:g}"
    duplicates = split["duplicates"]
    yield f"  duplicates  {duplicates['exact']['rows']:,} exact ({percent(duplicates['exact']['share'])}), {duplicates['near']['rows']:,} exact or near ({percent(duplicates['near']['share'])}), {duplicates['question']['rows']:,} ask what another asks"
    if duplicates["near"]["largest"]:
        largest = duplicates["near"]["largest"][0]
        yield f"              largest group: {largest['rows']} rows, lines {', '.join(map(str, largest['lines'][:8]))}"
    if labels := split["labels"]:
        yield f"  labels      {labels['labels']}, evenness {labels['evenness']}, largest {labels['largest_over_smallest']} times the smallest, always the largest: {percent(labels['majority_share'])}"
    if split["domain_words"]:
        yield f"  domain      {', '.join(entry['word'] for entry in split['domain_words'][:_WORDS])}"
    yield f"  words       {split['words']:,}, {split['distinct_words']:,} distinct; general English knows {percent(split['english_share'])} of them"
    problems = split["problems"]
    for problem in problems[:_PROBLEMS]:
        where = f"line {problem['line']}" if problem["line"] is not None else "file"
        yield f"  {problem['kind']:<10}  {where}: {problem['message']}"
    if len(problems) > _PROBLEMS:
        yield f"              and {len(problems) - _PROBLEMS:,} more; --json and --html list all"


def _pair(pair: dict[str, Any]) -> Iterator[str]:
    yield f"{pair['scored']} in {pair['seen']} (of {pair['rows']:,} rows)"
    names = {"exact": "exact", "question": "same question", "near": "exact or near", "ngram": f"{pair['ngram']['n']}-gram"}
    for key, shown in names.items():
        found = pair[key]
        where = f"  lines {', '.join(map(str, found['lines'][:8]))}" if found["lines"] else ""
        yield f"  {shown:<14} {found['rows']:>6,}  {percent(found['share'])}{where}"
    if pair["unseen_labels"]:
        yield f"  labels that {pair['seen']} does not have: {', '.join(pair['unseen_labels'][:8])}"


def _spark(counts: list[int]) -> str:
    most = max(counts)
    return "".join(_BAR[round((len(_BAR) - 1) * count / most)] if count else " " for count in counts)
