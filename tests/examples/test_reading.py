"""Reading examples: every shape, every kind of file, and what is broken named by its number."""

from __future__ import annotations

import gzip
import json
import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie import ConfigError
from coterie.examples import Comparison, Example, Text, read
from coterie.examples.example import PREFERENCE
from coterie.examples.reading import example_of

SHARED = Path(__file__).parents[3] / "shared" / "data"
"""Real data beside the project, where there is any."""

CANDIDATES = [
    {
        "model": "alpaca",
        "text": "one",
        "scores": {"bartscore": -2.5, "bleu": None},
        "decoding_method": "top_p_sampling",
    },
    {"model": "vicuna", "text": "two", "scores": {"bartscore": -3.25}},
    {"model": "koala", "text": "", "scores": {}},
]
RESULTS = {"alpaca,vicuna": "A is better", "alpaca,koala": "B is better", "vicuna,koala": "Same bad"}
COMPARED = (Comparison(0, 1, "a"), Comparison(0, 2, "b"), Comparison(1, 2, "same_bad"))
MIX: dict[str, Any] = {
    "id": "unified_chip2/69962",
    "instruction": "Translate. ",
    "input": "hello",
    "output": "bonjour",
    "candidates": CANDIDATES,
}
PAIR: dict[str, Any] = {
    "source": "alpaca_eval_v1",
    "prompt": "Why?",
    "chosen": "Because.",
    "rejected": "No.",
    "chosen_model": "ann",
    "label_type": "human",
}
LABELLED: dict[str, Any] = {
    "prompt_id": "p-1",
    "category": "Chat",
    "conversation": [{"role": "user", "content": "Why?"}],
    "candidates": [
        {"model": "ann", "text": "x", "label": "not_best"},
        {"model": "bob", "text": "y", "label": "best"},
        {"model": "cat", "text": "z"},
    ],
}
JUDGED: dict[str, Any] = {
    "instruction_id": "ae-1",
    "instruction": "Why?",
    "dataset": "helpful_base",
    "candidates": [{"model": "ann", "text": "x"}, {"model": "bob", "text": "y"}, {"model": "cat", "text": "z"}],
    "pairwise": [
        {"model_a": "ann", "model_b": "bob", "preference": "b", "annotator": "gpt4"},
        {"model_a": "ann", "model_b": "cat", "preference": "tie", "annotator": "gpt4"},
    ],
}
SHAPES = {"mix": MIX, "pair": PAIR, "labelled": LABELLED, "judged": JUDGED}


def written(place: Path, records: Iterable[object], *, as_list: bool = False, zipped: bool = False) -> str:
    lines = list(records)
    text = json.dumps(lines) if as_list else "".join(f"{json.dumps(record)}\n" for record in lines)
    place.write_bytes(gzip.compress(text.encode()) if zipped else text.encode())
    return str(place)


# ---- the shapes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("results", "compared"),
    [
        (RESULTS, COMPARED),
        (json.dumps(RESULTS), COMPARED),
        (None, ()),
        ("null", ()),
        ("", ()),
        ({}, ()),
        ({"alpaca,gone": "A is better"}, ()),
        ({"alpaca,vicuna": " Same good "}, (Comparison(0, 1, "same_good"),)),
    ],
    ids=["mapping", "string", "none", "null", "empty", "nothing", "stranger", "spaces"],
)
def test_mix_instruct(results: object, compared: tuple[Comparison, ...]) -> None:
    example = example_of(MIX | {"cmp_results": results})
    scored = [
        Text("one", "alpaca", {"bartscore": -2.5}),
        Text("two", "vicuna", {"bartscore": -3.25}),
        Text("", "koala"),
    ]
    assert example == Example(
        "unified_chip2/69962",
        instruction="Translate. ",
        input="hello",
        candidates=tuple(scored),
        output="bonjour",
        comparisons=compared,
        origin="unified_chip2",
    )
    assert example.source == "Translate. hello"


def test_a_preference_pair() -> None:
    example = example_of(PAIR, "7")
    assert (example.id, example.source, example.origin, example.label) == ("7", "Why?", "alpaca_eval_v1", "human")
    assert [(t.text, t.model, dict(t.scores)) for t in example.candidates] == [
        ("Because.", "ann", {PREFERENCE: 1.0}),
        ("No.", "", {PREFERENCE: 0.0}),
    ]
    assert example.comparisons == (Comparison(0, 1, "a", "human"),)


def test_a_preference_pair_of_turns() -> None:
    turns = {
        "prompt": [{"role": "system", "content": "Be brief. "}, {"role": "user", "content": "Why?"}],
        "chosen": [{"role": "assistant", "content": "Because."}],
        "rejected": [{"role": "assistant", "content": [{"type": "text", "text": "No."}]}],
    }
    example = example_of(turns)
    assert (example.source, [t.text for t in example.candidates]) == ("Be brief. Why?", ["Because.", "No."])


def test_a_labelled_list_compares_the_best_with_those_known_not_to_be() -> None:
    example = example_of(LABELLED)
    assert (example.id, example.source, example.origin) == ("p-1", "Why?", "Chat")
    assert [dict(t.scores) for t in example.candidates] == [{PREFERENCE: 0.0}, {PREFERENCE: 1.0}, {}]
    assert example.comparisons == (Comparison(1, 0, "a"),)


def test_a_conversation_is_its_turns_as_a_judge_reads_them() -> None:
    turns = [
        {"role": "user", "content": "Who?"},
        {"role": "assistant", "content": "Goethe."},
        {"role": "user", "content": "When?"},
    ]
    assert example_of(LABELLED | {"conversation": turns}).source == "USER: Who?\nASSISTANT: Goethe.\nUSER: When?"


def test_a_judged_list() -> None:
    example = example_of(JUDGED)
    assert (example.id, example.source, example.origin) == ("ae-1", "Why?", "helpful_base")
    assert example.comparisons == (Comparison(0, 1, "b", "gpt4"), Comparison(0, 2, "same_good", "gpt4"))


def test_our_own_list_leaves_out_what_is_not_known() -> None:
    example = example_of({"input": "Why?", "candidates": [{"text": "x"}, {"text": "y", "model": None}]}, "3")
    assert example == Example("3", input="Why?", candidates=(Text("x"), Text("y")))
    with_nulls = {"id": None, "instruction": None, "input": None, "output": None, "origin": None, "label": None}
    assert example_of(with_nulls | {"candidates": []}, "4") == Example("4")
    assert example_of({"id": 0, "candidates": []}, "5").id == "0"


@pytest.mark.parametrize(
    ("record", "origin"),
    [
        ({"id": "unified_chip2/1"}, "unified_chip2"),
        ({"id": "17"}, ""),
        ({}, ""),
        ({"id": "a/1", "origin": "owner/repository"}, "owner/repository"),
    ],
)
def test_where_an_example_comes_from(record: dict[str, str], origin: str) -> None:
    assert example_of(record | {"candidates": []}, "9").origin == origin


def test_scores_that_are_no_numbers_are_not_known() -> None:
    scores = {"a": math.nan, "b": "0.5", "c": None, "d": 1, "e": -math.inf}
    (text,) = example_of({"candidates": [{"text": "x", "scores": scores}]}).candidates
    assert dict(text.scores) == {"b": 0.5, "d": 1.0, "e": -math.inf}


def test_two_texts_of_one_model_cannot_be_told_apart_by_name() -> None:
    twice = [{"model": "ann", "text": "x"}, {"model": "ann", "text": "y"}, {"model": "bob", "text": "z"}]
    mix = example_of({"candidates": twice, "cmp_results": {"ann,bob": "A is better"}})
    assert mix.comparisons == ()
    with pytest.raises(ValueError, match="'ann' is no candidate's model"):
        example_of(JUDGED | {"candidates": twice})


# ---- what is broken ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"question": "Why?"}, "none of the keys chosen, conversation, pairwise, candidates is in it, but 'question'"),
        ({}, "but nothing"),
        ([1], "no mapping, but \\[1\\]"),
        ("text", "no mapping, but 'text'"),
        (None, "no mapping, but None"),
        ({"prompt": "Why?", "chosen": "x"}, "there is no 'rejected'"),
        ({"chosen": "x", "rejected": "y"}, "there is no 'prompt'"),
        ({"prompt": None, "chosen": "x", "rejected": "y"}, "a prompt is a text or a list of turns, not None"),
        ({"prompt": "Why?", "chosen": "x", "rejected": 3}, "a candidate is a text, not 3"),
        ({"candidates": [{"model": "ann"}]}, "there is no 'text'"),
        ({"candidates": [{"text": None}]}, "a candidate is a text, not None"),
        ({"candidates": ["x"]}, "string indices"),
        ({"candidates": [{"text": "x", "scores": {"bleu": "high"}}]}, "'high'"),
        (MIX | {"cmp_results": "{"}, "Expecting"),
        (MIX | {"cmp_results": {"alpaca,vicuna": "A wins"}}, "'A wins' is no verdict; there are 'A is better'"),
        (JUDGED | {"pairwise": [{"model_a": "ann", "model_b": "zoe", "preference": "a"}]}, "'zoe' is no candidate's"),
        (JUDGED | {"pairwise": [{"model_a": "ann", "model_b": "bob", "preference": "A"}]}, "'A' is no preference"),
        (LABELLED | {"conversation": ["Why?"]}, "a turn has a role and a content"),
        (LABELLED | {"conversation": [{"role": "user"}]}, "a turn has a role and a content"),
    ],
)  # fmt: skip
def test_a_broken_record_names_its_number_and_what_is_wrong(tmp_path: Path, record: object, said: str) -> None:
    place = written(tmp_path / "data.jsonl", [PAIR, record, PAIR])
    examples = read(place)
    assert next(examples).id == "1"
    with pytest.raises(ConfigError, match=f"record 2 of .*data.jsonl' is no example: .*{said}"):
        next(examples)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"candidates": []}\n{"candidates"\n', "line 2 of .* is no JSON"),
        (b'[{"candidates": []}, ', "data.jsonl' is no JSON"),
        (b'["a"]\n["b"]\n', "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b'{"candidates": [{"text": "\xff"}]}', "cannot be read"),
        (b"\x1f\x8b garbage", "cannot be read"),
        (gzip.compress(b'{"candidates": []}\n' * 50)[:-9], "cannot be read"),
    ],
    ids=["line", "list", "lists", "deep", "encoding", "no gzip", "cut off"],
)
def test_a_broken_file_says_where(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "data.jsonl").write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        list(read(str(tmp_path / "data.jsonl")))


@pytest.mark.parametrize(
    "name", ["absent.jsonl", "./owner/repository/file.jsonl", "/tmp", "owner/repository/file.txt", ""]
)
def test_a_file_that_is_not_there_is_said_so(name: str) -> None:
    with pytest.raises(ConfigError, match="is no file"):
        list(read(name))


# ---- the files --------------------------------------------------------------------------------


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "zipped"])
@pytest.mark.parametrize("as_list", [False, True], ids=["lines", "list"])
def test_every_kind_of_file_gives_the_same_examples(tmp_path: Path, as_list: bool, zipped: bool) -> None:
    for name in ("data.json", "data.jsonl.gz", "without_an_ending"):
        place = written(tmp_path / name, SHAPES.values(), as_list=as_list, zipped=zipped)
        assert list(read(place)) == [example_of(record, str(n)) for n, record in enumerate(SHAPES.values(), 1)]


def test_empty_lines_and_a_byte_order_mark_are_no_records(tmp_path: Path) -> None:
    lines = tmp_path / "data.jsonl"
    lines.write_text(f"\ufeff\n\n{json.dumps(PAIR)}\n \n{json.dumps(MIX)}", encoding="utf-8")
    assert [example.source for example in read(str(lines))] == ["Why?", "Translate. hello"]
    listed = tmp_path / "data.json"
    listed.write_text(f"\ufeff\n  [{json.dumps(PAIR)}]", encoding="utf-8")
    assert [example.source for example in read(str(listed))] == ["Why?"]


def test_a_file_of_nothing_holds_no_example(tmp_path: Path) -> None:
    for content in ("", "\n\n", "[]"):
        (tmp_path / "data.jsonl").write_text(content, encoding="utf-8")
        assert list(read(str(tmp_path / "data.jsonl"))) == []


def test_reading_a_part_leaves_no_file_open(tmp_path: Path) -> None:
    examples = read(written(tmp_path / "data.jsonl", [PAIR] * 1000, zipped=True))
    assert next(examples).source == "Why?"
    examples.close()  # type: ignore[attr-defined]


TEXTS = st.text(st.characters(exclude_categories=()), max_size=30)


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5), TEXTS, TEXTS, TEXTS)
def test_any_text_comes_through_unchanged(
    written_by: list[tuple[str, str]], instruction: str, asked: str, output: str
) -> None:
    record = {
        "instruction": instruction,
        "input": asked,
        "output": output,
        "candidates": [{"text": text, "model": model} for text, model in written_by],
    }
    example = example_of(json.loads(json.dumps(record)))
    assert [(t.text, t.model) for t in example.candidates] == written_by
    assert (example.source, example.output) == (instruction + asked, output)


@given(st.dictionaries(st.sampled_from(["chosen", "prompt", "candidates", "pairwise", "id", "input"]), st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)))  # fmt: skip
def test_any_record_is_an_example_or_refused(record: dict[str, Any]) -> None:
    try:
        example = example_of(record, "1")
    except (KeyError, TypeError, ValueError, AttributeError, ConfigError):
        return
    assert all(isinstance(text.text, str) for text in example.candidates)
    assert isinstance(example.source, str)
    assert all(0 <= c.a < len(example.candidates) > c.b >= 0 for c in example.comparisons)


# ---- real data --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "records", "verdicts"),
    [
        ("preference_pairs", 17_718, {"a"}),
        ("rmb_best_of_n", 1467, {"a"}),
        ("alpaca_eval", 579, {"a", "b", "same_good"}),
    ],
)
def test_real_files_of_every_shape(name: str, records: int, verdicts: set[str]) -> None:
    place = SHARED / f"{name}.dev.jsonl.gz"
    if not place.is_file():
        pytest.skip(f"the data set {name} is not beside the project")
    examples = list(read(str(place)))
    assert len(examples) == records
    said = Counter(comparison.verdict for example in examples for comparison in example.comparisons)
    assert set(said) == verdicts
    assert all(example.source and len(example.candidates) > 1 and example.comparisons for example in examples)
    assert all(example.origin for example in examples)
