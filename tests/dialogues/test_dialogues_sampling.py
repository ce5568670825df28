"""Samples: whole dialogues, of every domain, the same every time; and fingerprints of what was drawn."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from official_shapes import FILES, written

from coterie import ConfigError
from coterie.dialogues import Dialogue, Question, fingerprint, read, record_of, sample
from coterie.dialogues.fields import Field
from coterie.dialogues.layout import layout
from coterie.dialogues.origin import Origin


def made(id_: str, turns: int, domain: str = "", dataset: str = "mine") -> Dialogue:
    return Dialogue(dataset, id_, tuple(Question(f"{id_}.{n}?", ("yes",)) for n in range(turns)), domain)


POOL = [
    made(f"{domain}{n}", 3 + n % 5, domain) for domain, n_of in (("a", 40), ("b", 20), ("c", 5)) for n in range(n_of)
]
DRAWN_FROM = st.lists(
    st.builds(made, st.uuids().map(str), st.integers(1, 6), st.sampled_from("abc"), st.sampled_from(["x", "y"])),
    min_size=1,
    max_size=25,
)


def turns_of(dialogues: tuple[Dialogue, ...]) -> int:
    return sum(len(dialogue.questions) for dialogue in dialogues)


def test_each_domain_gives_its_share() -> None:
    drawn = sample(POOL, 100)
    assert {dialogue.domain for dialogue in drawn[:3]} == {"a", "b", "c"}
    share = {
        domain: turns_of(tuple(d for d in drawn if d.domain == domain))
        / turns_of(tuple(d for d in POOL if d.domain == domain))
        for domain in "abc"
    }
    assert max(share.values()) - min(share.values()) <= 7 / 25  # one dialogue of the smallest domain


def test_another_seed_draws_others() -> None:
    drawn = [sample(POOL, 60, seed) for seed in range(5)]
    assert len({fingerprint(chosen) for chosen in drawn}) == 5
    assert sample(POOL, 60, 3) == drawn[3]


def test_the_draw_is_even() -> None:
    first = Counter(sample(POOL, 1, seed)[0].domain for seed in range(300))
    assert all(first[domain] > 60 for domain in "abc")
    of_a = Counter(d.id for seed in range(300) for d in sample(POOL, 9, seed) if d.domain == "a")
    assert len(of_a) > 30


def test_a_sample_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1 turn, not 0"):
        sample(POOL, 0)
    assert sample([], 5) == ()


@given(DRAWN_FROM, st.integers(1, 40), st.integers(1, 40), st.integers(0, 3), st.randoms(use_true_random=False))
def test_a_sample_is_whole_and_stable(
    pool: list[Dialogue], turns: int, more: int, seed: int, rng: random.Random
) -> None:
    drawn = sample(pool, turns, seed)
    assert len(set(drawn)) == len(drawn)
    assert set(drawn) <= set(pool)
    assert turns_of(drawn) >= min(turns, turns_of(tuple(pool)))
    assert turns_of(drawn[:-1]) < turns
    assert sample(pool, turns + more, seed)[: len(drawn)] == drawn
    shuffled = list(pool)
    rng.shuffle(shuffled)
    assert sample(shuffled, turns, seed) == drawn
    assert sorted(sample(pool, 1000, seed), key=pool.index) == pool


def test_equal_dialogues_are_both_there() -> None:
    twin = made("a", 2)
    assert sample([twin, twin], 4) == (twin, twin)


# ---- fingerprints -----------------------------------------------------------------------------


def test_a_fingerprint_is_of_content_and_order() -> None:
    one, two = made("a", 2), made("b", 2)
    assert fingerprint([one, two]) == fingerprint((one, two))
    different: list[list[Dialogue]] = [
        [], [one], [one, two], [two, one], [made("a", 3), two], [made("a", 2, "x"), two]
    ]  # fmt: skip
    assert len(set(map(fingerprint, different))) == len(different)


def test_a_fingerprint_stays_what_it_was() -> None:
    # Results were printed beside fingerprints: a new field must not change those of dialogues that are without it.
    turns = '[{"answers": ["yes"], "question": "a.0?"}]'
    line = f'{{"conversation_id": "a", "dataset": "mine", "domain": "x", "turns": {turns}}}\n'
    assert fingerprint([made("a", 1, "x")]) == hashlib.sha256(line.encode()).hexdigest()


TEXT = st.text(st.characters(exclude_categories=()), min_size=1, max_size=12).map(str.strip).filter(bool)
MANY = st.lists(TEXT, max_size=3).map(tuple)


@st.composite
def questions(draw: st.DrawFn) -> Question:
    answers = draw(MANY)
    kinds = draw(st.just(()) | st.tuples(*[TEXT] * len(answers)))
    return Question(draw(TEXT), answers, draw(MANY), draw(MANY), draw(MANY), kinds)


@given(
    st.builds(
        Dialogue,
        TEXT.filter(lambda name: name != "inscit"),
        TEXT,
        st.lists(questions(), min_size=1, max_size=3).map(tuple),
        st.text(max_size=5).map(str.strip),
        st.text(max_size=5).map(str.strip),
        st.text(max_size=5).map(str.strip),
        st.text(max_size=5).map(str.strip),
        st.integers(0, 3),
    )
)
def test_a_record_is_read_as_the_dialogue_it_was_made_of(dialogue: Dialogue) -> None:
    assert list(layout(Field(record_of(dialogue)), Origin("own.jsonl"))) == [dialogue]
    assert len(fingerprint([dialogue])) == 64


@pytest.mark.parametrize("what", FILES)
def test_every_data_set_can_be_written_in_the_layout_of_the_project(tmp_path: Path, what: str) -> None:
    found = read(written(tmp_path, *FILES[what]))
    again = read(written(tmp_path, "own.json", [record_of(dialogue) for dialogue in found]))
    assert again == found
    assert fingerprint(again) == fingerprint(found)
