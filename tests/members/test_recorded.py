"""Answers from a file of earlier outputs."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coterie import Answer, Committee
from coterie.errors import ConfigError, MemberError
from coterie.house import House
from coterie.members.recorded import RecordedMember, RecordingFile
from coterie.types import Capability, Completion, FailureKind, Message, Price, Request, Usage

Json = Any

CAPITAL = "What is the capital of France?"
ALPACA_EVAL = Path(__file__).parents[2].parent / "shared" / "data" / "alpaca_eval.dev.jsonl.gz"

A_LINE_AN_ANSWER = (
    {"question": CAPITAL, "model": "big", "text": "Paris.", "latency_s": 0.25, "input_tokens": 9, "output_tokens": 2},
    {"question": CAPITAL, "model": "small", "text": "It is Paris, I think.", "cost_usd": 0.5},
    {"question": "And of Peru?", "model": "big", "text": "Lima."},
)
A_LINE_A_QUESTION = (
    {
        "instruction": CAPITAL,
        "candidates": [
            {"model": "big", "text": "Paris.", "latency_s": 0.25, "input_tokens": 9, "output_tokens": 2},
            {"model": "small", "text": "It is Paris, I think.", "cost_usd": 0.5},
        ],
        "pairwise": [],
    },
    {"instruction": "And of Peru?", "candidates": [{"model": "big", "text": "Lima."}]},
)


def write(path: Path, *records: Json) -> str:
    text = "".join(f"{json.dumps(record)}\n" for record in records)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")
    return str(path)


def say(member: RecordedMember, question: str, pieces: list[str] | None = None) -> Completion:
    """What `member` answers."""

    async def go() -> Completion:
        async with House() as house:
            model = await member.open(house)
            return await model.generate(Request.of(question), None if pieces is None else pieces.append)

    return asyncio.run(go())


@pytest.fixture(params=list(itertools.product(("answers", "questions"), (".jsonl", ".jsonl.gz"))), ids="".join)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The same answers in both layouts, plain and gzip."""
    layout, suffix = request.param
    return write(tmp_path / f"recorded{suffix}", *(A_LINE_AN_ANSWER if layout == "answers" else A_LINE_A_QUESTION))


# ---- answers ----------------------------------------------------------------------------------


def test_a_recorded_answer_with_what_is_known_of_it(path: str) -> None:
    made = say(RecordedMember("big", path, "big"), CAPITAL)
    assert (made.member, made.text) == ("big", "Paris.")
    assert made.usage == Usage(1, 9, 2, None)
    assert say(RecordedMember("big", path, "big"), "And of Peru?").text == "Lima."


def test_a_recorded_cost_and_unknown_tokens(path: str) -> None:
    assert say(RecordedMember("s", path, "small", price=Price(1, 1)), CAPITAL).usage == Usage(1, None, None, 0.5)


def test_a_price_makes_a_cost_out_of_recorded_tokens(path: str) -> None:
    priced = RecordedMember("big", path, "big", price=Price(1.0, 10.0))
    assert say(priced, CAPITAL).usage.cost_usd == pytest.approx((9 * 1.0 + 2 * 10.0) / 1e6)
    assert say(priced, "And of Peru?").usage.cost_usd is None  # no tokens were recorded


def test_white_space_does_not_make_another_question(path: str) -> None:
    assert say(RecordedMember("big", path, "big"), "  What is the\n capital  of France?\n").text == "Paris."


def test_the_last_user_turn_is_the_question(path: str) -> None:
    async def go() -> Completion:
        turns = (Message("user", CAPITAL), Message("assistant", "Paris."), Message("user", "And of Peru?"))
        async with House() as house:
            return await (await RecordedMember("big", path, "big").open(house)).generate(Request(turns), None)

    assert asyncio.run(go()).text == "Lima."


def test_the_text_goes_to_who_listens(path: str) -> None:
    pieces: list[str] = []
    made = say(RecordedMember("big", path, "big"), CAPITAL, pieces)
    assert "".join(pieces) == made.text


def test_latency_is_replayed_only_where_wanted(path: str) -> None:
    for replay, least, most in ((True, 0.25, 1.0), (False, 0.0, 0.2)):
        member = RecordedMember("big", path, "big", replay_latency=replay)

        async def go(member: RecordedMember = member) -> float:
            async with House() as house:
                model = await member.open(house)
                began = time.monotonic()
                await model.generate(Request.of(CAPITAL), None)
                return time.monotonic() - began

        assert least <= asyncio.run(go()) < most


def test_a_file_is_read_once_for_all_its_members(path: str) -> None:
    async def go() -> None:
        async with House() as house:
            await RecordedMember("big", path, "big").open(house)
            await asyncio.to_thread(Path(path).unlink)
            small = await RecordedMember("small", path, "small").open(house)
            assert small.card.name == "small"

    asyncio.run(go())
    assert not Path(path).exists()


# ---- failures ---------------------------------------------------------------------------------


def failure(member: RecordedMember, question: str) -> MemberError:
    with pytest.raises(MemberError) as caught:
        say(member, question)
    return caught.value


def test_a_question_nobody_asked_is_unrecorded_and_free(path: str) -> None:
    error = failure(RecordedMember("small", path, "small"), "And of Peru?")
    assert (error.kind, error.usage) == (FailureKind.UNRECORDED, Usage())
    assert "'small'" in str(error)
    assert "And of Peru?" in str(error)


def test_an_unknown_model_names_those_there_are(path: str) -> None:
    with pytest.raises(ConfigError, match="no answers of model 'tiny'; it has big, small"):
        say(RecordedMember("tiny", path, "tiny"), CAPITAL)


@pytest.mark.parametrize("text", ["", "  \n", None])
def test_a_blank_or_null_answer_is_empty(tmp_path: Path, text: str | None) -> None:
    path = write(tmp_path / "r.jsonl", {"prompt": CAPITAL, "model": "big", "text": text})
    assert failure(RecordedMember("big", path, "big"), CAPITAL).kind is FailureKind.EMPTY


def test_half_a_character_is_malformed(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", {"prompt": CAPITAL, "model": "big", "text": "a \ud800 b"})
    assert failure(RecordedMember("big", path, "big"), CAPITAL).kind is FailureKind.MALFORMED


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "5",
        "{}",
        '{"question": "x"}',
        '{"question": "x", "model": "m"}',
        '{"question": "x", "candidates": 5}',
        '{"question": "x", "candidates": [{"model": "m"}]}',
    ],
)
def test_a_line_that_is_no_answer_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps(A_LINE_AN_ANSWER[0]) + f"\n{line}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"r\.jsonl:2 is no recorded answer"):
        say(RecordedMember("big", str(path), "big"), CAPITAL)


def _broken_files(folder: Path) -> Iterator[Path]:
    whole = gzip.compress(b"".join(json.dumps(record).encode() + b"\n" for record in A_LINE_AN_ANSWER * 50))
    yield folder / "absent.jsonl"
    yield folder
    for name, raw in {
        "cut.jsonl.gz": whole[: len(whole) // 2],
        "flipped.jsonl.gz": whole[:40] + bytes(b ^ 0xFF for b in whole[40:60]) + whole[60:],
        "plain.jsonl.gz": b'{"question": "x"}\n',
        "latin1.jsonl": b'{"question": "caf\xe9", "model": "m", "text": "x"}\n',
    }.items():
        (folder / name).write_bytes(raw)
        yield folder / name


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in _broken_files(tmp_path):
        with pytest.raises(ConfigError, match="cannot read the recorded answers") as caught:
            say(RecordedMember("big", str(path), "big"), CAPITAL)
        assert str(path) in str(caught.value)


def test_blank_lines_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(f"\n{json.dumps(A_LINE_AN_ANSWER[0])}\n\n", encoding="utf-8")
    assert say(RecordedMember("big", str(path), "big"), CAPITAL).text == "Paris."


# ---- in a committee ---------------------------------------------------------------------------


def test_it_can_be_judged_but_cannot_review(path: str) -> None:
    card = RecordedMember("big", path, "big").card
    assert card.ballot is None
    assert Capability.REVIEW not in card.capabilities
    members = {name: {"engine": "recorded", "path": path, "model": name} for name in ("big", "small")}
    reviewer = {"engine": "scripted", "replies": ["Rome", '{"scores": {"A": 5}}']}
    made = {
        "members": {**members, "judge": reviewer},
        "methods": {"default": {"kind": "peer_blend", "members": [*members, "judge"], "top_k": 1}},
    }
    with Committee.from_config(made) as committee:
        answer = committee.ask(CAPITAL)
    assert {candidate.author for candidate in answer.candidates} == {"big", "small", "judge"}
    abstained = {judgement.judge: judgement.abstained for judgement in answer.judgements}
    assert (abstained["big"], abstained["small"]) == ("it cannot review", "it cannot review")
    assert answer.usage.calls == 4, "a recorded member was asked to review"


def test_a_member_that_cannot_be_opened_is_a_failure_of_its_own(tmp_path: Path, path: str) -> None:
    made = {
        "members": {
            "big": {"engine": "recorded", "path": path, "model": "big"},
            "absent": {"engine": "recorded", "path": str(tmp_path / "no.jsonl.gz"), "model": "big"},
        },
        "methods": {"default": {"kind": "vote", "members": ["big", "absent"]}},
    }
    with Committee.from_config(made) as committee:
        answer = committee.ask(CAPITAL)
    assert answer.text == "Paris."
    [failed] = answer.failures
    assert (failed.member, failed.kind) == ("absent", FailureKind.UNAVAILABLE)
    assert "no.jsonl.gz" in failed.error


@pytest.fixture(scope="module")
def published() -> Answer:
    """Alpaca-eval's 22 models, all in one committee, asked a question of the file."""
    if not ALPACA_EVAL.is_file():
        pytest.skip(f"the published answers are not here: {ALPACA_EVAL}")
    with gzip.open(ALPACA_EVAL, "rt", encoding="utf-8") as file:
        record = json.loads(next(file))
    models = [c["model"] for c in record["candidates"] if "reference" not in c["model"]]
    members = {f"m{n}": {"engine": "recorded", "path": str(ALPACA_EVAL), "model": m} for n, m in enumerate(models)}
    method = {"kind": "best_of", "members": list(members), "judge": "length"}
    with Committee.from_config({"members": members, "methods": {"default": method}}) as committee:
        return committee.ask(record["instruction"])


def test_twenty_two_published_models_sit_in_a_committee(published: Answer) -> None:
    cards = published.trace.started.cards
    assert len({card.model for card in cards}) == 22
    assert len(published.candidates) + len(published.failures) == 22
    assert len(published.candidates) >= 21
    assert published.text == max((c.text for c in published.candidates), key=len)
    assert {card.ballot for card in cards} == {None}
    assert published.usage.calls == len(published.candidates)
    assert published.usage.cost_usd is None


def test_every_line_of_the_published_file_is_read() -> None:
    if not ALPACA_EVAL.is_file():
        pytest.skip(f"the published answers are not here: {ALPACA_EVAL}")

    async def go() -> set[str]:
        async with House() as house:
            answers = await house.once(RecordingFile(str(ALPACA_EVAL)))
            assert len(answers) > 22 * 500
            return {model for model, _ in answers}

    assert len({model for model in asyncio.run(go()) if "reference" not in model}) == 22
