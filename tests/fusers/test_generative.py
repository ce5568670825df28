"""The generative fuser: its prompt to the letter, its budgets, both kinds of model, and the part."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from coterie import AnswerPiece, Committee, Length, RankAndFuse, ScriptedMember
from coterie.fusers.generative import FuserWeights, Generative
from coterie.fusers.generative.prompt import CLOSING, Budgets, build, compose
from coterie.trace import WorkDone

pytest.importorskip("torch", reason="the generative fuser needs the extra torch")

from coterie.fusers.generative.engine import Decoding
from tiny_models import llama, t5


@pytest.fixture(scope="module")
def seq2seq(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return t5(tmp_path_factory.mktemp("t5"))


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return llama(tmp_path_factory.mktemp("llama"))


def test_the_prompt_is_the_published_one_to_the_letter() -> None:
    assert compose("Be brief.", "What is it?", ["one", "two", "three"]) == (
        "Instruction: Be brief.</s>Input: What is it?</s>Candidate 0: <extra_id_0>:one</s>"
        "Candidate 1: <extra_id_1>:two</s>Candidate 2: <extra_id_2>:three</s>"
        "Summarize candidates into a better one for the given instruction:"
    )


def test_a_long_candidate_is_cut_and_ends_in_dots(seq2seq: Path) -> None:
    engine = FuserWeights(str(seq2seq), device="cpu").load()
    prompt = build(engine.tokenizer, "", "hello", ["hello " * 40, "world"], Budgets(1024, 10))
    first = prompt.text.split("<extra_id_0>:")[1].split("</s>")[0]
    assert first.endswith("...")
    assert len(first.removesuffix("...").split()) == 10
    assert prompt.candidates_cut == 1


@pytest.mark.parametrize(("long_input", "cut"), [(False, False), (True, True)])
def test_what_does_not_fit_is_cut_before_the_closing_instruction(seq2seq: Path, long_input: bool, cut: bool) -> None:
    engine = FuserWeights(str(seq2seq), device="cpu").load()
    asked = "hello " * (200 if long_input else 5)
    prompt = build(engine.tokenizer, "", asked, ["world " * 100] * 3, Budgets(100, 90))
    assert len(prompt.ids) <= 100
    assert prompt.text.endswith(CLOSING)
    assert prompt.candidates_cut == 3
    assert prompt.input_cut is cut


@pytest.mark.parametrize("kind", ["seq2seq", "decoder"])
def test_a_batch_gives_what_each_prompt_gives_alone(kind: str, request: pytest.FixtureRequest) -> None:
    engine = FuserWeights(str(request.getfixturevalue(kind)), device="cpu").load()
    prompts = [
        engine.prompt("", "hello", ["Paris", "Berlin"]),
        engine.prompt("answer the question", "what is the capital of France", ["Paris .", "Berlin , Paris"]),
    ]
    for decoding in (Decoding(8, 1), Decoding(8, 3)):
        together = engine.write(prompts, decoding)
        assert together == [engine.write([prompt], decoding)[0] for prompt in prompts]


@pytest.mark.parametrize("kind", ["seq2seq", "decoder"])
def test_greedy_decoding_streams_the_text_it_returns(kind: str, request: pytest.FixtureRequest) -> None:
    engine = FuserWeights(str(request.getfixturevalue(kind)), device="cpu").load()
    prompt = engine.prompt("", "hello", ["Paris", "Berlin"])
    pieces: list[str] = []
    text = engine.stream(prompt, Decoding(8, 4), pieces.append)
    assert "".join(pieces).split() == text.split()
    assert text == engine.write([prompt], Decoding(8, 1))[0]


@pytest.mark.parametrize("beams", [1, 2])
def test_it_fuses_a_committees_best_in_public(seq2seq: Path, beams: int) -> None:
    fuser = Generative(str(seq2seq), device="cpu", beams=beams, max_new_tokens=6)
    members = [
        ScriptedMember(f"m{n}", (text,)) for n, text in enumerate(["Paris .", "Berlin", "the capital of France"])
    ]
    names = tuple(member.name for member in members)
    method = RankAndFuse(names, judge=Length(), rule="mean", top_k=2, fuser=fuser)

    async def main() -> None:
        async with Committee(members, {"default": method}) as committee:
            items = [item async for item in committee.astream("what is the capital of France")]
            again = await committee.aask("what is the capital of France")
        answer = items[-1]
        shown = "".join(item.text for item in items if isinstance(item, AnswerPiece))
        assert answer.how == "fused"  # type: ignore[union-attr]
        assert answer.candidate.author == "generative"  # type: ignore[union-attr]
        assert answer.candidate.parents == ("c3", "c1")  # type: ignore[union-attr]
        assert shown.split() == answer.text.split()  # type: ignore[union-attr]
        assert again.text == answer.text  # type: ignore[union-attr]
        (work,) = again.trace.of(WorkDone)
        assert (work.actor, work.stage) == ("generative", "fuse")
        assert work.work in again.trace.critical_path.calls

    asyncio.run(main())


def test_a_folder_that_is_no_model_is_refused_by_name(tmp_path: Path) -> None:
    from coterie import ConfigError

    with pytest.raises(ConfigError, match="cannot be loaded as a fuser"):
        FuserWeights(str(tmp_path), device="cpu").load()
