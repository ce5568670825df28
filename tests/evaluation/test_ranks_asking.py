"""Putting examples before judges: every judge in the registry by its name, many at once, silence told apart."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path

import pytest

from coterie import registry
from coterie.committee import Committee
from coterie.errors import ConfigError
from coterie.evaluation.asking import Asked, Ruled, ask_all, compared_with_all, request_of
from coterie.evaluation.judges import judge_of
from coterie.evaluation.labels import competition_ranks, rank_of_text
from coterie.evaluation.rows import longest
from coterie.examples import Comparison, Example, Text, read
from coterie.judges.length import Length
from coterie.judges.pair_ranker.judge import source_of
from coterie.members.scripted import ScriptedMember
from coterie.protocols import Judge, Run
from coterie.types import Candidate, Judgement, Message, Request
from golden import RANKER, golden

PAIRS = list(read(str(Path(__file__).parent.parent / "data" / "preference_pairs.jsonl")))


def asked(
    judge: Judge | str, examples: Sequence[Example], *, at_once: int = 8, seed: int = 0, rule: str = "max_logits"
) -> Asked:
    part = judge_of(judge)[1] if isinstance(judge, str) else judge

    async def main() -> Asked:
        async with Committee((), {}) as committee:
            return await ask_all(committee, Ruled("j", part, rule), examples, at_once=at_once, seed=seed)

    return asyncio.run(main())


def listed(*texts: str) -> Example:
    return Example("1", input="?", candidates=tuple(Text(t, f"m{n}") for n, t in enumerate(texts)))


# ---- what comes back --------------------------------------------------------------------------


def test_the_judge_length_ranks_as_the_longest_row_does() -> None:
    made = asked(Length(), PAIRS)
    assert list(made.ranks) == list(longest(PAIRS).places)
    assert (made.silent, made.failures, made.notes) == (0, 0, ())


def test_golden_ranks_of_a_trained_ranker_by_its_folder() -> None:
    pytest.importorskip("torch", reason="the pair ranker needs the extra torch")
    found = golden()
    examples = [
        Example(str(n), input=source, candidates=tuple(map(Text, texts)))
        for n, (source, texts) in enumerate(zip(found.inputs, found.candidates, strict=True))
    ]
    made = asked(f"{{kind: pair_ranker, model: {json.dumps(str(RANKER))}, device: cpu}}", examples)
    assert [list(ranks) for ranks in made.ranks] == found.ranks


@pytest.mark.parametrize("at_once", [1, 3, 1000])
def test_how_many_are_asked_at_once_changes_nothing(at_once: int) -> None:
    assert asked("agreement", PAIRS[:20], at_once=at_once).ranks == asked("agreement", PAIRS[:20]).ranks


def test_a_seed_repeats_what_a_judge_draws_and_another_does_not() -> None:
    first, again, other = (asked("random", PAIRS, seed=seed).ranks for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("kind", ["agreement", "length", "random"])
def test_what_is_hardly_an_example_is_ranked_too(kind: str) -> None:
    made = asked(kind, [Example("0"), listed("alone"), listed("", ""), Example("3", candidates=(Text("x"), Text("y")))])
    assert [len(ranks) for ranks in made.ranks] == [0, 1, 2, 2]
    assert made.ranks[1] == (1,)


@pytest.mark.parametrize("kind", sorted(registry.known("judges")))
def test_every_judge_in_the_registry_can_be_named(kind: str) -> None:
    cls = registry.find("judges", kind)
    needs_model = any(f.name == "model" and f.default is MISSING for f in fields(cls))
    name, judge = judge_of(f"{{kind: {kind}, model: some/ranker}}" if needs_model else kind)
    assert name == ("ranker" if needs_model else kind)
    assert type(judge) is cls


# ---- silence and defects ----------------------------------------------------------------------


@dataclass(frozen=True)
class Mute:
    """Says nothing of some."""

    of: str

    async def judge(self, request: Request, candidates: Sequence[Candidate], run: Run) -> Sequence[Judgement]:
        if request.question == self.of:
            return [Judgement.abstain("mute", "I would rather not")]
        return [Judgement("mute", tuple(c.id for c in candidates), tuple(float(len(c.text)) for c in candidates))]


def test_where_a_judge_is_silent_all_are_tied_and_it_is_told() -> None:
    texts = (Text("a"), Text("bb"), Text("ccc"))
    made = asked(Mute("odd"), [Example("1", input="odd", candidates=texts), Example("2", input="x", candidates=texts)])
    assert made.ranks == ((1, 1, 1), (3, 2, 1))
    assert made.notes == (
        "j said nothing of 1 of 2 examples, where its picks count as drawn by lot; 0 calls failed; "
        "first: mute: I would rather not",
    )


@dataclass(frozen=True)
class Broken:
    error: type[Exception] = ZeroDivisionError

    async def judge(self, request: Request, candidates: Sequence[Candidate], run: Run) -> Sequence[Judgement]:
        if request.question == "3":
            raise self.error("a defect")
        await asyncio.sleep(0.001)
        return []


def test_a_defect_ends_the_whole_and_leaves_nobody_working() -> None:
    examples = [Example(str(n), input=str(n), candidates=(Text("a"), Text("b"))) for n in range(500)]
    with pytest.raises(ZeroDivisionError, match="a defect"):
        asked(Broken(), examples)


@dataclass(frozen=True)
class Counting:
    under_way: list[int] = field(default_factory=lambda: [0, 0], hash=False)

    async def judge(self, request: Request, candidates: Sequence[Candidate], run: Run) -> Sequence[Judgement]:
        self.under_way[0] += 1
        self.under_way[1] = max(self.under_way)
        await asyncio.sleep(0.002)
        self.under_way[0] -= 1
        return [Judgement("counting", tuple(c.id for c in candidates), tuple(0.0 for _ in candidates))]


def test_so_many_and_no_more_are_under_way() -> None:
    counting = Counting()
    asked(counting, PAIRS[:40], at_once=7)
    assert counting.under_way == [0, 7]


def test_members_can_be_judges() -> None:
    async def main() -> Asked:
        async with Committee([ScriptedMember("gpt", ("1",))], {}) as committee:
            judge = judge_of("{kind: comparison, members: [gpt]}")[1]
            return await ask_all(committee, Ruled("gpt", judge), [listed("a", "b", "c")])

    assert asyncio.run(main()).ranks == ((1, 1, 1),)  # who always prefers the first place is tied with itself


def test_a_judge_whose_members_are_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="gpt"):
        asked("{kind: comparison, members: [gpt]}", PAIRS[:3])


# ---- texts that are no candidates -------------------------------------------------------------


def rank_by(judge: Judge, text: str, *members: ScriptedMember) -> int:
    labels = (Comparison(0, 1, "a"), Comparison(0, 2, "a"), Comparison(1, 2, "a"))
    example = replace(listed("ccc", "bb", "a"), comparisons=labels)

    async def main() -> int:
        async with Committee(members, {}) as committee:
            return rank_of_text(example, text, await compared_with_all(committee, judge, example, text))

    return asyncio.run(main())


@pytest.mark.parametrize(("text", "rank"), [("dddd", 1), ("xyz", 1), ("xy", 2), ("x", 3), ("", 4)])
def test_a_fused_text_gets_a_rank_among_the_labelled(text: str, rank: int) -> None:
    assert rank_by(Length(), text) == rank  # xyz is as long as the best, and shares its rank


def test_a_member_compares_a_fused_text_in_two_calls_a_candidate() -> None:
    asked = []

    def script(request: Request, number: int) -> str:
        asked.append(request)
        first, second = re.findall(r'<answer-\w+ id="[AB]">\n(.*)\n</answer', request.messages[-1].text)
        return "1" if len(first) > len(second) else "2"

    judge = judge_of("{kind: comparison, members: [gpt]}")[1]
    assert rank_by(judge, "dddd", ScriptedMember("gpt", script=script)) == 1
    assert len(asked) == 2 * 3


def test_a_fused_text_of_which_the_judge_is_silent_has_no_rank() -> None:
    with pytest.raises(ConfigError, match=r"comparisons with \[0, 1, 2\] are missing"):
        rank_by(Mute("?"), "dddd")


# ---- requests ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instruction", "input_", "roles"),
    [("Do.", "This.", ["system", "user"]), ("Do.", "", ["user"]), ("", "This.", ["user"]), ("", "", ["user"])],
)
def test_a_ranker_reads_instruction_and_input_as_it_was_trained_to(
    instruction: str, input_: str, roles: list[str]
) -> None:
    example = Example("1", instruction=instruction, input=input_)
    request = request_of(example)
    assert [message.role for message in request.messages] == roles
    assert source_of(request.messages) == example.source
    assert all(isinstance(message, Message) for message in request.messages)


# ---- judges by name ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("length", "length"),
        ("mine=length", "mine"),
        ("a b = length", "a b"),
        ("{kind: length}", "length"),
        ("x={kind: length}", "x"),
        ("{kind: pair_ranker, model: some/where}", "where"),
        ("{kind: peer_review, reviewers: [a=b]}", "peer_review"),
    ],
)
def test_a_judge_has_the_name_it_is_given_or_its_own(text: str, name: str) -> None:
    assert judge_of(text)[0] == name


def test_a_trained_rankers_folder_says_its_kind(tmp_path: Path) -> None:
    name, judge = judge_of(str(RANKER))
    assert (name, type(judge).__name__) == ("ranker", "PairRanker")
    shutil.copy(RANKER / "config.json", tmp_path / "ranker_config.json")
    assert type(judge_of(str(tmp_path))[1]).__name__ == "PairRanker"


@pytest.mark.parametrize("kind", ["pointwise", "simcls", "summareranker"])
def test_the_baselines_folders_too(tmp_path: Path, kind: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"ranker_type": kind}))
    assert type(judge_of(str(tmp_path))[1]) is registry.find("judges", kind)


@pytest.mark.parametrize(
    ("architecture", "kind"),
    [
        ("DebertaV2ForSequenceClassification", "pointwise"),
        ("BertForMaskedLM", "mlm_scoring"),
        ("DebertaV2PairRM", "pair_ranker"),
    ],
)
def test_published_models_are_known_by_their_architecture(tmp_path: Path, architecture: str, kind: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": [architecture]}))
    assert type(judge_of(str(tmp_path))[1]) is registry.find("judges", kind)


def test_what_is_no_judge_is_told_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"ranker_type": "other"}')
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("[1")
    (tmp_path / "list").mkdir()
    (tmp_path / "list" / "config.json").write_text("[]")
    (tmp_path / "empty").mkdir()
    for text, said in (
        ("lenght", "'lenght' is no judge and no checkpoint's folder; the judges are agreement,"),
        ("", "'' is no judge"),
        ("{kind: lenght}", "did you mean 'length'"),
        ("{kind: length, by: words}", "judge.by: there is no such setting"),
        ("{kind: [", "is no YAML"),
        (str(tmp_path), "holds a 'other'; known are pairranker"),
        (str(tmp_path / "broken"), "is no ranker's configuration"),
        (str(tmp_path / "list"), "is no ranker's configuration"),
        (str(tmp_path / "empty"), "holds neither ranker_config.json nor config.json"),
    ):
        with pytest.raises(ConfigError, match=said.replace("[", r"\[")):
            judge_of(text)


def test_longest_counts_characters() -> None:
    assert longest([listed("a", "bbb", "ß", "")]).places == [competition_ranks([1, 3, 1, 0])]
