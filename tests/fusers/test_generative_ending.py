"""A fused text ends before the first string that stops it, whole, streamed and in a batch; nothing of it is shown."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coterie import AnswerPiece, Committee, Length, RankAndFuse, ScriptedMember
from coterie.fusers.generative import FuserWeights, Generative
from coterie.fusers.generative.ending import Showing, before, settled, until_said
from coterie.fusers.generative.engine import Decoding, FuserEngine
from coterie.types import Request, Sampling
from tiny_models import chat_llama, llama, t5

torch: Any = pytest.importorskip("torch", reason="the generative fuser needs the extra torch")


def read(ids: Sequence[int]) -> str:
    """Bytes as text, as a tokenizer reads them that knows no more than bytes."""
    return bytes(ids).decode("utf-8", "replace")


# ---- texts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "stops", "wanted"),
    [
        ("Paris. Done", (), "Paris. Done"),
        ("Paris. Done", ("",), "Paris. Done"),
        ("Paris. Done", ("Rome",), "Paris. Done"),
        ("Paris. Done", ("Done",), "Paris. "),
        ("Paris. Done", ("e", ". "), "Paris"),
        ("Paris. Done", ("Paris",), ""),
        ("a\n\nb\n\nc", ("\n\n",), "a"),
        ("", ("x",), ""),
        ("日本語 🎉 end", ("🎉",), "日本語 "),
    ],
)
def test_a_text_ends_before_its_first_stop(text: str, stops: tuple[str, ...], wanted: str) -> None:
    assert before(text, stops) == wanted


@pytest.mark.parametrize(
    ("text", "stops", "wanted"),
    [
        ("Paris", (), "Paris"),
        ("Paris\ufffd", (), "Paris"),
        ("Paris ", (), "Paris"),
        ("Paris <", ("<end>",), "Paris"),
        ("Paris <e", ("<end>", "e\n"), "Paris"),
        ("Paris <x", ("<end>",), "Paris <x"),
        ("aaa", ("aab",), "a"),
        ("Paris\n", ("\n\n",), "Paris"),
        ("Paris<end> and", ("<end>",), "Paris"),
        ("Paris <", ("",), "Paris <"),
    ],
)
def test_what_may_be_the_beginning_of_a_stop_waits(text: str, stops: tuple[str, ...], wanted: str) -> None:
    assert settled(text, stops) == wanted


@given(st.text(), st.lists(st.text(max_size=4), max_size=3), st.lists(st.integers(1, 5)))
@example("aabaaab", ["aaab", "b"], [1])
@example("é<é>", ["<é>"], [1, 2])
def test_what_is_shown_is_the_text_before_its_stop_and_never_more(
    text: str, stops: list[str], steps: list[int]
) -> None:
    pieces: list[str] = []
    showing = Showing(read, stops, pieces.append)
    showing.put(torch.tensor([[1, 2, 3]]))  # the prompt
    written = list(text.encode())
    said: list[int] = []
    while written and before(read(said), stops) == read(said):
        n = steps.pop() if steps else 1
        fresh, written = written[:n], written[n:]
        said += fresh
        showing.put(torch.tensor(fresh))
        assert before(read(said), stops).startswith("".join(pieces))
    showing.end()
    assert "".join(pieces) == before(read(said), stops)
    assert all(pieces)


def test_a_row_is_done_once_a_stop_stands_behind_its_prompt() -> None:
    done = until_said(read, ("!", "b\n"), prompt=2)
    rows = [b"!!ab", b"aaa!", b"ab\na", b"abb\n"]
    assert done(torch.tensor([list(row) for row in rows]), None).tolist() == [False, True, False, True]


# ---- models -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, FuserEngine]:
    made = {"seq2seq": t5, "decoder": llama, "chat": chat_llama}
    return {
        kind: FuserWeights(str(model(tmp_path_factory.mktemp(kind))), device="cpu").load()
        for kind, model in made.items()
    }


every_kind = pytest.mark.parametrize("kind", ["seq2seq", "decoder", "chat"])


@every_kind
@pytest.mark.parametrize("place", [0, 2, 5])
def test_a_stop_ends_what_is_written_and_what_is_streamed(
    engines: dict[str, FuserEngine], kind: str, place: int
) -> None:
    engine = engines[kind]
    prompt = engine.prompt("", "hello", ["Paris", "Berlin"])
    words = engine.write([prompt], Decoding(12, 1))[0].split()
    stop = " ".join(words[place : place + 2])
    wanted = before(" ".join(words), (stop,))
    decoding = Decoding(400, 1, ("nothing like it", stop))
    assert engine.write([prompt], decoding) == [wanted]
    pieces: list[str] = []
    assert engine.stream(prompt, decoding, pieces.append) == wanted
    assert "".join(pieces) == wanted


@every_kind
def test_each_text_of_a_batch_has_its_own_end(engines: dict[str, FuserEngine], kind: str) -> None:
    engine = engines[kind]
    asked = (("hello", "Paris"), ("hello world", "Berlin ."), ("what is the capital of France", "Paris Berlin"))
    prompts = [engine.prompt("", question, [text]) for question, text in asked]
    plain = engine.write(prompts, Decoding(12, 1))
    stops = tuple({words[len(words) // 2] for text in plain if (words := text.split())})
    assert stops
    assert engine.write(prompts, Decoding(12, 1, stops)) == [before(text, stops) for text in plain]


@every_kind
def test_a_beam_that_says_a_stop_is_a_whole_answer(engines: dict[str, FuserEngine], kind: str) -> None:
    engine = engines[kind]
    prompt = engine.prompt("", "hello", ["Paris", "Berlin"])
    stop = engine.write([prompt], Decoding(12, 3))[0].split()[4]
    [text] = engine.write([prompt], Decoding(12, 3, (stop,)))
    assert stop not in text


def test_a_stop_and_the_callers_word_end_a_text_alike(engines: dict[str, FuserEngine]) -> None:
    engine, over = engines["chat"], threading.Event()
    over.set()
    [text] = engine.write([engine.prompt("", "hello", ["Paris"])], Decoding(400, 1, ("nowhere",)), stop=over)
    assert len(text.split()) <= 1


# ---- the part ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return chat_llama(tmp_path_factory.mktemp("chat"))


def committee(fuser: Generative) -> Committee:
    members = [ScriptedMember(f"m{n}", (text,)) for n, text in enumerate(("Paris .", "Berlin", "the capital"))]
    method = RankAndFuse(tuple(m.name for m in members), judge=Length(), rule="mean", top_k=2, fuser=fuser)
    return Committee(members, {"default": method})


@pytest.mark.parametrize("beams", [1, 2])
def test_a_requests_stop_ends_the_fused_answer(chat: Path, beams: int) -> None:
    fuser = Generative(str(chat), device="cpu", beams=beams, max_new_tokens=12)

    async def main() -> None:
        async with committee(fuser) as asked:
            whole = (await asked.aask("hello")).text
            stop = " ".join(whole.split()[3:5])
            sampling = Sampling(stop=(stop,))
            items = [item async for item in asked.astream("hello", sampling=sampling)]
            again = await asked.aask("hello", sampling=sampling)
        answer = items[-1]
        shown = "".join(item.text for item in items if isinstance(item, AnswerPiece))
        assert shown == answer.text == again.text  # type: ignore[union-attr]
        assert answer.how == "fused"  # type: ignore[union-attr]
        assert stop in whole
        assert stop not in again.text
        if beams == 1:
            assert again.text == before(whole, (stop,))

    asyncio.run(main())


def test_a_stop_at_the_very_beginning_leaves_the_rankings_first(chat: Path) -> None:
    with committee(Generative(str(chat), device="cpu", beams=1, max_new_tokens=6)) as asked:
        whole = asked.ask("hello").text
        answer = asked.ask("hello", sampling=Sampling(stop=(whole.split()[0],)))
    assert (answer.how, answer.text) == ("ranked", "the capital")


def test_many_at_once_end_each_by_its_own_request(chat: Path) -> None:
    fuser = Generative(str(chat), device="cpu", beams=1, max_new_tokens=8)
    engine = fuser.weights.load()
    texts = ["Paris", "Berlin"]
    [whole] = fuser.write(engine, [(Request.of("hello"), texts)])
    stop = whole.split()[3]
    stopped = Request.of("hello", Sampling(stop=(stop,)))
    assert fuser.write(engine, [(Request.of("hello"), texts), (stopped, texts)]) == [whole, before(whole, (stop,))]
