"""The base's papers: patchbay.json for programs, README.md (a model card) for people."""

import importlib.metadata
import json
import platform
from pathlib import Path
from typing import Any

_CARD = """---
library_name: transformers
pipeline_tag: text-generation
language: en
---
# The embedded base

A Llama-architecture causal language model of {parameters:,} parameters, trained from nothing by Patchbay's own
recipe, so that every command runs with nothing to download. It is a base for adapters, not an assistant: it copies
names and numbers from its prompt, writes plain English sentences about records, writes JSON, and knows little else.

| | |
|---|---|
| architecture | Llama: {layers} layers, hidden {hidden}, {heads} heads of {head_dim}, intermediate {intermediate}, tied embeddings, {positions:,} positions |
| tokenizer | byte-level BPE, {vocabulary:,} entries, single digits; chat template with system, user, assistant |
| weights | bfloat16 safetensors |
| data | docstrings, comments and the language reference of Python {python}'s standard library; generated records, lists, questions and everyday sentences (`training/pretrain/`) |
| domain | technical English; everyday requests; records of products, orders, people, places, events |
| tokens read | {tokens:,} |
| training time | {minutes:.0f} minutes of optimizer steps |
| optimizer | Muon (matrices in the layers) and AdamW (embedding, norms), warm-up, constant, linear decay; bfloat16 autocast |
| command | `patchbay pretrain --out DIR --tokens {tokens} --seed {seed}` |

Held-out exam, {documents} documents a row that training never draws. *exact* is the share of documents in which every
trained token is the greedy choice; where the prompt determines the answer (repeat, pick, lookup) that is exact match.

| family | perplexity | exact |
|---|---|---|
{rows}

Limits: English only; facts it states are not to be trusted; positions beyond {length} were seen only in the last tenth
of training. The text of the library is under the PSF licence; no text is stored in the weights' folder.
"""


def write_card(
    folder: Path, recipe: dict[str, Any], report: dict[str, dict[str, float]], *, parameters: int, seconds: float
) -> None:
    """Writes README.md and patchbay.json into a finished base folder; `seconds` is time spent in steps."""
    rows = "\n".join(f"| {name} | {s['perplexity']:.2f} | {s['exact']:.2f} |" for name, s in report.items())
    card = _CARD.format(
        **recipe,
        parameters=parameters,
        head_dim=recipe["hidden"] // recipe["heads"],
        minutes=seconds / 60,
        python=platform.python_version(),
        rows=rows,
        documents=48,
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
    record = {
        "schema": 1,
        "kind": "base",
        "method": "pretrain",
        "recipe": recipe,
        "parameters": parameters,
        "seconds": round(seconds, 1),
        "exam": report,
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in ("torch", "transformers", "tokenizers", "faker")},
    }
    (folder / "patchbay.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
