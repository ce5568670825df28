"""Two sides of the prompts: by their texts alone, the same for all data, and never one prompt on both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.errors import ConfigError
from coterie.examples import Example
from coterie.examples import held_out as held_out_examples
from coterie.examples.split import text_key
from coterie.outcomes.outcome import Battles, Lessons, Outcomes
from coterie.outcomes.reading import read
from coterie.outcomes.split import Sides, apart, by_source, folds, held_out

SHARED = Path(__file__).parents[3] / "shared" / "data"

PROMPTS = tuple(f"What is {n} + {n}?" for n in range(200))


def outcomes(prompts: tuple[str, ...] = PROMPTS, splits: tuple[str, ...] = (), file: str = "o") -> Outcomes:
    scores = np.arange(2.0 * len(prompts)).reshape(len(prompts), 2)
    unknown = np.full(scores.shape, np.nan)
    places = tuple(f"{file}:{n}" for n in range(1, len(prompts) + 1))
    return Outcomes(("a", "b"), prompts, scores, unknown, unknown, places=places, splits=splits)


def battles(prompts: tuple[str, ...]) -> Battles:
    n = len(prompts)
    return Battles(("a", "b"), prompts, np.zeros(n, dtype=np.int64), np.ones(n, dtype=np.int64), np.ones(n))


def prompts_of(lessons: Lessons) -> set[str]:
    return {text_key(prompt) for part in (lessons.outcomes, lessons.battles) if part for prompt in part.prompts}


def whole(sides: Sides, lessons: Lessons) -> bool:
    """True where both sides together are everything, and nothing is on both."""
    learned, measured = prompts_of(sides.learned), prompts_of(sides.measured)
    return learned | measured == prompts_of(lessons) and not learned & measured


def test_a_share_is_set_aside_as_of_examples() -> None:
    sides = held_out(Lessons(outcomes()), 0.3)
    aside = held_out_examples([Example(str(n), input=prompt) for n, prompt in enumerate(PROMPTS)], 0.3)[1]
    assert sides.measured.outcomes is not None
    assert list(sides.measured.outcomes.prompts) == [example.source for example in aside]
    assert 0.2 < len(aside) / len(PROMPTS) < 0.4
    rows = [PROMPTS.index(prompt) for prompt in sides.measured.outcomes.prompts]
    np.testing.assert_array_equal(sides.measured.outcomes.scores, outcomes().scores[rows])


@given(st.lists(st.text(max_size=4), min_size=1, max_size=30), st.floats(0.01, 0.99), st.text(max_size=2))
def test_spellings_of_one_prompt_and_its_battles_are_on_one_side(texts: list[str], share: float, salt: str) -> None:
    prompts = tuple(texts)
    lessons = Lessons(outcomes((*prompts, *(text.upper() + " " for text in prompts))), battles(prompts))
    assert whole(held_out(lessons, share, salt=salt), lessons)


def test_folds_measure_every_prompt_once() -> None:
    lessons = Lessons(outcomes(), battles(PROMPTS[:50]))
    found = list(folds(lessons, 4))
    assert all(whole(sides, lessons) for sides in found)
    measured = [prompt for sides in found if sides.measured.outcomes for prompt in sides.measured.outcomes.prompts]
    assert sorted(measured) == sorted(PROMPTS)
    salted = next(iter(folds(lessons, 4, salt="other")))
    assert prompts_of(salted.measured) != prompts_of(found[0].measured)


def test_shares_and_folds_that_cannot_be() -> None:
    for share in (0.0, 1.0, -1.0, float("nan")):
        with pytest.raises(ConfigError, match="held_out is a share between 0 and 1"):
            held_out(Lessons(outcomes()), share)
    with pytest.raises(ConfigError, match="at least 2 folds, not 1"):
        next(iter(folds(Lessons(outcomes()), 1)))


def test_the_files_own_split() -> None:
    splits = tuple("test" if n % 5 == 0 else "train" for n in range(len(PROMPTS)))
    lessons = Lessons(outcomes(splits=splits), battles(("another",)))
    sides = by_source(lessons, "test")
    assert whole(sides, lessons)
    assert sides.measured.outcomes is not None
    assert len(sides.measured.outcomes) == 40
    assert sides.learned.battles is not None


def test_a_split_that_the_files_do_not_name() -> None:
    for lessons, says in (
        (Lessons(outcomes()), "are none at all"),
        (Lessons(outcomes(splits=("train",) * 200)), "are train"),
        (Lessons(outcomes(splits=("test",) * 200)), "are test"),
        (Lessons(None, battles(("x",))), "are none at all"),
        (Lessons(outcomes(("x", "y"), ("", "dev"))), r"are \(none\), dev"),
    ):
        with pytest.raises(ConfigError, match=f"cannot be split by 'test'.*{says}"):
            by_source(lessons, "test")


def test_a_prompt_on_both_sides_is_refused_with_its_rows() -> None:
    learned, measured = outcomes(("one", "two", "three")), outcomes(("four", " TWO", "Three"), file="m")
    with pytest.raises(ConfigError) as caught:
        apart(Lessons(learned), Lessons(measured))
    assert "o:2 and m:2; o:3 and m:3." in str(caught.value)
    with pytest.raises(ConfigError, match="row 1 to learn from and m:2"):
        apart(Lessons(None, battles(("two",))), Lessons(measured))
    with pytest.raises(ConfigError, match="row 5 to measure, and 195 more"):
        apart(Lessons(outcomes()), Lessons(None, battles(PROMPTS)))
    assert apart(Lessons(learned), Lessons(outcomes(("four",)))).learned.outcomes is learned
    with pytest.raises(ConfigError, match="o:1 and o:2"):
        by_source(Lessons(outcomes(("same", "same"), ("train", "test"))), "test")


@pytest.mark.parametrize("name", ["llmrouter9", "routerbench11"])
def test_real_files_whose_own_split_repeats_prompts_are_refused(name: str) -> None:
    file = SHARED / f"routing_{name}.dev.jsonl.gz"
    if not file.is_file():
        pytest.skip("the data are not here")
    lessons = read([str(file)]).lessons
    with pytest.raises(ConfigError, match=r"is on both sides of the split: .*jsonl.gz:\d+ and .*jsonl.gz:\d+"):
        by_source(lessons, "test")
    assert whole(held_out(lessons), lessons)
