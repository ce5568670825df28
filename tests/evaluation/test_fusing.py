"""What fusing is worth: which prompts count, what is fused, how both texts are measured, and what is said of it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from coterie import Committee, ConfigError, Length, ScriptedMember
from coterie.evaluation.fusers import fuser_of
from coterie.evaluation.fusing import Fused, Measure, Shown, by_metric, by_vote, fuse_all, lengths, shown
from coterie.evaluation.fusing_choice import choice_of
from coterie.evaluation.fusing_worth import Names, as_json, check, markdown, rows, told, worth
from coterie.evaluation.metrics import build
from coterie.evaluation.significance import Bootstrap
from coterie.examples import Example, Text
from coterie.fusers.aggregate import Aggregate
from coterie.fusers.generative import Generative
from coterie.members.scripted import Reply
from coterie.protocols import Run
from coterie.types import Candidate, FailureKind, Judgement, Request

pytest.importorskip("numpy", reason="intervals need the extra eval")

QUICK = Bootstrap(500)


def example(n: int, *texts: str, output: str = "the reference") -> Example:
    return Example(f"made/{n}", input=f"question {n}", candidates=tuple(map(Text, texts)), output=output)


def prompts(n: int, best: str = "good text", other: str = "bad") -> list[Shown]:
    return [Shown(example(k, best, other), (best, other)) for k in range(n)]


# ---- which prompts count ----------------------------------------------------------------------


def test_the_best_so_many_are_shown_best_first() -> None:
    left_out: Counter[str] = Counter()
    of = example(1, "third", "first", " ", "second", "fourth")
    [found] = shown([of], [[3, 1, 0, 2, 4]], 3, left_out)
    assert found.best == ("first", "second", "third")
    assert found.request == Request.of("question 1")
    [found] = shown([of], [[3, 1, 0, 2, 4]], 0, left_out)
    assert found.best == ("first", "second", "third", "fourth")
    assert not left_out


def test_what_cannot_be_measured_is_left_out_and_counted() -> None:
    examples = [
        example(1, "a", "b"),
        replace(example(1, "c", "d"), input="Question  1"),
        example(2, "a", "b", output=" "),
        example(3, "a", " "),
        replace(example(4, "a", "b"), input=""),
    ]
    left_out: Counter[str] = Counter()
    found = shown(examples, [[1, 2]] * 5, 3, left_out)
    assert [prompt.example.id for prompt in found] == ["made/1"]
    assert left_out == {
        "examples of a prompt that was there before": 1,
        "examples without a reference": 1,
        "examples with fewer than two candidates": 1,
        "examples without a question": 1,
    }
    check(found, left_out)
    with pytest.raises(ConfigError, match="1 examples without a reference"):
        check([], left_out)


def test_one_candidate_shown_is_nothing_to_fuse() -> None:
    left_out: Counter[str] = Counter()
    assert shown([example(1, "a", "b")], [[1, 2]], 1, left_out) == []


# ---- who chooses ------------------------------------------------------------------------------


def ranks(text: str, examples: Sequence[Example], metric: str | None = None) -> tuple[str, list[Sequence[float]]]:
    async def ask() -> tuple[str, list[Sequence[float]]]:
        async with Committee((), {}) as committee:
            choice = choice_of(text, examples, metric)
            return choice.name, (await choice.ranks(committee, examples))[0]

    return asyncio.run(ask())


def test_a_judge_a_score_or_nobody_chooses() -> None:
    scored = [replace(example(1), candidates=(Text("aa", scores={"s": 0.5}), Text("a", scores={"s": 0.9}), Text("b")))]
    assert ranks("length", scored) == ("length", [(1, 2, 2)])
    name, [by_score] = ranks("scores", scored)
    assert name == "the score 's' in the data"
    assert sorted(range(3), key=lambda n: by_score[n]) == [1, 0, 2]
    assert ranks("none", scored) == ("lot", [[0.0, 0.0, 0.0]])


@pytest.mark.parametrize(
    ("text", "metric", "error"),
    [
        ("scores", "t", "no candidate has a score 't'; the data has r, s"),
        ("scores", None, "say by which score candidates are chosen; the data has r, s"),
        ("who", None, "'who' is no judge"),
    ],
)
def test_who_cannot_choose(text: str, metric: str | None, error: str) -> None:
    scored = [replace(example(1), candidates=(Text("a", scores={"s": 1.0, "r": 2.0}),))]
    with pytest.raises(ConfigError, match=error):
        choice_of(text, scored, metric)


# ---- fusing -----------------------------------------------------------------------------------


def test_a_members_texts_and_its_failures() -> None:
    def reply(request: Request, _: int) -> Reply:
        return Reply(fail=FailureKind.HTTP) if "question 1" in request.question else Reply("fused")

    writer = ScriptedMember("writer", script=reply, retries=0)
    done: list[None] = []
    made = asyncio.run(fuse_all(Generative(member="writer"), prompts(3), [writer], on_done=lambda: done.append(None)))
    assert made == [Fused("fused"), Fused("good text", "scripted failure"), Fused("fused")]
    assert len(done) == 3


def test_no_prompt_waits_for_a_slot_until_its_time_is_over() -> None:
    writer = ScriptedMember("writer", (Reply("fused", latency_s=0.05),), max_concurrency=1, timeout_s=0.2, retries=0)
    made = asyncio.run(fuse_all(Generative(member="writer"), prompts(8), [writer]))
    assert made == [Fused("fused")] * 8


def test_any_fuser_can_be_asked() -> None:
    made = asyncio.run(fuse_all(Aggregate("writer"), prompts(2), [ScriptedMember("writer", ("fused",))]))
    assert made == [Fused("fused"), Fused("fused")]


def test_a_member_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigError, match="asks \\['nobody'\\]"):
        asyncio.run(fuse_all(Generative(member="nobody"), prompts(2)))


def test_weights_write_in_batches_what_a_committee_would_get(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the generative fuser needs the extra torch")
    from tiny_models import chat_llama

    fuser = Generative(str(chat_llama(tmp_path)), device="cpu", beams=1, max_new_tokens=5)
    words = ("Paris .", "Berlin", "the capital of France", "hello world")
    asked = [Shown(example(n, *words[: n + 2]), words[: n + 2]) for n in range(3)]
    together = asyncio.run(fuse_all(fuser, asked, batch=2))
    assert [one.error for one in together] == ["", "", ""]

    async def one_by_one() -> list[str]:
        from coterie import RankAndFuse

        texts = []
        for prompt in asked:
            members = [ScriptedMember(f"m{n}", (text,)) for n, text in enumerate(prompt.best)]
            method = RankAndFuse(tuple(m.name for m in members), judge=_InOrder(), rule="mean", top_k=4, fuser=fuser)
            async with Committee(members, {"default": method}) as committee:
                texts.append((await committee.aask(prompt.request)).text)
        return texts

    assert [one.text for one in together] == asyncio.run(one_by_one())


@dataclass(frozen=True)
class _InOrder:
    """A judge that keeps the pool's order."""

    async def judge(self, request: Request, candidates: Sequence[Candidate], run: Run) -> Sequence[Judgement]:
        return [Judgement("order", (c.id,), (-float(n),)) for n, c in enumerate(candidates)]


# ---- measuring --------------------------------------------------------------------------------


def test_both_texts_are_held_against_the_reference() -> None:
    pytest.importorskip("rouge_score", reason="ROUGE needs the extra eval")
    asked = [Shown(example(n, "the reference", "bad"), ("the reference", "bad")) for n in range(2)]
    with build("rougeL").open() as metric:
        measure = by_metric(metric, asked, [Fused("nothing of it"), Fused("the reference")])
    assert (measure.name, measure.best, measure.fused) == ("rougeL", (1.0, 1.0), (0.0, 1.0))
    assert measure.judges


def test_lengths_are_told_and_judge_nothing() -> None:
    measure = lengths(prompts(1), [Fused("four")])
    assert (measure.best, measure.fused, measure.judges) == ((9.0,), (4.0,), False)


@dataclass(frozen=True)
class _Places:
    """A judge that looks at places alone: the first it is shown is the best."""

    async def judge(self, request: Request, candidates: Sequence[Candidate], run: Run) -> Sequence[Judgement]:
        return [Judgement("places", (c.id,), (-float(n),)) for n, c in enumerate(candidates)]


@dataclass(frozen=True)
class _Silent:
    async def judge(self, request: Request, candidates: Sequence[Candidate], run: Run) -> Sequence[Judgement]:
        return [Judgement.abstain("silent", "why not")]


def vote(judge: object, fused: Sequence[Fused]) -> Measure:
    async def ask() -> Measure:
        async with Committee((), {}) as committee:
            return await by_vote(committee, ("judge", judge), prompts(len(fused)), fused)  # type: ignore[arg-type]

    return asyncio.run(ask())


def test_a_vote_is_asked_for_in_both_orders() -> None:
    texts = [Fused("a much longer text"), Fused("short"), Fused("good text"), Fused("same len!")]
    found = vote(Length(), texts)
    assert found.name == "vote of judge"
    assert found.fused == (1.0, 0.0, 0.5, 0.5)
    assert found.best == (0.0, 1.0, 0.5, 0.5)


def test_a_judge_of_places_cannot_decide_and_a_silent_one_has_no_vote() -> None:
    assert vote(_Places(), [Fused("x"), Fused("good text")]).fused == (0.5, 0.5)
    assert vote(_Silent(), [Fused("x")]).fused == (None,)


# ---- telling ----------------------------------------------------------------------------------


def found_for(gains: Sequence[float], *, fused: Sequence[Fused] | None = None) -> list[str]:
    made = fused or [Fused("new")] * len(gains)
    measure = Measure("m", (0.5,) * len(gains), tuple(0.5 + gain for gain in gains))
    return list(told(worth(Names("f", "c", 3), prompts(len(gains)), made, [measure], bootstrap=QUICK)))


def test_it_says_whether_fusing_gains() -> None:
    said = found_for([0.2, 0.1] * 20)
    assert said[0].startswith("m: fusing gains +0.150 [+0.1")
    assert said[-1] == "In short: fusing gains over the best candidate in 1 measurement, and loses in none."


def test_it_says_whether_fusing_loses() -> None:
    said = found_for([-0.2, -0.1] * 20)
    assert said[0].startswith("m: fusing loses -0.150 [-0.1")
    assert said[-1] == "In short: fusing loses against the best candidate in 1 measurement, and gains in none."


def test_it_says_where_nothing_is_clear() -> None:
    said = found_for([-0.2, 0.2] * 20)
    assert said[0].startswith("m: no clear difference, +0.000 [-0.0")
    assert said[-1].startswith("In short: fusing neither gains nor loses clearly")
    assert found_for([0.1])[0] == "m: too few prompts for an interval, +0.100 on 1 prompts."
    assert found_for([0.1])[-1] == "In short: nothing measured says whether fusing gains or loses."


def test_it_says_where_measurements_differ() -> None:
    up, down = Measure("up", (0.0,) * 9, (1.0,) * 9), Measure("down", (1.0,) * 9, (0.0,) * 9)
    missing = Measure("missing", (None,) * 9, (1.0,) * 9)
    found = worth(Names("f", "c", 3), prompts(9), [Fused("x")] * 9, [up, down, missing], bootstrap=QUICK)
    assert [line.verdict for line in found.lines] == ["gains", "loses", ""]
    said = list(told(found))
    assert said[2] == "missing: no prompt has a number for both texts."
    assert said[-1] == "In short: fusing gains in 1 and loses in 1 of 3 measurements."


def test_copies_and_failures_are_counted() -> None:
    made = [Fused("good text "), Fused("bad"), Fused("new"), Fused("good text", "it broke")]
    found = worth(Names("f", "c", 3), prompts(4), made, [], bootstrap=QUICK)
    assert found.copies_of_best.value == pytest.approx(1 / 3)
    assert found.copies.value == pytest.approx(2 / 3)
    assert found.failures == 1
    assert found.notes == ("the fuser wrote nothing on 1 of 4 prompts; first: it broke",)
    assert "Copying: 33% of the fused texts are the best candidate to the letter, 67% are one" in " ".join(told(found))


def test_the_whole_as_a_table_and_as_data() -> None:
    measure = Measure("m", (0.5, 0.5, None), (1.0, 0.25, 1.0))
    named = Names("f", "a judge", 0)
    found = worth(
        named,
        prompts(3),
        [Fused("new text")] * 3,
        [measure, lengths(prompts(3), [Fused("new text")] * 3)],
        notes=("a note",),
        left_out={"examples without a reference": 2},
        bootstrap=QUICK,
    )
    table = list(rows(found))
    assert table[0][:4] == ("m", "2", "0.500", "0.625")
    assert table[0][4].startswith("+0.125 [")
    assert table[0][5] == "1/0/1"
    assert table[1][:5] == ("characters", "3", "9.0", "8.0", "-1.0 [-1.0, -1.0]")
    data = json.loads(json.dumps(as_json(found)))
    assert data["lines"][0]["gain"]["estimate"]["value"] == pytest.approx(0.125)
    assert data["lines"][0]["verdict"] == "level"
    assert data["left_out"] == {"examples without a reference": 2}
    assert data["in_words"] == list(told(found))
    page = markdown(found)
    assert "f wrote out of all candidates, chosen by a judge, on 3 prompts" in page
    assert "| m | 2 | 0.500 | 0.625 |" in page
    assert "- a note" in page


# ---- fusers by name ---------------------------------------------------------------------------


def test_fusers_by_name(tmp_path: Path) -> None:
    assert fuser_of("aggregate") == ("aggregate", Aggregate(), None)
    assert fuser_of("mine={kind: generative, member: smol}") == ("mine", Generative(member="smol"), None)
    assert fuser_of("{kind: generative, member: smol}")[0] == "smol"
    folder = tmp_path / "fuser"
    folder.mkdir()
    assert fuser_of(str(folder)) == ("fuser", Generative(str(folder)), folder)
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "someone/base"}')
    assert fuser_of(str(folder))[1] == Generative("someone/base", adapter=str(folder))
    assert fuser_of(f"a={folder}", "other.gguf") == ("a", Generative("other.gguf", adapter=str(folder)), folder)


@pytest.mark.parametrize(
    ("text", "base", "error"),
    [
        ("nobody", None, "'nobody' is no fuser and no trained fuser's folder; the fusers are aggregate, generative"),
        ("{kind: ", None, "is no YAML"),
        ("{kind: who}", None, "'who' is none of the fusers"),
        ("aggregate", "base", "'aggregate' is no adapter"),
        ("coterie/nobody", None, "no part called"),
    ],
)
def test_fusers_that_there_are_not(text: str, base: str | None, error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        fuser_of(text, base)


def test_an_adapter_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("[]")
    with pytest.raises(ConfigError, match="no adapter's configuration"):
        fuser_of(str(tmp_path))
