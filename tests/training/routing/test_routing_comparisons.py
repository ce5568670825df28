"""Comparisons: who learns from what, that nobody sees what it is measured on, and what smaller lessons do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

np = pytest.importorskip("numpy", reason="scores are arrays")

from coterie.errors import ConfigError  # noqa: E402
from coterie.evaluation.routing.board import measure  # noqa: E402
from coterie.evaluation.routing.ground import Pair, ground_of  # noqa: E402
from coterie.evaluation.significance import Bootstrap  # noqa: E402
from coterie.outcomes.outcome import Battles, Lessons, Outcomes  # noqa: E402
from coterie.outcomes.split import folds  # noqa: E402
from coterie.prospects import Scale  # noqa: E402
from coterie.routers import artifact  # noqa: E402
from coterie.routers.forecast import Forecast, Queries, Reads, Vectors, Watch  # noqa: E402
from coterie.training.routing.comparing import Setup, TextVectors, forecast, timed  # noqa: E402
from coterie.training.routing.contenders import BASELINES, Contender, contender_of, lineup, recipe_of  # noqa: E402
from coterie.training.routing.kinds import RECIPES  # noqa: E402
from coterie.training.routing.learning import learning_curve  # noqa: E402
from coterie.training.routing.readying import Wanted, ready  # noqa: E402
from coterie.training.routing.seen import FILE, keep, refuse, seen  # noqa: E402
from coterie.training.routing.trial import by_folds, by_test  # noqa: E402
from routed_outcomes import MEMBERS, outcomes  # noqa: E402

if TYPE_CHECKING:
    from coterie.types import Json

QUICK = Bootstrap(resamples=40)


@dataclass(frozen=True, eq=False)
class Remembering:
    """Knows the scores of every prompt that it was fitted to, and the means for all others."""

    members: tuple[str, ...]
    known: Mapping[str, Any]
    means: Any
    reads: Reads = "texts"
    kind: str = "remembering"
    scale: Scale = Scale.SCORE

    def forecast(self, queries: Queries) -> Forecast:
        return Forecast(np.array([self.known.get(text, self.means) for text in queries.texts]))

    def settings(self) -> Mapping[str, Json]:
        return {}

    def arrays(self) -> Mapping[str, Any]:
        return {}


@dataclass(frozen=True)
class RememberingRecipe:
    """Fits it, and keeps count of what it was shown."""

    shown: Any = None
    vectors: bool = False
    kind: str = "remembering"

    @property
    def reads(self) -> Reads:
        return "both" if self.vectors else "texts"

    @property
    def learns_from(self) -> frozenset[Literal["outcomes", "battles"]]:
        return frozenset({"outcomes", "battles"})

    def fit(self, lessons: Lessons, vectors: Vectors, watch: Watch) -> Remembering:
        of = lessons.outcomes
        if of is None or len(of) < 4:
            raise ConfigError("too few to remember")
        if self.shown is not None:
            self.shown.append((lessons, vectors))
        watch("remembering", len(of), len(of))
        known = dict(zip(of.prompts, of.scores, strict=True))
        return Remembering(of.members, known, np.nanmean(of.scores, axis=0), self.reads)


@dataclass(frozen=True)
class Numbers:
    """An encoder that reads a text's first number: itself, or whether it is odd. It notes what it is given."""

    parity: bool = False
    given: list[str] = field(default_factory=list, compare=False)
    dimensions = 2

    @property
    def identity(self) -> str:
        return f"numbers-{self.parity}"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Numbers]:
        yield self

    async def encode(self, texts: Sequence[str]) -> Any:
        self.given.extend(texts)
        read = [int(text.split()[1]) for text in texts]
        return np.array([[1 - n % 2, n % 2] if self.parity else [n, 1] for n in read], dtype=np.float32)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors are kept in a folder of the test's own."""
    monkeypatch.setenv("COTERIE_VECTORS", str(tmp_path / "vectors"))


def remembering(**more: Any) -> Contender:
    return Contender("remembering", RememberingRecipe(**more))


def setup_of(trial: Any) -> Setup:
    return Setup(trial, TextVectors(None))


def battles(of: Outcomes) -> Battles:
    n = len(of)
    return Battles(of.members, of.prompts, np.zeros(n, int), np.ones(n, int), np.full(n, 0.5))


# ---- splits ---------------------------------------------------------------------------------------


def test_every_prompt_is_measured_once_and_never_by_who_has_learned_from_it() -> None:
    of = outcomes(120)
    of = replace(of, prompts=(*of.prompts[:60], *(f"  {p.upper()}" for p in of.prompts[:60])))
    trial = by_folds(Lessons(of, battles(of)), of, 4)
    measured = np.concatenate([part.measured for part in trial.parts])
    assert sorted(measured.tolist()) == list(range(120))
    for part in trial.parts:
        seen_there = {of.prompts[row].casefold().replace(" ", "") for row in (*part.learned, *part.battles)}
        assert not seen_there & {of.prompts[row].casefold().replace(" ", "") for row in part.measured}


def test_folds_are_those_of_the_outcomes_room() -> None:
    of = outcomes(40)
    trial = by_folds(Lessons(of), of, 3)
    for part, sides in zip(trial.parts, folds(Lessons(of), 3), strict=True):
        assert sides.measured.outcomes is not None
        assert sides.measured.outcomes.prompts == tuple(of.prompts[row] for row in part.measured)


def test_a_router_that_remembers_its_lessons_is_worth_no_more_than_their_means() -> None:
    of = outcomes(150)
    found = forecast(remembering(), setup_of(by_folds(Lessons(of), of, 5)))
    assert len(np.unique(found.quality[:, 0])) == 5, "one mean a fold: nothing was remembered of what was measured"
    assert found.quality.mean(axis=0) == pytest.approx(of.scores.mean(axis=0), abs=0.02)
    board = measure(ground_of(of, bootstrap=QUICK), [found])
    against = board.against(board.named["remembering"], "random mix")
    assert against is not None
    assert against.word != "yes"


def test_a_prompt_in_both_files_is_refused_with_the_rows_named() -> None:
    of = outcomes(6)
    other = replace(of, prompts=("new", f"{of.prompts[3]} ", *"abcd"), places=tuple(f"test:{n}" for n in range(6)))
    with pytest.raises(ConfigError, match="made-up:4 and test:1"):
        by_test(Lessons(of), other)


def test_a_test_file_is_measured_whole_by_one_router() -> None:
    shown: list[Any] = []
    of = outcomes(30)
    other = replace(outcomes(8, seed=3), prompts=tuple("abcdefgh"))
    trial = by_test(Lessons(of), other)
    found = forecast(remembering(shown=shown), setup_of(trial))
    assert found.quality == pytest.approx(np.tile(of.scores.mean(axis=0), (8, 1)))
    assert [len(lessons.outcomes) for lessons, _ in shown] == [30]


@pytest.mark.parametrize("k", [1, 50])
def test_folds_that_cannot_be_are_refused(k: int) -> None:
    of = outcomes(10)
    with pytest.raises(ConfigError, match=r"at least 2 folds|too few for 50 folds"):
        by_folds(Lessons(of), of, k)


# ---- forecasts ------------------------------------------------------------------------------------


def test_costs_are_expected_as_learned_and_unknown_ones_left_to_the_ground() -> None:
    of = outcomes(60)
    trial = by_folds(Lessons(of), of, 2)
    found = forecast(remembering(), setup_of(trial))
    part = trial.parts[0]
    assert found.expected_usd is not None
    assert found.expected_usd[part.measured[0]] == pytest.approx(of.costs_usd[part.learned].mean(axis=0))
    unknown = outcomes(60, costs=False)
    assert forecast(remembering(), setup_of(by_folds(Lessons(unknown), unknown, 2))).expected_usd is None


def test_members_stand_in_the_order_of_the_outcomes_and_strange_ones_are_unknown() -> None:
    of = outcomes(40)
    turned = of.of(["dear", "cheap", "middle"])
    trial = by_test(Lessons(of), replace(turned, prompts=tuple(f"new {n}" for n in range(40))))
    assert forecast(remembering(), setup_of(trial)).quality[0] == pytest.approx(turned.scores.mean(axis=0))
    two = by_test(Lessons(of.of(["dear", "cheap"])), trial.measured)
    found = forecast(remembering(), setup_of(two))
    assert np.isnan(found.quality[:, 2]).all()
    assert found.note == "it was not trained on middle, and never chooses them"
    few = by_test(Lessons(of.of(["dear", "middle"])), trial.measured.of(["dear", "cheap"]))
    with pytest.raises(ConfigError, match=r"knows \['dear', 'middle'\], and of the members \['dear', 'cheap'\]"):
        forecast(remembering(), setup_of(few))


@pytest.mark.usefixtures("kept")
def test_a_router_that_reads_vectors_gets_those_of_its_texts_each_encoded_once() -> None:
    encoder = Numbers()
    shown: list[Any] = []
    of = outcomes(30)
    trial = by_folds(Lessons(of, battles(of)), of, 3)
    forecast(remembering(shown=shown, vectors=True), Setup(trial, TextVectors(encoder)))
    assert sorted(encoder.given) == sorted(of.prompts)
    for part, (lessons, found) in zip(trial.parts, shown, strict=True):
        assert found.outcomes[:, 0].tolist() == part.learned.tolist()
        assert found.battles[:, 0].tolist() == part.battles.tolist()
        assert len(lessons.battles) == len(part.battles)
    with pytest.raises(ConfigError, match="need an encoder"):
        forecast(remembering(vectors=True), setup_of(trial))


def test_decisions_are_timed_one_query_at_a_time() -> None:
    asked: list[int] = []

    class Counting(Remembering):
        def forecast(self, queries: Queries) -> Forecast:
            asked.append(len(queries))
            return super().forecast(queries)

    router = Counting(MEMBERS, {}, np.zeros(3))
    found = timed(router, Queries(("a", "b", "c")))
    assert set(asked) == {1}
    assert (len(asked), found.queries) == (13, 3)
    assert 0 < found.p50_s <= found.p99_s


# ---- contenders -----------------------------------------------------------------------------------


def test_baselines_stand_in_every_lineup() -> None:
    found = lineup(["{kind: knn, k: 7}", "mine=knn", "eagle"])
    assert [one.name for one in found] == ["knn", "mine", "eagle", "length", "bag_of_words"]
    roles = {one.name: one.role for one in found}
    assert roles == {**dict.fromkeys(BASELINES, "baseline"), "mine": "router", "eagle": "router"}
    assert found[0].recipe == recipe_of("knn", {"k": 7})


def test_without_a_wish_every_kind_stands_there_that_trains_no_transformer() -> None:
    names = {one.name for one in lineup([])}
    assert names == set(RECIPES) - {"bert", "causal_llm", "forc", "hybrid", "always", "random"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("knnn", "did you mean 'knn'"),
        ("{kind: knn, neighbours: 3}", r"has no setting 'neighbours' \(allowed: k"),
        ("{kind: knn, k: many}", "k: Input should be a valid integer"),
        ("{k: 3}", "None is neither a kind of router"),
        ("{kind: knn", "is no YAML"),
    ],
)
def test_what_is_no_router_is_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        contender_of(text)


def test_two_routers_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="two routers are called 'eagle'"):
        lineup(["eagle", "{kind: eagle, p: 0.1}"])


# ---- trained routers ------------------------------------------------------------------------------


def trained(folder: Path, prompts: tuple[str, ...]) -> Path:
    """A length router in a folder, which says what it was trained on."""
    of = replace(outcomes(len(prompts)), prompts=prompts)
    fitted = recipe_of("length", {}).fit(Lessons(of), Vectors(), lambda *_: None)
    artifact.save(fitted, folder)
    keep(folder, prompts)
    return folder


def test_a_trained_router_is_known_by_its_folder_and_learns_nothing_more(tmp_path: Path) -> None:
    place = trained(tmp_path / "mine", tuple("word " * n for n in range(1, 20)))
    one = contender_of(str(place))
    assert (one.name, one.role, one.reads_vectors) == ("mine", "router", False)
    of = outcomes(24)
    found = forecast(one, setup_of(by_folds(Lessons(of), of, 2)))
    assert one.artifact is not None
    assert found.quality == pytest.approx(one.artifact.fitted.forecast(Queries(of.prompts)).quality)
    assert found.timing is not None
    assert found.timing.fit_s is None


def test_a_trained_router_is_not_measured_on_what_it_has_learned_from(tmp_path: Path) -> None:
    of = outcomes(12)
    known = seen(trained(tmp_path / "mine", (*of.prompts[4:11], "another")))
    assert known is not None
    assert known.has(f"  {of.prompts[4].upper()}")
    with pytest.raises(
        ConfigError, match=r"trained on 7 of the 12 prompts: made-up:5, .*made-up:9, and 2 more\. Measure"
    ):
        refuse("mine", known, of)
    refuse("mine", known, of.rows([0, 1, 2, 3, 11]))


def test_what_was_learned_from_is_kept_without_its_text_and_may_be_unknown(tmp_path: Path) -> None:
    place = trained(tmp_path / "mine", ("a secret question", *"bcdefg"))
    assert b"secret" not in (place / FILE).read_bytes()
    other = trained(tmp_path / "again", ("a secret question", *"bcdefg"))
    assert (place / FILE).read_bytes() != (other / FILE).read_bytes(), "salted"
    (place / FILE).unlink()
    assert seen(place) is None
    (place / FILE).write_bytes(b"nothing")
    with pytest.raises(ConfigError, match=FILE):
        seen(place)


# ---- learning from less ---------------------------------------------------------------------------


def test_smaller_lessons_are_parts_of_larger_ones_and_counted_by_prompt() -> None:
    of = outcomes(100)
    of = replace(of, prompts=tuple(f"question {n // 2}" for n in range(100)))
    trial = by_folds(Lessons(of, battles(of)), of, 4)
    small, large = trial.smaller(5), trial.smaller(20)
    assert (small.prompts_learned, large.prompts_learned) == (5, 20)
    for less, more, whole in zip(small.parts, large.parts, trial.parts, strict=True):
        assert set(less.learned) <= set(more.learned) <= set(whole.learned)
        assert less.measured.tolist() == whole.measured.tolist()
        assert not len(less.battles)


def test_a_learning_curve_has_every_size_that_can_be_learned_from() -> None:
    of = outcomes(90)
    ground = ground_of(of, Pair("cheap", "dear"), bootstrap=QUICK)
    trial = by_folds(Lessons(of), ground.outcomes, 3)
    setup = setup_of(trial)
    board = measure(ground, [forecast(remembering(), setup)])
    found = learning_curve([remembering()], setup, board, (2, 10, 30, 5000))
    assert list(found.sizes) == [10, 30, trial.prompts_learned]
    assert found.figures["remembering"][trial.prompts_learned] == board.named["remembering"].figures["apgr"].estimate


# ---- what takes part ------------------------------------------------------------------------------


def test_incomplete_prompts_are_learned_from_and_not_measured_on() -> None:
    of = outcomes(60)
    scores = of.scores.copy()
    scores[:20, 1] = np.nan
    of = replace(of, scores=scores)
    found = ready(Lessons(of), None, Wanted(folds=2, bootstrap=QUICK))
    assert len(found.ground) == 40
    assert sum(len(part.learned) for part in found.trial.parts) == 60
    assert found.notes[0].startswith("20 of 60 prompts are not measured on")


def test_members_and_groups_are_chosen() -> None:
    of = outcomes(60, groups=("mmlu/law", "gsm8k", "mmlu"))
    lessons = Lessons(of, battles(of))
    found = ready(lessons, None, Wanted(folds=2, weak="cheap", strong="dear", groups=("mmlu",), bootstrap=QUICK))
    assert found.ground.pair == Pair("cheap", "dear")
    assert found.ground.outcomes.members == ("cheap", "dear")
    assert len(found.ground) == 40
    assert found.trial.lessons.battles is None, "no battle was between these two"
    pool = ready(lessons, None, Wanted(folds=2, members=("middle", "cheap"), bootstrap=QUICK))
    assert pool.ground.pair is None
    assert ready(Lessons(of.of(["cheap", "dear"])), None, Wanted(folds=2)).ground.pair == Pair("cheap", "dear")
    with pytest.raises(ConfigError, match="those of the data are gsm8k, mmlu"):
        ready(lessons, None, Wanted(groups=("math",)))


def test_the_share_that_training_holds_out_is_measured_and_the_rest_learned_from() -> None:
    of = outcomes(200)
    found = ready(Lessons(of), None, Wanted(held_out=0.25, bootstrap=QUICK))
    [part] = found.trial.parts
    assert len(part.learned) + len(part.measured) == 200
    assert 30 < len(part.measured) < 70
    assert "0.25" in found.trial.how


def test_another_file_is_measured_for_the_members_that_were_learned() -> None:
    of, other = outcomes(30), replace(outcomes(9, seed=4), prompts=tuple("abcdefghi"))
    found = ready(Lessons(of.of(["dear", "cheap"])), Lessons(other), Wanted(members=("dear", "cheap"), bootstrap=QUICK))
    assert found.ground.outcomes.members == ("dear", "cheap")
    assert len(found.ground) == 9


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"weak": "cheap"}, "name both, or neither"),
        ({"weak": "cheap", "strong": "dear", "members": ("cheap", "dear")}, "not both"),
    ],
)
def test_wishes_that_contradict_each_other_are_refused(wanted: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Wanted(**wanted)


def test_battles_alone_are_nothing_to_measure_on() -> None:
    with pytest.raises(ConfigError, match="measured on outcomes, and there are none"):
        ready(Lessons(None, battles(outcomes(8))), None, Wanted())


@pytest.mark.usefixtures("kept")
def test_the_nearest_neighbours_kind_goes_all_the_way() -> None:
    """A real kind that reads vectors: prompts of even and odd numbers are answered by different members."""
    of = outcomes(80, members=2)
    even = np.arange(80) % 2 == 0
    of = replace(of, scores=np.stack([even, ~even], axis=1).astype(float))
    ground = ground_of(of, bootstrap=QUICK)
    setup = Setup(by_folds(Lessons(of), of, 4), TextVectors(Numbers(parity=True)))
    board = measure(ground, [forecast(contender_of("near={kind: knn, k: 1}"), setup)])
    assert board.named["near"].figures["quality"].value == 1.0
    assert board.named["near"].figures["closed"].value == 1.0
