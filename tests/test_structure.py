"""Who may import whom, and that no import goes round in a circle (docs: README, the tree)."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("adapters", "bases", "evaluation", "training", "service", "loadtest", "bench")
ALLOWED = {
    "adapters": {"adapters"},
    "bases": set(),
    "evaluation": {"evaluation", "adapters"},
    "training": {"training", "adapters", "evaluation", "bases"},
    "service": {"service", "adapters", "evaluation"},
    "loadtest": {"loadtest"},
}
FORBIDDEN = {
    "adapters": {"torch", "vllm", "transformers"},
    "evaluation": {"vllm"},
    "training": {"vllm"},
    "loadtest": {"vllm", "torch"},
}
# The command line resolves bases; evaluation's library part knows the error tree alone.
ONLY_ERRORS = {
    "evaluation/here.py": {"adapters.archive", "adapters.base"},
    "evaluation/data/cli.py": {"adapters.base", "adapters.errors"},
    "evaluation/local.py": {"adapters.base"},
    "evaluation/compare/cli.py": {"adapters.base", "adapters.errors"},
    "evaluation/compare/contestants.py": {"adapters.archive", "adapters.base", "adapters.errors"},
}


def modules() -> dict[str, Path]:
    found = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            found[name] = path
    return found


def imports(path: Path, only_top: bool = False) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if only_top else list(ast.walk(tree))
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize(("name", "path"), sorted(modules().items()))
def test_imports_go_one_way(name: str, path: Path) -> None:
    package = name.partition(".")[0]
    if package == "bench":
        return
    seen = {module.partition(".")[0] for module in imports(path)}
    assert seen & set(PACKAGES) <= ALLOWED[package], f"{name} imports {seen}"
    assert not seen & FORBIDDEN.get(package, set()), f"{name} imports {seen}"
    if "vllm" in seen:
        assert name.startswith("service.engine"), f"{name} imports vllm"


@pytest.mark.parametrize(("name", "path"), [(n, p) for n, p in sorted(modules().items()) if n.startswith("evaluation")])
def test_evaluation_knows_of_adapters_only_the_errors(name: str, path: Path) -> None:
    allowed = ONLY_ERRORS.get(path.relative_to(ROOT).as_posix(), {"adapters.errors"})
    ours = {module for module in imports(path) if module.startswith("adapters.")}
    assert all(any(module == a or module.startswith(a + ".") for a in allowed) for module in ours), ours


def test_no_import_cycles() -> None:
    known = modules()
    graph = {name: {m for m in imports(path, only_top=True) if m in known and m != name} for name, path in known.items()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name in done:
            return
        for other in graph[name]:
            visit(other, (*trail, name))
        done.add(name)

    for name in graph:
        visit(name, ())


def test_every_status_of_an_error_is_set() -> None:
    from adapters import errors
    from service.errors import STATUS

    ours = {c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.PatchbayError)}
    assert ours - {errors.PatchbayError} == set(STATUS)


def test_no_assert_on_input_and_no_machine_of_ours() -> None:
    """Code outside tests raises errors; and no text names a path of the machine it was written on."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, listed):
        path = ROOT / name
        if (
            path.suffix not in (".py", ".md", ".toml", ".yaml", ".yml", ".txt", ".json", "")
            or not path.is_file()
            or path.stat().st_size > 400_000
        ):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        assert not re.search(r"/(root|home|work|Users)/[a-z]", text), name
        if path.suffix == ".py" and name.partition("/")[0] in PACKAGES:
            asserts = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Assert)]
            assert not asserts, f"{name} asserts"
