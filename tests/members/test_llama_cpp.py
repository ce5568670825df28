"""Local members as the run sees them: they write, stream, stop, hold to a schema, and say why they cannot."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from local_models import CONTEXT_TOKENS, SMOL, Run

from coterie.errors import ConfigError, MemberError, ModelFilesError
from coterie.house import House
from coterie.members.llama_cpp import LlamaCppMember, LlamaCppModel, LlamaEngineSpec
from coterie.members.llama_cpp.reply import Reply, Trim
from coterie.members.llama_cpp.template import ChatTemplate, Piece, broken_up
from coterie.protocols import Scorer, TokenModel
from coterie.types import BallotMode, Capability, Completion, FailureKind, Message, Request, Sampling

FRANCE = Request.of("What is the capital of France?")
STORY = Request.of("Tell me a long story about a dragon.", Sampling(max_tokens=600))


@pytest.fixture(scope="module")
def few_shot(smol_spec: LlamaCppMember, house: House, on_loop: Run[LlamaCppModel]) -> LlamaCppModel:
    """SmolLM2 again, as a base model, on the same engine."""
    return on_loop(replace(smol_spec, name="shots", prompting="few_shot").open(house))


# ---- without a model ----------------------------------------------------------------------------


def test_heavy_modules_are_not_imported_with_the_member() -> None:
    probe = (
        "import sys, coterie.members.llama_cpp, coterie.weights; "
        "print(sorted({'xllamacpp', 'numpy', 'jinja2', 'platformdirs'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("field", "value"), [("slots", 0), ("context_tokens", 3), ("prompting", "loud")])
def test_a_setting_that_cannot_work_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"{field} of 'm' is {value!r}"):
        LlamaCppMember("m", SMOL, **{field: value})


@pytest.mark.parametrize("content", [b"not a model", b"GGUF and then nonsense", b""])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("xllamacpp")
    own = tmp_path / "own.gguf"
    own.write_bytes(content)

    async def open_it() -> None:
        async with House() as house:
            await LlamaCppMember("m", str(own)).open(house)

    with pytest.raises(ModelFilesError, match=r"own\.gguf"):
        asyncio.run(open_it())


@pytest.mark.parametrize("pieces", [["  a b", " ", "\n c ", " "], ["  ", "a b \n c"], [" a b \n", " c\n\n"]])
def test_pieces_are_trimmed_as_their_text_is(pieces: list[str]) -> None:
    trim = Trim()
    passed = [trim.pass_on(piece) for piece in pieces]
    assert "".join(passed) == "".join(pieces).strip()


def test_an_answer_that_breaks_off_is_truncated() -> None:
    reply = Reply(trim=False, alternatives=None, pass_on=None)
    assert not reply.take({"choices": [{"text": "half an"}]})
    with pytest.raises(MemberError) as caught:
        reply.completion("m", None, may_be_blank=False)
    assert caught.value.kind is FailureKind.TRUNCATED


def test_log_probabilities_of_minus_infinity_are_numbers_and_stop_strings_have_none() -> None:
    reply = Reply(trim=False, alternatives=1, pass_on=None)
    entries = [
        {"token": "a", "bytes": [97], "logprob": None, "top_logprobs": [{"token": "b", "logprob": float("-inf")}]},
        {"token": "END", "bytes": [69], "logprob": -1.0, "top_logprobs": []},
        {"token": "", "bytes": [], "logprob": -1.0, "top_logprobs": []},
    ]
    reply.take({"choices": [{"text": "a", "logprobs": {"content": entries}, "finish_reason": "stop"}]})
    (token,) = reply.completion("m", None, may_be_blank=False).logprobs or ()
    assert (token.token, token.logprob, token.top) == ("a", -10_000.0, (("b", -10_000.0),))


# ---- chat templates -----------------------------------------------------------------------------

CHATML = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}<|assistant|>"


def test_contents_are_data_and_the_template_s_words_are_markup() -> None:
    pytest.importorskip("jinja2")
    pieces = ChatTemplate(CHATML).fill([Message("developer", "s<|end|>"), Message("user", "{{ bos_token }}")])
    assert pieces == [
        Piece("<|system|>", True),
        Piece("s<|end|>", False),
        Piece("<|end|><|user|>", True),
        Piece("{{ bos_token }}", False),
        Piece("<|end|><|assistant|>", True),
    ]


def test_a_template_without_a_system_role_gets_the_instructions_with_the_question() -> None:
    pytest.importorskip("jinja2")
    source = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHATML
    pieces = ChatTemplate(source).fill([Message("system", "Be brief."), Message("user", "q")])
    assert [piece.text for piece in pieces if not piece.markup] == ["Be brief.\n\nq"]


@pytest.mark.parametrize("filter_", ["| upper", "[::-1]", "| replace('e', '')"])
def test_a_template_that_changes_contents_gets_them_with_control_tokens_broken_up(filter_: str) -> None:
    pytest.importorskip("jinja2")
    source = CHATML.replace("m.content", f"m.content {filter_}")
    (piece,) = ChatTemplate(source).fill([Message("user", "a<|end|>b")])
    assert piece.text.count("<|") == 3  # user, end, assistant: the template's own


def test_a_template_that_refuses_is_a_failure_with_its_words() -> None:
    pytest.importorskip("jinja2")
    with pytest.raises(MemberError, match=r"refuses a conversation of \['user'\]: roles must alternate"):
        ChatTemplate("{{ raise_exception('roles must alternate') }}").fill([Message("user", "q")])


def test_a_template_cannot_reach_out_of_its_sandbox() -> None:
    pytest.importorskip("jinja2")
    with pytest.raises(MemberError):
        ChatTemplate("{{ messages.__class__.__mro__[1].__subclasses__() }}").fill([Message("user", "q")])


def test_what_reads_as_a_control_token_is_broken_up() -> None:
    assert broken_up("a <|im_end|> </s> [INST] x<3 [1]") == "a < |im_end|> < /s> [ INST] x< 3 [1]"


def test_what_is_no_template_is_refused_when_the_member_opens() -> None:
    pytest.importorskip("jinja2")
    ChatTemplate(CHATML).check()
    with pytest.raises(ConfigError, match="cannot be used"):
        ChatTemplate("{% for %}").check()


# ---- with SmolLM2 -------------------------------------------------------------------------------


@pytest.mark.local_model
def test_the_card_says_what_the_member_can_do(smol: LlamaCppModel) -> None:
    assert smol.card.capabilities == {*Capability}
    assert smol.card.ballot is BallotMode.LIKELIHOOD
    assert (smol.card.context_tokens, smol.card.max_concurrency) == (CONTEXT_TOKENS, 2)
    assert isinstance(smol, Scorer)
    assert isinstance(smol, TokenModel)
    assert smol.why_no_likelihood == ""


@pytest.mark.local_model
def test_members_on_one_file_share_the_engine(smol: LlamaCppModel, few_shot: LlamaCppModel) -> None:
    assert smol.engine is few_shot.engine
    assert type(smol.form) is not type(few_shot.form)


@pytest.mark.local_model
def test_pieces_come_one_by_one_and_make_up_the_text(few_shot: LlamaCppModel, on_loop: Run[Any]) -> None:
    pieces: list[str] = []
    completion = on_loop(few_shot.generate(FRANCE, pieces.append))
    assert completion.text == "".join(pieces) == "Paris is the capital of France."
    assert len(pieces) > 3
    assert completion.finish_reason == "stop"
    assert (completion.usage.calls, completion.usage.cost_usd) == (1, 0.0)
    assert completion.usage.input_tokens == len(on_loop(few_shot.prompt(FRANCE)).tokens)
    assert (completion.usage.output_tokens or 0) >= len(pieces)
    assert completion.first_piece_s is not None
    assert 0 < completion.first_piece_s <= completion.latency_s


@pytest.mark.local_model
def test_settings_of_the_request_reach_the_engine(smol: LlamaCppModel, on_loop: Run[Completion]) -> None:
    def ask(**sampling: Any) -> Completion:
        return on_loop(smol.generate(Request.of("Count from 1 to 9.", Sampling(**sampling)), None))

    short = ask(max_tokens=3)
    assert (short.finish_reason, short.usage.output_tokens) == ("length", 3)
    hot = {"temperature": 1.5, "max_tokens": 24}
    assert ask(seed=1, **hot).text == ask(seed=1, **hot).text != ask(seed=2, **hot).text
    assert ask(max_tokens=40, extra={"top_k": 1, "tools": []}, temperature=1.0).text == ask(max_tokens=40).text
    first = ask(max_tokens=8).text.split()[0]
    with pytest.raises(MemberError) as caught:
        ask(stop=(first,))
    assert caught.value.kind is FailureKind.EMPTY
    assert caught.value.usage is not None
    assert caught.value.usage.output_tokens


@pytest.mark.local_model
def test_log_probabilities_belong_to_the_tokens_of_the_text(smol: LlamaCppModel, on_loop: Run[Completion]) -> None:
    request = Request.of("What is the capital of France?", Sampling(top_logprobs=3, max_tokens=10))
    completion = on_loop(smol.generate(request, None))
    assert completion.logprobs is not None
    assert "".join(token.token for token in completion.logprobs) == completion.text
    for token in completion.logprobs:
        assert len(token.top) == 3
        assert token.top[0] == (token.token, token.logprob)  # greedy
    only_chosen = on_loop(smol.generate(replace(request, sampling=Sampling(top_logprobs=0, max_tokens=10)), None))
    assert [t.logprob for t in only_chosen.logprobs or ()] == pytest.approx(
        [t.logprob for t in completion.logprobs], abs=0.01
    )
    assert all(token.top == () for token in only_chosen.logprobs or ())


@pytest.mark.local_model
@pytest.mark.parametrize("member", ["smol", "few_shot"])
def test_a_schema_holds(member: str, request: pytest.FixtureRequest, on_loop: Run[Completion]) -> None:
    model: LlamaCppModel = request.getfixturevalue(member)
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}, "score": {"enum": [1, 2, 3, 4, 5]}},
        "required": ["city", "score"],
        "additionalProperties": False,
    }
    ask = Request((Message("user", "Name a city in France and rate it."),), schema=schema)
    told = json.loads(on_loop(model.generate(ask, None)).text)
    assert set(told) == {"city", "score"}
    assert told["score"] in {1, 2, 3, 4, 5}


@pytest.mark.local_model
def test_characters_of_several_tokens_come_whole(smol: LlamaCppModel, on_loop: Run[Completion]) -> None:
    text = "日本語 🎉 naïve 👩‍👧"
    ask = Request((Message("user", "Say it."),), Sampling(top_logprobs=1), schema={"const": text})
    pieces: list[str] = []
    completion = on_loop(smol.generate(ask, pieces.append))
    assert json.loads("".join(pieces)) == text
    assert "\ufffd" not in "".join(pieces)
    cut = [replace(ask, sampling=Sampling(max_tokens=n)) for n in range(2, 8)]
    for answer in (on_loop(smol.generate(short, None)).text for short in cut):
        assert json.dumps(text, ensure_ascii=False).startswith(answer)
    assert completion.finish_reason == "stop"


@pytest.mark.local_model
def test_cancelling_stops_at_once_and_the_next_request_works(smol: LlamaCppModel, on_loop: Run[Any]) -> None:
    async def cancel() -> tuple[float, float, int, int]:
        pieces: list[str] = []
        writing = asyncio.Event()

        def emit(piece: str) -> None:
            pieces.append(piece)
            if len(pieces) == 5:
                writing.set()

        task = asyncio.create_task(smol.generate(STORY, emit))
        await writing.wait()
        task.cancel()
        began = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await task
        ended_s, count = time.monotonic() - began, len(pieces)
        # Both slots are free again as soon as the engine has noticed.
        began = time.monotonic()
        short = Request.of("Hi", Sampling(max_tokens=1))
        await asyncio.gather(smol.generate(short, None), smol.generate(short, None))
        return ended_s, time.monotonic() - began, count, len(pieces)

    ended_s, next_s, count, later = on_loop(cancel())
    assert ended_s < 0.3
    assert later <= count + 1
    assert next_s < 3.0  # the story would take many times as long


@pytest.mark.local_model
def test_cancelling_while_the_prompt_is_read_frees_the_slot(smol: LlamaCppModel, on_loop: Run[Any]) -> None:
    long = Request.of("word " * (CONTEXT_TOKENS - 80), Sampling(max_tokens=5))

    async def cancel() -> float:
        tasks = [asyncio.create_task(smol.generate(long, None)) for _ in range(2)]
        await asyncio.sleep(0.3)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        began = time.monotonic()
        await smol.generate(Request.of("Hi", Sampling(max_tokens=1)), None)
        return time.monotonic() - began

    assert on_loop(cancel()) < 3.0  # reading both prompts to their ends takes longer


@pytest.mark.local_model
def test_two_answers_are_written_at_once(smol: LlamaCppModel, on_loop: Run[Any]) -> None:
    async def both() -> tuple[list[str], list[Completion]]:
        order: list[str] = []
        asks = [Request.of(q, Sampling(max_tokens=30)) for q in ("Describe the sea.", "Describe a forest.")]
        calls = [smol.generate(ask, lambda _, i=i: order.append(str(i))) for i, ask in enumerate(asks)]  # type: ignore[misc]
        return order, await asyncio.gather(*calls)

    order, answers = on_loop(both())
    assert answers[0].text != answers[1].text
    assert "010" in "".join(order) or "101" in "".join(order)  # in turns, not one after the other


@pytest.mark.local_model
def test_more_at_once_than_there_are_slots_wait_their_turn(smol: LlamaCppModel, on_loop: Run[Any]) -> None:
    async def many() -> list[Completion]:
        asks = [Request.of(f"What is {n} plus {n}?", Sampling(max_tokens=4)) for n in range(9)]
        return await asyncio.gather(*(smol.generate(ask, None) for ask in asks))

    assert all(answer.text for answer in on_loop(many()))


@pytest.mark.local_model
@pytest.mark.parametrize("member", ["smol", "few_shot"])
def test_a_conversation_too_long_says_both_numbers(
    member: str, request: pytest.FixtureRequest, on_loop: Run[Any]
) -> None:
    model: LlamaCppModel = request.getfixturevalue(member)
    long = Request.of("word " * 2000)
    for call in (model.generate(long, None), model.score(long, ["x"]), model.score(FRANCE, ["word " * 2000])):
        with pytest.raises(MemberError, match=rf"has \d{{4}} tokens and the context {CONTEXT_TOKENS}") as caught:
            on_loop(call)
        assert (caught.value.kind, caught.value.status) == (FailureKind.HTTP, 400)
        assert not caught.value.retryable


@pytest.mark.local_model
def test_the_end_of_the_context_ends_the_answer(smol: LlamaCppModel, on_loop: Run[Completion]) -> None:
    nearly = Request.of("word " * (CONTEXT_TOKENS - 60), Sampling(max_tokens=200, extra={"ignore_eos": True}))
    completion = on_loop(smol.generate(nearly, None))
    assert completion.finish_reason == "length"
    assert (completion.usage.input_tokens or 0) + (completion.usage.output_tokens or 0) <= CONTEXT_TOKENS + 1


@pytest.mark.local_model
@pytest.mark.parametrize("max_tokens", [5, 60])
def test_a_schema_the_engine_cannot_use_is_a_failure(
    smol: LlamaCppModel, on_loop: Run[Completion], max_tokens: int
) -> None:
    unusable = {"$ref": "#/definitions/missing"}
    with pytest.raises(MemberError, match=r"schema's \$ref.*missing") as caught:
        on_loop(smol.generate(Request(FRANCE.messages, Sampling(max_tokens=max_tokens), schema=unusable), None))
    assert (caught.value.kind, caught.value.status) == (FailureKind.HTTP, 400)
    assert caught.value.usage is not None


@pytest.mark.local_model
def test_settings_the_engine_cannot_use_are_a_failure(smol: LlamaCppModel, on_loop: Run[Completion]) -> None:
    with pytest.raises(MemberError, match=r"refused the request.*top_k") as caught:
        on_loop(smol.generate(Request.of("q", Sampling(extra={"top_k": "many"})), None))
    assert caught.value.kind is FailureKind.HTTP


@pytest.mark.local_model
def test_a_prefix_is_continued(smol: LlamaCppModel, few_shot: LlamaCppModel, on_loop: Run[Completion]) -> None:
    for model in (smol, few_shot):
        ask = Request(FRANCE.messages, Sampling(max_tokens=2), prefix="The capital of France is")
        assert on_loop(model.generate(ask, None)).text.startswith(" Paris")


@pytest.mark.local_model
def test_with_a_prefix_nothing_more_to_say_is_an_answer(smol: LlamaCppModel, on_loop: Run[Completion]) -> None:
    ask = Request(FRANCE.messages, Sampling(max_tokens=2), prefix="The capital of France is Paris.")
    assert on_loop(smol.generate(ask, None)).finish_reason in {"stop", "length"}


@pytest.mark.local_model
def test_the_member_s_own_system_text_stands_in_front(
    smol_spec: LlamaCppMember, house: House, on_loop: Run[Any]
) -> None:
    model = on_loop(replace(smol_spec, system="Answer in one word.").open(house))
    words = model.engine.native.vocabulary
    own = words.decode(on_loop(model.prompt(FRANCE)).tokens).decode()
    assert own.startswith("system\nAnswer in one word.\nuser\n")
    brought = Request((Message("system", "Be kind."), *FRANCE.messages))
    assert words.decode(on_loop(model.prompt(brought)).tokens).decode().startswith("system\nBe kind.\nuser\n")


@pytest.mark.local_model
def test_the_engine_s_own_port_is_shut(smol: LlamaCppModel) -> None:
    address = smol.engine._server.listening_address
    for path in ("/props", "/slots", "/v1/models"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{address}{path}", timeout=5)
        assert caught.value.code == 401
        caught.value.close()


@pytest.mark.local_model
def test_closing_stops_what_is_going_on(smol_spec: LlamaCppMember) -> None:
    async def close_early() -> tuple[LlamaCppModel, float, BaseException | Completion]:
        async with House() as house:
            model = await replace(smol_spec, slots=1).open(house)
            story = asyncio.create_task(model.generate(STORY, None))
            await asyncio.sleep(0.5)
            began = time.monotonic()
        (ended,) = await asyncio.gather(story, return_exceptions=True)
        return model, time.monotonic() - began, ended

    model, took_s, ended = asyncio.run(close_early())
    assert took_s < 3.0
    assert isinstance(ended, MemberError)
    assert ended.kind is FailureKind.TRUNCATED
    with pytest.raises(MemberError, match="the engine was closed"):
        asyncio.run(model.generate(FRANCE, None))


@pytest.mark.local_model
def test_nothing_is_printed(smol_spec: LlamaCppMember) -> None:
    program = f"""
import asyncio
from coterie.house import House
from coterie.members.llama_cpp import LlamaCppMember
from coterie.types import Request, Sampling
async def main():
    async with House() as house:
        model = await LlamaCppMember("m", {SMOL!r}, context_tokens=256).open(house)
        await model.generate(Request.of("Hi", Sampling(max_tokens=2)), None)
        await model.score(Request.of("Hi"), ["Hello"])
asyncio.run(main())
"""
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.local_model
@pytest.mark.parametrize("module", ["xllamacpp", "numpy", "jinja2"])
def test_a_package_that_is_missing_is_named(smol_spec: LlamaCppMember, module: str) -> None:
    program = f"""
import asyncio, sys
sys.modules[{module!r}] = None
from coterie.errors import MissingExtra
from coterie.house import House
from coterie.members.llama_cpp import LlamaCppMember
async def main():
    async with House() as house:
        await LlamaCppMember("m", {SMOL!r}, context_tokens=256).open(house)
try:
    asyncio.run(main())
except MissingExtra as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    assert f"needs {module!r}, which is not installed: pip install 'coterie[local]'" in done.stdout


# ---- without the token-level functions ----------------------------------------------------------


@pytest.mark.local_model
def test_without_token_level_functions_it_writes_the_same_and_says_why_it_cannot_score(
    smol: LlamaCppModel, smol_spec: LlamaCppMember, on_loop: Run[Any]
) -> None:
    async def compare() -> None:
        spec = LlamaEngineSpec(smol.engine.spec.path, CONTEXT_TOKENS, token_level=False)
        async with spec.open() as engine:
            plain = replace(smol, engine=engine, card=smol_spec._card(token_level=not engine.why_no_likelihood))
            tricky = Request.of("<|im_end|> 日本語 🎉 \ud800", Sampling(max_tokens=12))
            assert (await plain.prompt(tricky)).tokens == (await smol.prompt(tricky)).tokens
            assert (await plain.generate(tricky, None)).text == (await smol.generate(tricky, None)).text
            assert (await plain.engine.prepare(lambda: engine.vocabulary.begin)) == ()
            assert Capability.LIKELIHOOD not in plain.card.capabilities
            assert Capability.TOKENS not in plain.card.capabilities
            assert plain.card.ballot is BallotMode.TEXT
            assert "token-level" in plain.why_no_likelihood
            with pytest.raises(MemberError, match=plain.why_no_likelihood):
                await plain.score(FRANCE, ["Paris"])
            with pytest.raises(MemberError, match=plain.why_no_likelihood):
                async with plain.session(FRANCE):
                    pass

    on_loop(compare())


# ---- with Gemma ---------------------------------------------------------------------------------


@pytest.mark.local_model
def test_a_base_model_answers_through_examples(gemma: LlamaCppModel, on_loop: Run[Completion]) -> None:
    pieces: list[str] = []
    completion = on_loop(gemma.generate(FRANCE, pieces.append))
    assert completion.text == "".join(pieces) == "Paris is the capital of France."


@pytest.mark.local_model
def test_a_base_model_cannot_chat(gemma: LlamaCppModel, house: House, on_loop: Run[Any]) -> None:
    chat = LlamaCppMember("chat", gemma.card.model, prompting="chat", context_tokens=CONTEXT_TOKENS)
    with pytest.raises(ConfigError, match="has no chat template"):
        on_loop(chat.open(house))
