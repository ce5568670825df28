"""What a fuser learns from: which candidates are shown, in which order, and what of them."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from coterie import ConfigError
from coterie.examples import Example, Text
from coterie.fusers.generative.prompt import Told
from coterie.training.fusing_lessons import Choosing, Lesson, Lessons, as_used, to_learn, without_loops

FIVE = Example("1", "Be brief.", "What?", tuple(Text(f"text {n}") for n in range(5)), "the reference", origin="made")
RANKS = [3, 1, 5, 2, 4]
BEST = ["text 1", "text 3", "text 0"]


def lesson(made: Lesson | str) -> Lesson:
    assert isinstance(made, Lesson)
    return made


# ---- choosing ---------------------------------------------------------------------------------


def test_the_best_are_shown_in_every_order() -> None:
    choosing = Choosing(top_k=3, noise=0.0)
    seen = Counter(lesson(choosing.to_learn(FIVE, RANKS, Random(n))).told.candidates for n in range(300))
    assert {tuple(sorted(order)) for order in seen} == {tuple(sorted(BEST))}
    assert len(seen) == 6
    assert min(seen.values()) > 25


def test_now_and_then_another_is_among_them() -> None:
    choosing = Choosing(top_k=3, noise=0.1)
    strangers = Counter[str]()
    for n in range(2000):
        shown = lesson(choosing.to_learn(FIVE, RANKS, Random(n))).told.candidates
        assert len(set(shown)) == 3
        strangers.update(set(shown) - set(BEST))
    assert set(strangers) == {"text 2", "text 4"}
    assert 150 < strangers.total() < 250


def test_prompts_set_aside_are_put_as_a_committee_puts_them() -> None:
    [made] = as_used([(FIVE, RANKS)], Choosing(noise=1.0), Counter())
    assert made == Lesson(Told("Be brief.", "What?", tuple(BEST)), "the reference", "made")


@pytest.mark.parametrize(("top_k", "shown"), [(0, 5), (1, 1), (2, 2), (9, 5)])
def test_how_many_are_shown(top_k: int, shown: int) -> None:
    choosing = Choosing(top_k, noise=1.0)
    assert len(lesson(choosing.to_learn(FIVE, RANKS, Random(1))).told.candidates) == shown
    assert len(lesson(choosing.as_used(FIVE, RANKS)).told.candidates) == shown


def test_lots_decide_among_tied_candidates_while_learning_only() -> None:
    choosing = Choosing(2, noise=0.0)
    tied = [1.0] * 5
    learned = Counter(t for n in range(500) for t in lesson(choosing.to_learn(FIVE, tied, Random(n))).told.candidates)
    assert len(learned) == 5
    assert min(learned.values()) > 150
    assert lesson(choosing.as_used(FIVE, tied)).told.candidates == ("text 0", "text 1")


def test_equal_seeds_give_equal_lessons() -> None:
    many = [(FIVE, RANKS)] * 20
    runs = [tuple(to_learn(many, Choosing(), seed, Counter())) for seed in (1, 1, 2)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
    prints = [Lessons(run, ()).fingerprint() for run in runs]
    assert prints[0] == prints[1]
    assert prints[0] != prints[2]


def test_a_question_alone_is_the_input_as_a_committee_hears_it() -> None:
    for asked in (Example("1", "What?", "", FIVE.candidates, "x"), Example("1", "", "What?", FIVE.candidates, "x")):
        told = lesson(Choosing().as_used(asked, RANKS)).told
        assert (told.instruction, told.input) == ("", "What?")


@pytest.mark.parametrize(
    ("example", "reason"),
    [
        (Example("1", "", "What?", FIVE.candidates, " "), "examples without a reference"),
        (Example("1", "", "What?", (), "x"), "examples without candidates"),
        (Example("1", "", "What?", (Text(" "), Text("")), "x"), "examples without candidates"),
        (Example("1", "", " ", FIVE.candidates, "x"), "examples without a question"),
    ],
)
def test_what_nothing_can_be_learned_from_is_left_out_and_counted(example: Example, reason: str) -> None:
    left_out: Counter[str] = Counter()
    both = [(example, RANKS[: len(example.candidates)]), (FIVE, RANKS)]
    assert len(list(to_learn(both, Choosing(), 1, left_out))) == 1
    assert len(list(as_used(both, Choosing(), left_out))) == 1
    assert left_out == {reason: 2}


def test_empty_candidates_are_not_shown() -> None:
    example = Example("1", "", "What?", (Text(""), Text("a"), Text("\n"), Text("b")), "x")
    assert lesson(Choosing().as_used(example, [1, 2, 3, 4])).told.candidates == ("a", "b")


def test_whether_the_reference_is_only_copied() -> None:
    assert Lesson(Told("", "q", ("a", " b\n")), "b").copies
    assert not Lesson(Told("", "q", ("a", "b c")), "b").copies


@pytest.mark.parametrize("settings", [{"top_k": -1}, {"noise": 1.5}, {"noise": -0.1}])
def test_impossible_choices_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Choosing(**settings)  # type: ignore[arg-type]


# ---- loops ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("I am. " * 4, "I am."),
        ("Well, I am. I am. I am. I am. I am.", "Well, I am."),
        ("I am. " * 3 + "Done.", None),  # three times is no loop
        ("of the a of the b of the c of the d", None),  # nor is it where something else stands between
        ("no " * 8, "no no"),
        ("no " * 7, None),
        ("a b c d e f g h " * 4, "a b c d e f g h"),
        ("a b c d e f g h i " * 4, None),  # nine words are longer than what is looked for
        ("x y\n\nx y x y   x y and so on", "x y"),
        ("first a b a b a b a b then c d e c d e c d e c d e", "first a b"),
        ("", None),
        ("one", None),
        ("  spaces  stay  ", None),
        ("日本 日本 日本 日本 日本 日本 日本 日本", "日本 日本"),
    ],
)
def test_a_text_ends_where_its_model_got_stuck(text: str, kept: str | None) -> None:
    assert without_loops(text) == (text if kept is None else kept)


def test_loops_are_cut_off_while_learning_only() -> None:
    example = Example("1", "", "What?", (Text("I am. " * 6), Text("b")), "x")
    assert set(lesson(Choosing().to_learn(example, [1, 2], Random(1))).told.candidates) == {"I am.", "b"}
    assert lesson(Choosing().as_used(example, [1, 2])).told.candidates == ("I am. " * 6, "b")
