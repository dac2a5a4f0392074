"""Records as the commands write them, small ones, and the notebook of some."""

from typing import Any

from training.notebook.language import Language
from training.notebook.records import Records
from training.notebook.render import markdown, sections

Record = dict[str, Any]


def run(path: str = "route", method: str = "lora") -> Record:
    adapted = method != "full"
    return {
        "kind": "run",
        "status": "finished",
        "path": path,
        "method": method,
        "seed": 1,
        "config": {"base": "embedded", "method": method, "rank": 8, "alpha": 16.0, "dropout": 0.0, "lr": 0.001, "batch_size": 16},
        "base": {"id": "embedded", "digest": "sha256:" + "ab" * 32},
        "parameters": {"trainable": 4096 if adapted else 1_000_000, "total": 1_004_096 if adapted else 1_000_000},
        "lora_matrices": {
            "model.layers.0.self_attn.q_proj": {"A": [8, 256], "B": [256, 8]},
            "model.layers.1.self_attn.q_proj": {"A": [8, 256], "B": [256, 8]},
        }
        if adapted
        else {},
        "steps": 200,
        "seconds": 61.5,
        "tokens_per_second": 5000.0,
        "loss": {"valid_best": 0.25},
        "peak_memory_bytes": {"resident": 500 * 2**20},
        "curves": [{"step": 1, "loss": 2.0}, {"step": 100, "eval_loss": 0.5}, {"step": 200, "loss": 0.3}],
    }


def score(value: float, low: float, high: float, baseline: float | None = None) -> dict[str, float | None]:
    figures = {"value": value, "low": low, "high": high, "baseline": baseline, "difference": None, "p": None}
    if baseline is not None:
        difference = value - baseline
        figures |= {"difference": difference, "difference_low": difference - 0.1, "difference_high": difference + 0.1, "p": 0.001}
    return figures


def evaluation(path: str = "route", verdict: str = "better", asked: str = "Where is it?") -> Record:
    case = {
        "line": 1,
        "prompt": asked,
        "references": ["delivery"],
        "output": "delivery",
        "baseline_output": "the shop",
        "value": 1.0,
    }
    return {
        "kind": "evaluation",
        "path": path,
        "scored": path,
        "model": path,
        "baseline": "embedded",
        "n": 60,
        "scores": {"accuracy": score(0.9, 0.8, 0.95, 0.2), "perplexity": score(1.5, 1.4, 1.6, 9.0)},
        "verdicts": {"accuracy": verdict, "perplexity": verdict},
        "cases": {"perplexity": {"works_well": [], "limits": []}, "accuracy": {"works_well": [case], "limits": []}},
    }


def sweep() -> Record:
    trials = [
        {"number": n, "params": {"rank": rank, "alpha": "2r", "lr": lr}, "state": state, "valid_loss": loss}
        for n, (rank, lr, state, loss) in enumerate(
            [(4, 0.001, "complete", 0.5), (8, 0.003, "complete", 0.4), (4, 0.003, "pruned", 0.9)]
        )
    ]
    return {
        "kind": "sweep",
        "path": "sweep",
        "search": "grid",
        "seconds": 300.0,
        "trials": trials,
        "tried": {
            "rank": [{"value": 4, "trials": 2, "best": 0.5}, {"value": 8, "trials": 1, "best": 0.4}],
            "alpha": [{"value": "2r", "trials": 3, "best": 0.4}],
            "lr": [{"value": 0.001, "trials": 1, "best": 0.5}, {"value": 0.01, "trials": 1, "best": None}],
        },
        "importance": {"rank": 0.75, "lr": 0.25},
        "best": {
            "params": {"rank": 8, "alpha": "2r", "lr": 0.003},
            "valid_loss": 0.4,
            "config": {"rank": 8, "lr": 0.003, "max_steps": None},
        },
        "test": evaluation(),
    }


def compare(prices: bool = True) -> Record:
    names = ("zero_shot", "few_shot", "retrieval", "lora", "lora_retrieval", "full")
    approaches = [
        {
            "name": name,
            "scores": {"accuracy": score(0.1 * n, 0.05 * n, 0.15 * n)},
            "prompt_tokens": 30.0 + n,
            "latency": {"p50_seconds": 0.05},
            "training": {"seconds": 60.0} if n > 2 else None,
            "serving": {"seconds_per_thousand": 50.0},
            "money": {"training": 0.5, "thousand_answers": 0.25} if prices else None,
        }
        for n, name in enumerate(names, start=1)
    ]
    uses = ("best", "no_training", "serving", "changing_data", "many_tasks")
    return {
        "kind": "compare",
        "path": "compare",
        "base": "embedded",
        "data": {"n": 60, "items": "test.jsonl"},
        "settings": {"k": 4, "max_tokens": 48},
        "primary": "accuracy",
        "approaches": approaches,
        "choices": [{"use": use, "approach": name} for use, name in zip(uses, names, strict=False)],
        "break_even": [{"approach": "lora", "over": "retrieval", "answers": 1200 if prices else None}],
        "prices": {"currency": "EUR"} if prices else None,
    }


def data_check() -> Record:
    split = {
        "format": "jsonl",
        "rows": {"usable": 1600, "malformed": 1, "empty": 0, "overlong": 0},
        "kinds": {"prompt/completion": 1600},
        "tokens": {"total": 47166, "p50": 29, "max": 50, "limit": 1024, "histogram": {"edges": [0, 10, 20], "counts": [3, 4]}},
        "duplicates": {"exact": {"share": 0.0}, "near": {"share": 0.03}},
        "domain_words": [{"word": "billing", "z": 9.0}],
    }
    grade = {
        "grade": "B",
        "points": 82.6,
        "reasons": [{"points": -7.5, "what": "near", "values": {"split": "train", "share": 0.05}}],
    }
    return {"kind": "data-check", "path": "route-data", "splits": {"train": split}, "grade": grade}


def history(entries: int) -> Record:
    made = [
        {"time": f"2026-11-25T0{n}:00:00+00:00", "scores": {"accuracy": {}}, "worse": ["accuracy"] if n == 1 else []}
        for n in range(entries)
    ]
    return {"kind": "history", "path": "evaluations", "entries": made}


def project() -> Record:
    return {
        "kind": "project",
        "path": "project",
        "title": "Routing",
        "run": "route",
        "functions": ["one", "two"],
        "case": "a shop",
        "problem": "slow",
        "solution": "an adapter",
        "challenges": [{"challenge": "few rows", "met": "generated"}],
        "base_domain": "everyday requests",
        "demo": "a page",
        "limits": ["English"],
        "next_steps": ["more"],
    }


def loadtest() -> Record:
    figures = dict.fromkeys(("requests", "failed", "wrong_adapter"), 0) | dict.fromkeys(
        ("requests_per_second", "tokens_per_second", "first_token_p50", "first_token_p99", "answer_p50", "answer_p99"), 1.5
    )
    return {"kind": "loadtest", "path": "load", "scenario": {"name": "many"}, "total": figures, "models": {"route": figures}}


def memory() -> Record:
    parts = {"weights": 26, "gradients": 26, "optimizer": 52, "activations": 10, "rest": 4, "peak": 120}
    sizes = {name: size * 2**20 for name, size in parts.items()}
    figures = {"measured": {"allocated": sizes, "resident": {"before": 0, "loaded": 0, "peak": 500 * 2**20}}, "predicted": sizes}
    saved = {"trained_state": 0.9, "allocated_peak": 0.5, "resident_growth": 0.3}
    return {
        "kind": "memory",
        "path": "memory",
        "base": {"id": "embedded"},
        "rank": 16,
        "batch": {"rows": 8, "length": 256, "labels": 1024},
        "methods": {"full": figures | {"saved": dict.fromkeys(saved, 0.0)}, "lora": figures | {"saved": saved}},
        "computed": [{"model": "Llama 3.1 8B", "method": "lora", "predicted": {k: v * 1024 for k, v in sizes.items()}}],
    }


def seeds() -> Record:
    figure = {"values": [0.2, 0.3], "mean": 0.25, "deviation": 0.0707}
    return {
        "kind": "seeds", "path": "route", "method": "lora", "seeds": [1, 2], "figures": {"valid_best": figure, "seconds": figure},
    }  # fmt: skip


def tradeoff() -> Record:
    row = {
        "technique": "gptq", "engine": "vLLM 0.32.0", "disk_bytes": 7 * 2**20, "weights_bytes": 8 * 2**20, "resident_bytes": 900 * 2**20,
        "tokens_per_second": {"1": 90.0, "8": 400.0}, "speed_up": {"1": 0.9, "8": 1.25}, "scores": {"accuracy": score(0.875, 0.8, 0.95, 0.1)},
        "quality_loss": {"accuracy": 1.5},
    }  # fmt: skip
    chosen = {"technique": "gptq", "engine": "vLLM 0.32.0", "weights_bytes": 8 * 2**20, "tokens_per_second": 400.0}
    return {
        "kind": "quantization",
        "path": "quantization",
        "base": {"id": "embedded"},
        "adapter": "route",
        "n": 60,
        "rows": [row],
        "rule": "the fewest bytes",
        "limits": {"points": 1.5, "speed": 0.9},
        "best": dict.fromkeys(("prototyping", "production", "fast_inference"), chosen),
    }


def everything() -> list[Record]:
    bases = [{"kind": "base", "path": "b4", "method": "gptq", "weight_bytes": {"before": 13_000_000, "after": 7_000_000}}]
    verdicts = ("better", "worse", "no difference shown")
    return [
        run(), run("rs", "rslora"), run("whole", "full"), *(evaluation(f"e{n}", v) for n, v in enumerate(verdicts)), evaluation(),
        sweep(), sweep() | {"test": None, "path": "closed"}, compare(), compare(prices=False) | {"path": "free"}, data_check(), history(3),
        history(1), project(), loadtest(), memory(), seeds(), tradeoff(), *bases,
    ]  # fmt: skip


def text(records: list[Record], lang: str = "en") -> str:
    """The notebook of these records, as Markdown."""
    language = Language(lang)
    return markdown(sections(Records(records), language), language)
