"""What the check of a data set finds, on data sets whose faults are known."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.errors import BadInput, NotFound
from evaluation.data.check import check
from evaluation.data.domain import domain_words
from evaluation.data.grade import at_least, grade
from evaluation.data.grams import WordIds, words
from evaluation.data.labels import balance
from evaluation.data.lengths import token_lengths
from evaluation.data.near import THRESHOLD, Components, join_near
from evaluation.data.page import page
from evaluation.data.read import read_file, untracked
from evaluation.data.show import show
from evaluation.rows import rows_of
from evaluation.tokens import encode_row
from tests.evaluation.data.conftest import WordTokenizer

Write = Callable[..., Path]


def pair(prompt: str, completion: str = "yes") -> dict[str, str]:
    return {"prompt": prompt, "completion": completion}


def story(seed: int, words: int = 30) -> str:
    """Words that no other seed has."""
    return " ".join(f"w{seed}x{n}" for n in range(words))


def test_every_problem_is_found_with_its_line(written: Write, tokenizer: WordTokenizer) -> None:
    path = written(
        "train.jsonl",
        pair("a"),
        "not json",
        pair("  "),
        "",
        '{"prompt": "b"}',
        "[1]",
        pair("c"),
        "{}",
        pair("long " * 30),
        '{"prompt": "\\ud800", "completion": "x"}',
    )
    report = check([path], lambda: tokenizer, "words", 20)
    split = report["splits"]["train"]
    assert [(p["line"], p["kind"]) for p in split["problems"]] == [
        (2, "malformed"), (3, "empty"), (5, "malformed"), (6, "malformed"), (8, "empty"), (9, "overlong"), (10, "malformed"),
    ]  # fmt: skip
    assert split["rows"] == {"total": 9, "usable": 3, "malformed": 4, "empty": 2, "overlong": 1}
    assert split["tokens"]["share_over"] == pytest.approx(1 / 3, abs=1e-5)
    assert report["schema"] == 1


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("a.csv", b'prompt,completion\na,b\na,b,c\n"a"b,c\nd,\xff\n,\ne,f\n', [(3, "malformed"), (4, "malformed"), (5, "malformed"), (6, "empty")]),
        ("a.jsonl", b'{"prompt":"a","completion":"b"}\n{"prompt":"\xff","completion":"b"}\n{"prompt":"a","completion":"b"}\n', [(2, "malformed")]),
    ],
)  # fmt: skip
def test_a_bad_row_hides_none_after_it(tmp_path: Path, name: str, content: bytes, found: list[tuple[int, str]]) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    file = read_file("a", path)
    assert [(flaw.line, flaw.kind) for flaw in file.flaws] == found
    assert len(file.rows) == 2


def test_a_parquet_row_that_is_not_utf8(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    cells = pyarrow.array([b"one", b"\xff\xfe", b"three"], type=pyarrow.binary()).view(pyarrow.string())
    pyarrow.parquet.write_table(pyarrow.table({"prompt": cells, "completion": ["a", "b", "c"]}), tmp_path / "a.parquet")
    file = read_file("a", tmp_path / "a.parquet")
    assert [row.prompt for row in file.rows] == ["one", "three"]
    assert [(flaw.line, flaw.kind) for flaw in file.flaws] == [(2, "malformed")]


def test_a_file_that_is_none(written: Write, tmp_path: Path) -> None:
    loads: list[int] = []
    with pytest.raises(NotFound, match="nothing.jsonl"):
        check([tmp_path / "nothing.jsonl"], lambda: loads.append(1), "words", 20)  # type: ignore[arg-type, return-value]
    written("folder/other.jsonl", pair("a"))
    with pytest.raises(NotFound, match=r"other\.jsonl"):
        check([tmp_path / "folder"], lambda: loads.append(1), "words", 20)  # type: ignore[arg-type, return-value]
    (tmp_path / "x.csv").write_text("question,completion\na,b\n")
    with pytest.raises(BadInput, match="question"):
        check([tmp_path / "x.csv"], lambda: loads.append(1), "words", 20)  # type: ignore[arg-type, return-value]
    assert not loads, "a tokenizer is loaded only for rows that are there"


def test_lengths_are_those_of_training(written: Write, tokenizer: WordTokenizer) -> None:
    rows = [
        pair("one two", "three"),
        {"text": "a b c"},
        {"messages": [{"role": "user", "content": "hi there"}, {"role": "assistant", "content": "hello"}]},
    ]
    path = written("a.jsonl", *rows, {"prompt": "q", "references": ["one", "one two three"]})
    file = read_file("a", path)
    found = token_lengths(file, tokenizer, 1000, untracked)
    wanted = [len(encode_row(row, tokenizer).ids) for row in rows_of(rows)] + [1 + 1 + 3 + 1]
    assert (found["total"], found["max"]) == (sum(wanted), max(wanted))
    assert sum(found["histogram"]["counts"]) == 4
    assert not file.flaws


def test_messages_that_the_template_refuses(written: Write, tokenizer: WordTokenizer) -> None:
    talk = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}]
    file = read_file("a", written("a.jsonl", {"messages": talk[1:]}, {"messages": talk}))
    token_lengths(file, tokenizer, 1000, untracked)
    assert [(flaw.line, flaw.kind) for flaw in file.flaws] == [(2, "malformed")]
    assert "no system messages here" in file.flaws[0].message


def test_duplicates_exact_near_and_asked_twice(written: Write, tokenizer: WordTokenizer) -> None:
    text = story(1)
    path = written(
        "a.jsonl",
        pair(text),
        pair(text.upper() + " "),
        pair(text + " more"),
        pair(text, "no"),
        *(pair(story(n)) for n in range(2, 30)),
    )
    found = check([path], lambda: tokenizer, "words", 100)["splits"]["a"]["duplicates"]
    assert (found["exact"]["rows"], found["exact"]["largest"]) == (1, [{"rows": 2, "lines": [1, 2]}])
    assert (found["near"]["rows"], found["near"]["largest"]) == (3, [{"rows": 4, "lines": [1, 2, 3, 4]}])
    assert (found["question"]["rows"], found["question"]["groups"]) == (2, 1)


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=12), min_size=2, max_size=25))
def test_near_duplicates_are_those_of_their_real_sets(found: list[list[str]]) -> None:
    """Against all pairs compared directly, whatever the texts: none joined that no chain of similar pairs joins."""
    grams = WordIds([" ".join(text) for text in found]).grams(2, whole=True)
    near, exact = Components(len(found)), Components(len(found))
    join_near(near, grams, untracked)
    for one in range(len(found)):
        for other in range(one):
            if grams.jaccard(one, other) >= THRESHOLD:
                exact.join(one, other)
    for one in range(len(found)):
        for other in range(one):
            if near.labels[one] == near.labels[other]:
                assert exact.labels[one] == exact.labels[other]
            # Equal sets share every band: nothing is left to chance.
            if grams.jaccard(one, other) == 1:
                assert near.labels[one] == near.labels[other]


def test_near_duplicates_at_the_threshold_are_rarely_missed() -> None:
    """300 pairs of a similarity of 0.8 or a little more; 2 in 1,000 are expected to be missed."""
    texts = []
    for n in range(300):
        text = story(n, 40).split()
        texts += [
            " ".join(text),
            " ".join([*text[:36], "other", *text[37:]]) if n % 2 else " ".join([*text, *story(9000 + n, 9).split()]),
        ]
    grams = WordIds(texts).grams(2, whole=True)
    assert all(0.8 <= grams.jaccard(2 * n, 2 * n + 1) <= 0.91 for n in range(300))
    components = Components(600)
    join_near(components, grams, untracked)
    missed = sum(components.labels[2 * n] != components.labels[2 * n + 1] for n in range(300))
    assert missed <= 4
    assert len(set(components.labels.tolist())) == 300 + missed


def test_grams_of_words() -> None:
    ids = WordIds(["the cat sat", "The cat, sat!", "cat the sat", "one", "", "it's well-known"])
    assert words("it's Well-known") == ["it's", "well-known"]
    pairs = ids.grams(2, whole=True)
    assert pairs.jaccard(0, 1) == 1
    assert pairs.jaccard(0, 2) == 0
    assert [len(pairs.of(n)) for n in range(6)] == [2, 2, 2, 1, 0, 1]
    assert [len(ids.grams(3, whole=False).of(n)) for n in range(6)] == [1, 1, 1, 0, 0, 0]
    assert ids.counts(slice(0, 2)) == {"the": 2, "cat": 2, "sat": 2}


def test_overlap_of_splits(written: Write, tokenizer: WordTokenizer, tmp_path: Path) -> None:
    train = [pair(story(n), "even" if n % 2 else "odd") for n in range(40)]
    written("set/train.jsonl", *train)
    written(
        "set/test.jsonl",
        train[3],
        pair(story(4), "even"),
        pair(story(5) + " more", "even"),
        pair(story(100)[:40] + " " + " ".join(story(6).split()[:14]), "odd"),
        pair(story(101), "neither"),
        pair(story(102), "odd"),
        pair(story(103), "odd"),
        *(pair(story(n), "neither") for n in range(104, 112)),
    )
    report = check([tmp_path / "set"], lambda: tokenizer, "words", 100)
    (found,) = report["overlap"]
    assert (found["seen"], found["scored"]) == ("train", "test")
    assert found["exact"]["lines"] == [1]
    assert found["question"]["lines"] == [1, 2]
    assert found["near"]["lines"] == [1, 2, 3]
    assert found["ngram"]["lines"] == [1, 2, 3, 4]
    assert found["unseen_labels"] == ["neither"]
    assert report["splits"]["train"]["labels"]["counts"] == {"odd": 20, "even": 20}


def test_label_balance() -> None:
    even = balance(rows_of([pair(str(n), "ab"[n % 2]) for n in range(20)]))
    assert even is not None
    assert (even["labels"], even["evenness"], even["majority_share"]) == (2, 1.0, 0.5)
    uneven = balance(rows_of([pair(str(n), "b" if n else "a") for n in range(20)]))
    assert uneven is not None
    assert (uneven["largest_over_smallest"], uneven["evenness"]) == (19.0, pytest.approx(0.2864, abs=1e-4))
    assert balance(rows_of([pair(str(n), story(n)) for n in range(20)])) is None
    assert balance(rows_of([{"text": "x"}])) is None


def test_domain_words_are_what_general_english_says_less_often() -> None:
    text = "the adapter and the tensor of the adapter were quantized and the tensor was served " * 20
    found = domain_words(WordIds([text]).counts(slice(0, 1)))
    names = [entry["word"] for entry in found["domain_words"]]
    assert set(names[:4]) == {"adapter", "tensor", "quantized", "served"}
    assert "of" not in names
    assert found["words"] == 20 * 15


def test_a_clean_set_gets_an_a_and_faults_cost_points(written: Write, tokenizer: WordTokenizer) -> None:
    clean = [pair(story(n), "ab"[n % 2]) for n in range(600)]
    best = check([written("a.jsonl", *clean)], lambda: tokenizer, "words", 100)["grade"]
    assert (best["grade"], best["points"], best["reasons"]) == ("A", 100.0, [])
    worse = check([written("b.jsonl", *clean, *clean[:200], *["{"] * 100)], lambda: tokenizer, "words", 100)["grade"]
    assert worse["points"] < 75
    assert any("100 malformed" in entry["reason"] for entry in worse["reasons"])
    assert any("repeat another exactly" in entry["reason"] for entry in worse["reasons"])
    nothing = check([written("c.jsonl", "{", "{")], lambda: tokenizer, "words", 100)
    assert grade(nothing) == nothing["grade"]
    assert (nothing["grade"]["grade"], nothing["grade"]["points"]) == ("F", 0.0)
    assert at_least("A", "B")
    assert not at_least("C", "B")


def test_the_page_stands_alone_and_trusts_no_row(written: Write, tokenizer: WordTokenizer) -> None:
    label = "<script>alert(1)</script> $x$"
    rows = [pair(story(n), label if n % 2 else "other") for n in range(40)]
    report = check([written("<b>.jsonl", *rows, "{", pair("w " * 300))], lambda: tokenizer, "words", 100)
    text = page(report)
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "<b>.jsonl" not in text
    assert text.count("<svg") == text.count('role="img"') == 3
    assert "currentColor" in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert json.loads(json.dumps(report)) == report
    assert "overlong" in show(report)
