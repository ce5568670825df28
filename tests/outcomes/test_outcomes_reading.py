"""Reading outcomes and battles: what is there, what is unknown, and what is refused with the row named."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny_outcomes
from coterie.errors import ConfigError
from coterie.outcomes.arena import battle_of
from coterie.outcomes.choosing import to_choose_by
from coterie.outcomes.lines import lines
from coterie.outcomes.outcome import Battles, Lessons, Outcomes
from coterie.outcomes.reading import read
from coterie.outcomes.rows import row_of
from coterie.outcomes.tally import tally

SHARED = Path(__file__).parents[3] / "shared" / "data"

ROWS = [
    {
        "prompt": "One?",
        "benchmark": "sums",
        "source_split": "train",
        "outcomes": {"a": {"score": 1, "cost": 0.5, "output_tokens": 7, "response": "1"}, "b": {"score": 0.25}},
    },
    {"prompt": "Two?", "outcomes": {"c": {"score": 0.0, "cost": None}, "a": {"score": None}}},
]


def outcomes(file: Path, rows: list[Any]) -> Outcomes:
    found = read([tiny_outcomes.written(file, rows)]).lessons.outcomes
    assert found is not None
    return found


def same(table: Any, wanted: list[list[float | None]]) -> None:
    """The table, with nothing for what is unknown."""
    np.testing.assert_array_equal(table, np.array(wanted, dtype=float))


# ---- outcomes -------------------------------------------------------------------------------------


def test_rows_become_tables_and_what_is_unknown_is_nan(tmp_path: Path) -> None:
    found = outcomes(tmp_path / "o.jsonl", ROWS)
    assert found.members == ("a", "b", "c")
    assert found.prompts == ("One?", "Two?")
    same(found.scores, [[1, 0.25, None], [None, None, 0]])
    same(found.costs_usd, [[0.5, None, None], [None, None, None]])
    same(found.output_tokens, [[7, None, None], [None, None, None]])
    assert (found.groups, found.splits, found.samples) == (("sums", ""), ("train", ""), ())
    assert found.places == (f"{tmp_path / 'o.jsonl'}:1", f"{tmp_path / 'o.jsonl'}:2")
    two = found.rows([1]).of(("c", "a"))
    same(two.scores, [[0, None]])
    assert (two.places, two.splits, two.groups) == (found.places[1:], ("",), ("",))


def test_every_kind_of_file_holds_the_same(tmp_path: Path) -> None:
    text = "\n".join(map(json.dumps, ROWS))
    contents = {
        "a.jsonl": f"\ufeff{text}\n\n".encode(),
        "b.json": json.dumps(ROWS, indent=2).encode(),
        "c.jsonl.gz": gzip.compress(text.encode()),
        "d.anything": gzip.compress(json.dumps(ROWS).encode()),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        found = read([str(tmp_path / name)]).lessons.outcomes
        assert found is not None
        assert (found.prompts, found.members) == (("One?", "Two?"), ("a", "b", "c"))
        assert found.places[1].endswith(f"{name}:2")


def test_files_and_folders_are_read_one_after_another(tmp_path: Path) -> None:
    one = tiny_outcomes.written(tmp_path / "one.jsonl", ROWS)
    tiny_outcomes.written(tmp_path / "two.jsonl", [{"prompt": "3", "outcomes": {"d": {"score": 1}}}])
    told: list[tuple[str, int, int]] = []
    found = read([one, str(tmp_path)], watch=lambda *now: told.append(now)).lessons.outcomes
    assert found is not None
    assert found.prompts == ("One?", "Two?", "One?", "Two?", "3")
    assert found.members == ("a", "b", "c", "d")
    same(found.scores[4:], [[None, None, None, 1]])
    assert {(done, total) for what, done, total in told if what == "reading two.jsonl"} == {
        ((tmp_path / "two.jsonl").stat().st_size,) * 2
    }


@pytest.mark.parametrize("zipped", [False, True])
def test_a_large_file_tells_how_far_it_was_read(zipped: bool, tmp_path: Path) -> None:
    content = f"{json.dumps(ROWS[1])}\n".encode() * 3000
    file = tmp_path / "large"
    file.write_bytes(gzip.compress(content) if zipped else content)
    told: list[tuple[int, int]] = []
    assert len(list(lines(file, lambda _, done, total: told.append((done, total))))) == 3000
    assert len(told) == 4
    assert told == sorted(told)
    assert told[-1] == (file.stat().st_size,) * 2


def test_samples_are_kept_and_their_mean_is_the_score() -> None:
    row = row_of({"prompt": "x", "outcomes": {"a": {"samples": [0, 1, 1]}, "b": {"score": 0.1, "scores": [1.0]}}})
    assert row.answers["a"].score == pytest.approx(2 / 3)
    assert [list(row.answers[name].samples) for name in "ab"] == [[0, 1, 1], [1]]
    assert row.answers["b"].score == pytest.approx(0.1)


def test_samples_stand_in_their_places(tmp_path: Path) -> None:
    rows = [{"prompt": "x", "outcomes": {"a": {"score": 1}}}, {"prompt": "y", "outcomes": {"b": {"samples": [0, 1]}}}]
    assert outcomes(tmp_path / "o.jsonl", rows).samples == (((), ()), ((), (0, 1)))


def test_tokens_of_a_whole_call_are_told_from_the_prompt() -> None:
    row = row_of({"prompt": "x" * 40, "outcomes": {"a": {"tokens": 25}, "b": {"tokens": 3}, "c": {"tokens": None}}})
    assert [row.answers[name].output_tokens for name in "ab"] == [15, 0]
    assert math.isnan(row.answers["c"].output_tokens)


def test_of_a_conversation_the_last_user_turn_is_the_prompt() -> None:
    turns = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": [{"type": "text", "text": "last"}, {"type": "image_url", "image_url": {}}]},
        {"role": "assistant", "content": None},
    ]
    assert row_of({"prompt": turns, "outcomes": {"a": {"score": 1}}}).prompt == "last"


def outcome(**of: Any) -> dict[str, Any]:
    return {"prompt": "x", "outcomes": {"a": of}}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (json.dumps(outcome(score=True)), "the score of 'a' is True: write 1"),
        (json.dumps(outcome(score="0.5")), "the score of 'a' is a number, not '0.5'"),
        ('{"prompt": "x", "outcomes": {"a": {"score": NaN}}}', "the score of 'a' is nan: write null"),
        ('{"prompt": "x", "outcomes": {"a": {"score": -Infinity}}}', "the score of 'a' is -inf"),
        (f'{{"prompt": "x", "outcomes": {{"a": {{"score": 1{"0" * 400}}}}}}}', "the score of 'a' is inf"),
        (json.dumps(outcome(score=1, cost=-0.1)), "the cost of 'a' is -0.1, and cannot be below 0"),
        (json.dumps(outcome(score=1, cost=[])), r"the cost of 'a' is a number, not \[\]"),
        (json.dumps(outcome(score=1, tokens=-5)), "the tokens of 'a' is -5, and cannot be below 0"),
        (json.dumps(outcome(samples=[1, None])), "a sample's score of 'a' is unknown: leave it out"),
        (json.dumps(outcome(samples="11")), "the samples of 'a' are a list of scores, not '11'"),
        ('{"prompt": "x", "outcomes": {"a": 1}}', "what 'a' achieved is a mapping with its 'score', not 1"),
        ('{"prompt": "x", "outcomes": {}}', "'outcomes' is a mapping of members"),
        ('{"prompt": "x", "outcomes": {" ": {"score": 1}}}', "a member's name is a text, not ' '"),
        ('{"prompt": " \\n", "outcomes": {"a": {"score": 1}}}', "the prompt is empty"),
        ('{"prompt": "\\ud83d", "outcomes": {"a": {"score": 1}}}', "the prompt holds half a character"),
        ('{"prompt": 3, "outcomes": {"a": {"score": 1}}}', "the prompt is a text or a list of turns, not 3"),
        ('{"prompt": [{"role": "user"}], "outcomes": {"a": {}}}', "a turn of the prompt has no 'content'"),
        ('{"prompt": [{"role": "user", "content": 3}], "outcomes": {"a": {}}}', "a turn's content is a text"),
        ('{"prompt": "x", "prompt": "y", "outcomes": {}}', "the key 'prompt' stands twice in one object"),
        ('{"prompt": "x", "outcomes": {"a": {}, "a": {}}}', "the key 'a' stands twice in one object"),
        ('{"prompt": "x"', "is no JSON"),
        ("[1]", "a record is a mapping, not"),
    ],
)
def test_a_wrong_row_is_refused_and_named(line: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "o.jsonl").write_text(f"{json.dumps(ROWS[0])}\n\n{line}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=says) as caught:
        read([str(tmp_path / "o.jsonl")])
    assert f"{tmp_path / 'o.jsonl'}:3" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b'{"instruction": "x"}\n', "none of the keys 'outcomes', 'model_a', 'event' is in it, but 'instruction'"),
        (b"3\n", "none of the keys .* but nothing"),
        (b"\x1f\x8bno gzip", "cannot be read"),
        (b'{"prompt": "\xff"}', "cannot be read"),
    ],
)
def test_a_file_that_holds_nothing_of_ours_is_refused(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "o.jsonl").write_bytes(content)
    with pytest.raises(ConfigError, match=says):
        read([str(tmp_path / "o.jsonl")])


def test_a_missing_file_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no file"):
        read([str(tmp_path / "nothing.txt")])
    with pytest.raises(ConfigError, match="holds no file that ends in"):
        read([str(tmp_path)])


@given(
    st.dictionaries(st.sampled_from("abc"), st.floats(0, 1), min_size=1),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip),
)
def test_what_is_written_is_read(scores: Mapping[str, float], prompt: str) -> None:
    record = {"prompt": prompt, "outcomes": {name: {"score": score} for name, score in scores.items()}}
    row = row_of(json.loads(json.dumps(record)))
    assert row.prompt == prompt
    assert {name: answer.score for name, answer in row.answers.items()} == scores


# ---- battles --------------------------------------------------------------------------------------


def test_battles_name_their_winner_or_have_the_arenas_columns(tmp_path: Path) -> None:
    def arena(*won: int, prompt: str = '["First turn?", "Second"]') -> dict[str, Any]:
        columns = dict(zip(("winner_model_a", "winner_model_b", "winner_tie"), won, strict=True))
        return {"id": 1, "model_a": "x", "model_b": "y", "prompt": prompt, **columns}

    rows = [
        {"prompt": "p", "model_a": "x", "model_b": "y", "winner": "model_a"},
        {"prompt": "p", "model_a": "z", "model_b": "x", "winner": "model_b"},
        {"prompt": "p", "model_a": "y", "model_b": "z", "winner": "tie"},
        arena(0, 1, 0),
        arena(0, 0, 1, prompt="[not json"),
        arena(1, 0, 0, prompt="[1, 2, 3]"),
    ]
    found = read([tiny_outcomes.written(tmp_path / "b.jsonl", rows)]).lessons
    assert found.outcomes is None
    assert isinstance(found.battles, Battles)
    assert found.battles.members == ("x", "y", "z")
    assert found.battles.first.tolist() == [0, 2, 1, 0, 0, 0]
    assert found.battles.second.tolist() == [1, 0, 2, 1, 1, 1]
    assert found.battles.result.tolist() == [1, 0, 0.5, 0, 0.5, 1]
    assert found.battles.prompts == ("p", "p", "p", "First turn?", "[not json", "[1, 2, 3]")
    assert found.battles.places[3].endswith("b.jsonl:4")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"winner": "x"}, "the winner is one of model_a, model_b, tie"),
        ({"winner": None}, "the winner is one of"),
        ({"model_b": "x"}, "'x' cannot be compared with itself"),
        ({"model_b": None}, "a member's name is a text, not None"),
        ({"prompt": ""}, "the prompt is empty"),
    ],
)
def test_a_wrong_battle_is_refused(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        battle_of({"prompt": "p", "model_a": "x", "model_b": "y", "winner": "tie", **changed})


def test_columns_of_a_battle_that_nobody_or_two_have_won_are_refused() -> None:
    for columns in ({"winner_model_a": 1, "winner_model_b": 1, "winner_tie": 0}, dict.fromkeys(("winner_model_a",), 1)):
        with pytest.raises(ValueError, match="winner"):
            battle_of({"prompt": "p", "model_a": "x", "model_b": "y", **columns})


# ---- counts, and what is enough -------------------------------------------------------------------


def test_what_is_missing_and_what_stands_twice_is_counted(tmp_path: Path) -> None:
    rows = [*ROWS, {"prompt": " ONE?", "outcomes": {"a": {"score": 1, "cost": 0.1}}}]
    found = tally(Lessons(outcomes(tmp_path / "o.jsonl", rows)))
    assert (found.prompts, found.battles, found.repeated) == (3, 0, 1)
    assert found.unscored == {"a": 1, "b": 2, "c": 2}
    assert found.unpriced == {"b": 1, "c": 1}
    assert "1 prompts stand there again" in found.summary()
    assert "no score of b on 2" in found.summary()


def test_members_are_chosen_in_outcomes_and_battles(tmp_path: Path) -> None:
    fights = [
        {"prompt": "p", "model_a": "a", "model_b": "z", "winner": "tie"},
        {"prompt": "q", "model_a": "z", "model_b": "c", "winner": "model_a"},
    ]
    files = [tiny_outcomes.written(tmp_path / name, rows) for name, rows in (("o.jsonl", ROWS), ("b.jsonl", fights))]
    lessons = read(files).lessons
    assert lessons.members == ("a", "b", "c", "z")
    chosen = lessons.of(("z", "c"))
    assert chosen.outcomes is not None
    assert chosen.battles is not None
    assert chosen.outcomes.members == ("c",)
    assert (chosen.battles.members, chosen.battles.prompts) == (("z", "c"), ("q",))
    assert (chosen.battles.first.tolist(), chosen.battles.second.tolist()) == ([0], [1])
    assert lessons.of(("a", "b")).battles is None
    with pytest.raises(ConfigError, match=r"nothing is known of \['d'\]"):
        lessons.of(("a", "d"))
    with pytest.raises(ConfigError, match="not among the members of these battles"):
        Battles(("a",), (), *(np.zeros(0, dtype=np.int64),) * 2, np.zeros(0)).of(("b",))


def test_what_is_enough_to_choose_by(tmp_path: Path) -> None:
    found = outcomes(tmp_path / "o.jsonl", ROWS)
    assert to_choose_by(Lessons(found), "x") is found
    for lessons, says in (
        (Lessons(None), "there are none"),
        (Lessons(found.of(("a",))), "are not several"),
        (Lessons(found.rows([1]).of(("a", "b"))), "no score is known"),
        (Lessons(found.rows([1])), "all 1 known scores are 0.0"),
    ):
        with pytest.raises(ConfigError, match=says):
            to_choose_by(lessons, "x")


# ---- real files -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "prompts", "members", "repeated"),
    [("gsm8k_openai4", 923, 4, 0), ("routerarena2", 582, 2, 0), ("routerbench11", 2242, 11, 2)],
)
def test_real_files_are_read_whole(name: str, prompts: int, members: int, repeated: int) -> None:
    file = SHARED / f"routing_{name}.dev.jsonl.gz"
    if not file.is_file():
        pytest.skip("the data are not here")
    lessons = read([str(file)]).lessons
    assert lessons.outcomes is not None
    assert lessons.outcomes.scores.shape == (prompts, members)
    assert not np.isnan(lessons.outcomes.scores).any()
    assert tally(lessons).repeated == repeated
