"""Setting examples aside: by the prompt alone, whatever file, shape, order or spelling it stands in."""

from __future__ import annotations

import random
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.examples import Example, held_out, read
from coterie.examples.reading import example_of
from coterie.examples.split import prompt_key

SHARED = Path(__file__).parents[3] / "shared" / "data"
FILES = ("preference_pairs", "rmb_best_of_n", "alpaca_eval")


def asked(prompt: str) -> list[Example]:
    """One prompt in every shape, and spelt in several ways."""
    shapes = [
        {"prompt": prompt, "chosen": "x", "rejected": "y"},
        {"conversation": [{"role": "user", "content": prompt}], "candidates": []},
        {"instruction": prompt, "candidates": [], "pairwise": []},
        {"instruction": prompt[:4], "input": prompt[4:], "candidates": []},
        {"instruction": prompt.upper(), "candidates": []},
        {"input": f"  {prompt.replace(' ', chr(10))}\n", "candidates": []},
        {"input": unicodedata.normalize("NFD", prompt), "candidates": []},
    ]
    return [example_of(shape, str(n)) for n, shape in enumerate(shapes)]


@given(st.text("abcdé ßıİΣ\n", min_size=1, max_size=40), st.floats(0, 1), st.text(max_size=3))
def test_a_prompt_is_on_one_side_in_every_shape(prompt: str, share: float, salt: str) -> None:
    examples = [example for example in asked(prompt) if prompt_key(example) == prompt_key(asked(prompt)[0])]
    kept, aside = held_out(examples, share, salt=salt)
    assert not kept or not aside
    assert len(kept) + len(aside) == len(examples)


@pytest.mark.parametrize("prompt", ["Why is the sky blue?", "Où est le café ?", "Straße 5", "日本語 の 質問", "q"])
def test_every_shape_and_spelling_is_the_same_prompt(prompt: str) -> None:
    assert len({prompt_key(example) for example in asked(prompt)}) == 1


def test_other_prompts_are_other_prompts() -> None:
    prompts = ["What is 1 + 1?", "What is 1 + 2?", "What is 11?", ""]
    assert len({prompt_key(Example("", input=prompt)) for prompt in prompts}) == 4


@given(st.lists(st.text(max_size=10), max_size=60), st.randoms())
def test_sides_depend_on_neither_order_nor_company(prompts: list[str], rng: random.Random) -> None:
    examples = [Example(str(n), input=prompt) for n, prompt in enumerate(prompts)]
    kept, aside = held_out(examples, 0.5)
    assert kept + aside == sorted(kept, key=lambda e: int(e.id)) + sorted(aside, key=lambda e: int(e.id))
    mixed = examples * 2
    rng.shuffle(mixed)
    again, out = held_out(mixed, 0.5)
    assert {e.id for e in again} == {e.id for e in kept}
    assert {e.id for e in out} == {e.id for e in aside}


def test_the_split_is_the_same_on_every_machine() -> None:
    _, aside = held_out([Example(str(n), input=f"question {n}") for n in range(60)])
    assert [example.id for example in aside] == ["9", "15", "22", "25", "40", "53"]


@pytest.mark.parametrize("share", [0.05, 0.15, 0.5])
def test_about_the_share_is_set_aside(share: float) -> None:
    examples = [Example(str(n), input=f"What is {n} plus {n}?") for n in range(20_000)]
    kept, aside = held_out(examples, share)
    assert abs(len(aside) / len(examples) - share) < 4 * (share * (1 - share) / len(examples)) ** 0.5
    assert len(kept) + len(aside) == len(examples)


def test_nothing_or_everything_is_set_aside_at_the_ends() -> None:
    examples = [Example(str(n), input=f"{n}") for n in range(500)]
    assert held_out(examples, 0) == (examples, [])
    assert held_out(examples, 1) == ([], examples)
    assert held_out([]) == ([], [])


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_what_is_no_share_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        held_out([], share)


def test_another_salt_is_another_split() -> None:
    examples = [Example(str(n), input=f"{n}") for n in range(500)]
    sides = [{e.id for e in held_out(examples, 0.5, salt=salt)[1]} for salt in ("", "a", "b")]
    assert len({frozenset(side) for side in sides}) == 3


def test_half_a_character_has_a_side_too() -> None:
    kept, aside = held_out([Example("1", input="half \ud800")])
    assert len(kept) + len(aside) == 1


def test_no_prompt_of_real_files_is_on_both_sides() -> None:
    places = [SHARED / f"{name}.dev.jsonl.gz" for name in FILES]
    if not all(place.is_file() for place in places):
        pytest.skip("the data sets are not beside the project")
    examples = [example for place in places for example in read(str(place))]
    kept, aside = held_out(examples)
    assert not {prompt_key(e) for e in kept} & {prompt_key(e) for e in aside}
    prompts = {prompt_key(e) for e in examples}
    share = len({prompt_key(e) for e in aside}) / len(prompts)
    assert abs(share - 0.15) < 0.02
