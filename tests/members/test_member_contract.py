"""What every member engine keeps to, whatever is behind it: one set of tests over all that open without extras."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import FrozenInstanceError, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import pytest

from coterie import Committee
from coterie.errors import MemberError
from coterie.house import House
from coterie.members.openai import OpenAIMember
from coterie.members.recorded import RecordedMember
from coterie.members.scripted import ScriptedMember
from coterie.protocols import MemberSpec, Model
from coterie.registry import find, known
from coterie.specs import build, describe
from coterie.types import Capability, Completion, Price, Request
from http_faults import FaultServer, Reply

T = TypeVar("T")

QUESTION = "What is the capital of France?"
TEXT = "It is Paris, on the Seine. 😀"
PRICE = Price(1.0, 2.0)
ENGINES = ("openai", "openai_streamed", "openai_plain", "recorded", "scripted")


@dataclass(frozen=True)
class Bench:
    """One engine under test."""

    good: MemberSpec
    """Answers `TEXT`, at a price that is known."""
    empty: MemberSpec
    """Answers nothing."""
    unpriced: MemberSpec


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer({"good": Reply(TEXT, pieces=5), "empty": Reply("")}) as running:
        yield running


def recordings(folder: Path) -> str:
    path = folder / "recorded.jsonl"
    common = {"question": QUESTION, "input_tokens": 11, "output_tokens": 7}
    lines = [{**common, "model": "good", "text": TEXT}, {**common, "model": "empty", "text": ""}]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return str(path)


@pytest.fixture(params=ENGINES)
def bench(request: pytest.FixtureRequest, server: FaultServer, tmp_path: Path) -> Bench:
    make: Callable[..., MemberSpec]
    match request.param:
        case "recorded":
            path = recordings(tmp_path)
            make = lambda model, **more: RecordedMember("m", path, model, **more)  # noqa: E731
        case "scripted":
            replies = {"good": (TEXT,), "empty": ("",)}
            make = lambda model, **more: ScriptedMember("m", replies[model], **more)  # noqa: E731
        case kind:
            api: Any = "completions" if kind == "openai_plain" else "chat"
            stream: Any = "always" if kind == "openai_streamed" else "auto"
            make = lambda model, **more: OpenAIMember(  # noqa: E731
                "m", server.base_url, model, api=api, stream=stream, **more
            )
    return Bench(make("good", price=PRICE), make("empty", price=PRICE), make("good"))


def with_model(spec: MemberSpec, work: Callable[[Model], Coroutine[Any, Any, T]]) -> T:
    async def go() -> T:
        async with House() as house:
            return await work(await spec.open(house))

    return asyncio.run(go())


def say(spec: MemberSpec, emit: Callable[[str], None] | None = None) -> Completion:
    return with_model(spec, lambda model: model.generate(Request.of(QUESTION), emit))


# ---- the specification ------------------------------------------------------------------------


def test_a_specification_is_a_frozen_value(bench: Bench) -> None:
    with pytest.raises(FrozenInstanceError):
        bench.good.name = "other"  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(bench.good)) == bench.good
    assert hash(bench.good) == hash(pickle.loads(pickle.dumps(bench.good)))
    assert bench.good != bench.empty
    assert bench.good != bench.unpriced


def test_it_has_what_the_run_needs(bench: Bench) -> None:
    spec = bench.good
    assert spec.name == spec.card.name == "m"
    assert spec.timeout_s == spec.card.timeout_s == 60.0
    assert spec.card.max_concurrency is None
    assert spec.retries >= 0
    assert (spec.card.price, bench.unpriced.card.price) == (PRICE, None)


def test_its_card_is_consistent(bench: Bench) -> None:
    card = bench.good.card
    assert (card.ballot is not None) == (Capability.REVIEW in card.capabilities)
    assert with_model(bench.good, _card) == card


async def _card(model: Model) -> Any:
    return model.card


def test_it_can_be_described_and_built_again(bench: Bench) -> None:
    plain = json.loads(json.dumps(describe("members", bench.good)))
    hidden = {"script", "distributions", "headers", "proxy", "api_key"}
    settings = {key: value for key, value in plain.items() if key not in hidden and key != "name"}
    assert build("members", settings, name="m") == bench.good


def test_every_engine_is_known_by_a_name() -> None:
    assert {"openai", "recorded", "scripted", "llama_cpp"} <= set(known("members"))
    for name in ("openai", "recorded", "scripted"):
        assert "name" in {field.name for field in fields(find("members", name))}


# ---- asked ------------------------------------------------------------------------------------


def test_it_answers_with_the_text_and_nothing_else(bench: Bench) -> None:
    made = say(bench.good)
    assert (made.member, made.text, made.finish_reason, made.tool_calls) == ("m", TEXT, "stop", ())


def test_the_pieces_make_the_text(bench: Bench) -> None:
    pieces: list[str] = []
    made = say(bench.good, pieces.append)
    assert "".join(pieces) == made.text == TEXT


def test_who_listens_changes_no_answer(bench: Bench) -> None:
    silent, heard = say(bench.good), say(bench.good, lambda _piece: None)
    assert (silent.text, silent.usage, silent.finish_reason) == (heard.text, heard.usage, heard.finish_reason)


def test_usage_is_one_call_with_its_tokens_and_cost(bench: Bench) -> None:
    usage = say(bench.good).usage
    assert usage.calls == 1
    assert usage.input_tokens is not None
    assert usage.output_tokens == 7
    assert usage.cost_usd == pytest.approx((usage.input_tokens + 2 * 7) / 1e6)


def test_without_a_price_the_cost_is_unknown(bench: Bench) -> None:
    usage = say(bench.unpriced).usage
    assert usage.cost_usd is None
    assert usage.output_tokens == 7


def test_no_text_is_a_failure_and_never_an_answer(bench: Bench) -> None:
    with pytest.raises(MemberError, match="empty") as caught:
        say(bench.empty)
    assert (caught.value.kind.value, caught.value.retryable) == ("empty", False)


def test_it_can_be_asked_many_times_at_once(bench: Bench) -> None:
    async def eight(model: Model) -> list[str]:
        asked = [model.generate(Request.of(QUESTION), None) for _ in range(8)]
        return [completion.text for completion in await asyncio.gather(*asked)]

    assert with_model(bench.good, eight) == [TEXT] * 8


def test_a_cancelled_call_ends_and_leaves_the_member_usable(bench: Bench) -> None:
    async def cancelled_then_asked(model: Model) -> str:
        task = asyncio.ensure_future(model.generate(Request.of(QUESTION), None))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=2)
        assert task.done()
        return (await model.generate(Request.of(QUESTION), None)).text

    assert with_model(bench.good, cancelled_then_asked) == TEXT


def test_it_answers_in_a_committee_and_its_failure_is_named(bench: Bench) -> None:
    from coterie.methods.vote import Vote

    for spec, text in ((bench.good, TEXT), (bench.empty, "helped")):
        helper = ScriptedMember("helper", ("helped",))
        with Committee([spec, helper], {"default": Vote(("m", "helper"))}) as committee:
            answer = committee.ask(QUESTION)
        assert answer.text == text
        assert [failure.member for failure in answer.failures] == ([] if text == TEXT else ["m"])
