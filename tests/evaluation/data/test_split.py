"""A split keeps its promises: no group in two splits, shares as asked, labels kept, all files or none."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.errors import BadInput, Conflict
from evaluation.data.split import Asked, assign, split
from evaluation.data.write import write_rows
from evaluation.rows import load_rows, load_split, rows_of
from tests.evaluation.data.test_check import pair, story

Write = Callable[..., Path]
KINDS: list[dict[str, Any]] = [
    {"prompt": 'a, "b"\nc', "completion": " ü"},
    {"prompt": "q", "references": ["x, y", "z"]},
    {"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}]},
    {"text": "t"},
]


def test_duplicates_never_straddle_and_labels_keep_their_shares(written: Write, tmp_path: Path) -> None:
    rows = []
    for n in range(200):
        rows += [pair(story(n), "often" if n % 4 else "rare"), pair(story(n) + " indeed", "often" if n % 4 else "rare")]
    record = split(written("all.jsonl", *rows), tmp_path / "out", Asked(seed=3))
    parts = {name: load_split(tmp_path / "out", name) for name in ("train", "valid", "test")}
    assert {name: len(part) for name, part in parts.items()} == {"train": 320, "valid": 40, "test": 40}
    seen = {name: {str(row.prompt).split()[0] for row in part} for name, part in parts.items()}
    assert not seen["train"] & seen["valid"] | seen["train"] & seen["test"] | seen["valid"] & seen["test"]
    for part in parts.values():
        assert Counter(row.completion for row in part)["rare"] == len(part) / 4
    assert (record["groups"], record["largest_group"], record["stratified"]) == (200, 2, True)
    assert json.loads((tmp_path / "out" / "split.json").read_text()) == record


def test_the_seed_decides(written: Write, tmp_path: Path) -> None:
    path = written("all.jsonl", *(pair(story(n), story(n + 1000)) for n in range(50)))
    digests = []
    for place, seed in (("a", 1), ("b", 1), ("c", 2)):
        record = split(path, tmp_path / place, Asked(seed=seed, test=0))
        assert set(record["splits"]) == {"train", "valid"}
        digests.append(record["splits"]["valid"]["digest"])
    assert digests[0] == digests[1] != digests[2]


def test_rows_that_ask_the_same_stay_together(written: Write, tmp_path: Path) -> None:
    path = written("all.jsonl", *(pair(story(n // 5), story(n + 1000)) for n in range(100)))
    split(path, tmp_path / "out", Asked(group="exact"))
    asked = [{row.prompt for row in load_split(tmp_path / "out", name)} for name in ("train", "valid", "test")]
    assert [len(found) for found in asked] == [16, 2, 2]
    assert len(set.union(*asked)) == 20


@given(st.lists(st.tuples(st.integers(0, 15), st.sampled_from("xyz")), min_size=1, max_size=60), st.integers(0, 99))
def test_no_group_is_ever_cut(rows: list[tuple[int, str]], seed: int) -> None:
    groups = [group for group, _ in rows]
    found = assign(groups, [label for _, label in rows], {"train": 0.7, "valid": 0.3}, seed)
    assert set(found) <= {"train", "valid"}
    assert len(set(zip(groups, found, strict=True))) == len(set(groups))


@pytest.mark.parametrize("format", ["jsonl", "csv", "parquet"])
def test_rows_come_back_as_they_were(tmp_path: Path, format: str) -> None:
    rows = rows_of(KINDS)
    write_rows(tmp_path / f"a.{format}", rows, format)
    back = load_rows(tmp_path / f"a.{format}")
    assert [(r.prompt, r.completion, r.references, r.messages, r.text) for r in back] == [
        (r.prompt, r.completion, r.references, r.messages, r.text) for r in rows
    ]


def test_a_long_cell_is_read_again(tmp_path: Path) -> None:
    """Beyond the limit that the csv module has of itself."""
    path = tmp_path / "a.csv"
    write_rows(path, rows_of([{"prompt": "word " * 200_000, "completion": "b"}]), "csv")
    assert [len(row.prompt or "") for row in load_rows(path)] == [1_000_000]


@pytest.mark.parametrize(
    ("asked", "error", "says"),
    [
        (Asked(valid=0.6, test=0.5), BadInput, "leave nothing to train on"),
        (Asked(valid=0, test=0), BadInput, "nothing is split off"),
        (Asked(group="none"), BadInput, "'none'"),
        (Asked(format="xml"), BadInput, "'xml'"),
        (Asked(), Conflict, "1 group"),
    ],
)
def test_what_cannot_be_split_leaves_nothing(
    written: Write, tmp_path: Path, asked: Asked, error: type[Exception], says: str
) -> None:
    path = written("all.jsonl", *[pair("the same question")] * 30)
    with pytest.raises(error, match=says):
        split(path, tmp_path / "out", asked)
    assert [p.name for p in tmp_path.iterdir()] == ["all.jsonl"]


def test_a_bad_row_or_a_full_folder_stops_a_split(written: Write, tmp_path: Path) -> None:
    good = [pair(story(n)) for n in range(20)]
    with pytest.raises(BadInput, match="line 21"):
        split(written("bad.jsonl", *good, "{"), tmp_path / "out", Asked())
    assert not (tmp_path / "out").exists()
    kept = written("out/mine.txt", "x")
    with pytest.raises(Conflict, match="not empty"):
        split(written("good.jsonl", *good), tmp_path / "out", Asked())
    assert kept.read_text() == "x\n"
