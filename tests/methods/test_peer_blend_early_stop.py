"""Ballots that cannot change the answer any more are cut, and the answer is the one that all would have made."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from scripted_committee import Asked, Cast, Said, ask, by, fixed

from coterie import Answer, Limits, PeerBlend, PeerReview, Reply, replay
from coterie.methods.peer_blend import Final
from coterie.policies import AlternateRanking
from coterie.trace import CallFailed
from coterie.types import BallotMode, FailureKind, Judgement
from review_prompts import Fenced

SETTLED = "cut: it could not change the outcome any more"
NAMES = ("ann", "bob", "cat", "dan", "eve")
SCORES = {"a": 2, "b": 2, "c": 2, "d": 2, "e": 5}
HANGS = Reply(hang=True)
modes = pytest.mark.parametrize("mode", [BallotMode.TEXT, BallotMode.POINTWISE, BallotMode.SCORE_LOGPROB])


def unanimous(*hanging: str) -> list[Cast]:
    """Five who all find e best and the others alike, and of whom some never say so."""
    return [Cast(n, n[0], HANGS if n in hanging else by(lambda text: SCORES[text])) for n in NAMES]


def cuts(asked: Asked) -> Counter[str]:
    """By member, how many of its calls were cut."""
    failed = [event.failure for event in asked.trace.of(CallFailed)]
    return Counter(failure.member for failure in failed if failure.kind is FailureKind.CUT)


# ---- what is cut ------------------------------------------------------------------------------


@modes
def test_a_hanging_reviewer_is_not_waited_for_where_it_could_change_nothing(mode: BallotMode) -> None:
    # Without bob's ballot e has three first places of four, and nobody else can come near.
    method = PeerBlend(NAMES, final="select", review=PeerReview(ballot=mode))
    asked = ask(unanimous("bob"), method, Limits(deadline_s=5))
    assert (asked.answer.text, asked.answer.how) == ("e", "ranked")
    assert asked.trace.wall_s < 2
    assert asked.active == 0
    assert cuts(asked) == {"bob": 1 if mode is BallotMode.TEXT else 4}
    assert [j.abstained for j in asked.answer.judgements] == ["", SETTLED, "", "", ""]


@modes
def test_a_cut_ballot_is_nobodys_failure_and_leaves_the_answer_whole(mode: BallotMode) -> None:
    asked = ask(unanimous("bob"), PeerBlend(NAMES, final="select", review=PeerReview(ballot=mode)))
    assert (asked.answer.failures, asked.answer.partial, asked.answer.notes) == ((), False, ())
    assert asked.answer.to_json()["failures"] == []
    # what a cut call consumed is not known, and is not called nothing
    assert asked.answer.usage.input_tokens is None
    assert asked.answer.usage.calls == len(asked.trace.calls)


def test_who_was_cut_may_still_fuse() -> None:
    players = unanimous("eve")
    for player in players:
        player.review = HANGS if player.name == "eve" else by(lambda text: {"e": 5, "d": 4}.get(text, 1))
    method = PeerBlend(NAMES, final="fuse", top_k=2, review=PeerReview(weights={"eve": 0.1}))
    asked = ask(players, method, Limits(deadline_s=5))
    assert cuts(asked) == {"eve": 1}
    assert (asked.answer.text, asked.answer.candidate.author, asked.answer.failures) == ("fused", "eve", ())
    assert list(Fenced(players[4].prompts("fuse")[0]).answers.values()) == ["e", "d"]


def test_an_aggregator_reads_every_ballot() -> None:
    slow = [replace(player, review=_slowly(player.review, 0.02 * n)) for n, player in enumerate(unanimous())]
    asked = ask(slow, PeerBlend(NAMES, final="aggregate"))
    assert all(judgement.about for judgement in asked.answer.judgements)
    assert cuts(asked) == {}


def test_an_aggregator_with_nothing_to_read_needs_no_ballot_more_than_selection() -> None:
    asked = ask(unanimous("bob"), PeerBlend(NAMES, top_k=1), Limits(deadline_s=5))
    assert (asked.answer.text, cuts(asked)) == ("e", {"bob": 1})


def test_it_can_be_turned_off() -> None:
    slow = [replace(player, review=_slowly(player.review, 0.02 * n)) for n, player in enumerate(unanimous())]
    asked = ask(slow, PeerBlend(NAMES, final="select", early_stop=False))
    assert all(judgement.about for judgement in asked.answer.judgements)
    on = ask(slow, PeerBlend(NAMES, final="select"))
    assert sum(cuts(on).values()) > 0
    assert on.answer.text == asked.answer.text == "e"


def test_where_a_policy_remembers_every_ballot_is_read() -> None:
    slow = [replace(player, review=_slowly(player.review, 0.02 * n)) for n, player in enumerate(unanimous())]
    asked = ask(slow, PeerBlend(NAMES, final="select", policy=AlternateRanking()))
    assert all(judgement.about for judgement in asked.answer.judgements)


def test_nothing_is_settled_before_every_answer_is_there() -> None:
    # a to d are ranked long before e, the best of all, is there
    players = [*unanimous()[:4], Cast("eve", Reply("e", latency_s=0.1), by(lambda text: SCORES[text]))]
    review = PeerReview(ballot=BallotMode.POINTWISE, reviewers_each=2)
    asked = ask(players, PeerBlend(NAMES, final="select", review=review))
    assert asked.answer.text == "e"


def test_a_committee_of_two_waits_for_both_ballots() -> None:
    players = [Cast("ann", "a", fixed(b=5)), Cast("bob", "b", _slowly(fixed(a=1), 0.05))]
    for each in (None, 1):
        asked = ask(players, PeerBlend(("ann", "bob"), final="select", review=PeerReview(reviewers_each=each)))
        assert (asked.answer.text, cuts(asked)) == ("b", {})


def _slowly(review: Said | Callable[[str], Said], latency_s: float) -> Callable[[str], Reply | str]:
    def slow(prompt: str) -> Reply | str:
        said = review(prompt) if callable(review) else review
        return replace(said, latency_s=latency_s) if isinstance(said, Reply) else Reply(said, latency_s=latency_s)

    return slow


# ---- the same answer --------------------------------------------------------------------------


class Chance:
    """A committee whose answers, ballots, delays and defects are drawn, once, so that every run meets the same."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        self.seed = seed
        self.names = tuple(f"m{n}" for n in range(rng.randint(3, 8)))
        self.rule = rng.choice(["normalised_borda", "borda", "copeland", "mean"])
        self.writes_s = {name: rng.choice([0, 0, 0.004]) for name in self.names}
        self.reviews_s = {name: rng.choice([0, 0.003, 0.01, 0.025]) for name in self.names}
        self.odd = {name: rng.choice([None] * 10 + ["unreadable", "failing", "mute"]) for name in self.names}
        self.levels = rng.choice([2, 5])
        self.review = self._review(rng)

    def _review(self, rng: random.Random) -> PeerReview:
        mode = rng.choice([BallotMode.TEXT, BallotMode.POINTWISE, BallotMode.SCORE_LOGPROB, None])
        mixed = {name: rng.choice([BallotMode.TEXT, BallotMode.POINTWISE]) for name in self.names}
        drawn = {name: rng.choice([0.0, 0.3, 1.0, 2.5]) for name in self.names}
        light = {name: 0.05 if self.reviews_s[name] > 0.005 else 1.0 for name in self.names}  # whoever is slow
        some = tuple(rng.sample(self.names, rng.randint(1, len(self.names))))
        return PeerReview(
            some if rng.random() < 0.3 else None,
            rng.choice([None, None, 1, 2, 3]),
            mode,
            {} if mode else mixed,
            weights=rng.choice([{}, drawn, light, light]),
        )

    def ask(self, final: Final, *, early_stop: bool) -> Asked:
        method = PeerBlend(self.names, 2, final=final, review=self.review, rule=self.rule, early_stop=early_stop)
        return ask([self._player(name) for name in self.names], method, seed=self.seed)

    def _player(self, name: str) -> Cast:
        failing = Reply(fail=FailureKind.HTTP, latency_s=self.reviews_s[name])
        answer = Reply(name, latency_s=self.writes_s[name])
        match self.odd[name]:
            case "mute":
                return Cast(name, replace(answer, fail=FailureKind.HTTP))
            case "unreadable":
                return Cast(name, answer, "?")
            case "failing":
                return Cast(name, answer, failing)
            case _:
                return Cast(name, answer, _slowly(by(self._eyes_of(name)), self.reviews_s[name]))

    def _eyes_of(self, name: str) -> Callable[[str], float]:
        """What all see in an answer, and what this one sees alone."""

        def score(text: str) -> float:
            common = random.Random(f"{self.seed} {text}").randint(1, self.levels)
            own = random.Random(f"{self.seed} {name} {text}").randint(1, self.levels)
            return round((2 * common + own) / 3)

        return score


def chances(number: int) -> list[Chance]:
    """So many committees in which somebody writes."""
    return [c for c in map(Chance, range(number)) if any(odd != "mute" for odd in c.odd.values())]


def outcome(answer: Answer, final: Final) -> Sequence[str]:
    """What the ballots are wanted for: the authors of the answers that are selected or fused, best first."""
    return [candidate.author for candidate in answer.candidates[: 1 if final == "select" else 2]]


@pytest.mark.parametrize("final", ["select", "fuse"])
def test_the_answer_is_the_one_that_all_ballots_would_have_made(final: Final) -> None:
    cut = 0
    for chance in chances(60):
        early, whole = chance.ask(final, early_stop=True), chance.ask(final, early_stop=False)
        assert outcome(early.answer, final) == outcome(whole.answer, final), f"seed {chance.seed}"
        assert {f.member for f in early.answer.failures} <= {f.member for f in whole.answer.failures}
        assert not any(judgement.abstained == SETTLED for judgement in whole.answer.judgements)
        assert (early.active, whole.active) == (0, 0)
        cut += sum(1 for j in early.answer.judgements if j.abstained == SETTLED)
    assert cut > 0


def spoken(answer: Answer) -> list[Judgement]:
    """Ballots that say something, without the ids of calls: these are counted in the order in which answers came."""
    return [replace(judgement, calls=()) for judgement in answer.judgements if judgement.about]


def in_time(asked: Asked) -> set[str]:
    """Reviewers whose ballot was cut in the moment in which the last of its calls had come."""
    cut = {judgement.judge for judgement in asked.answer.judgements if judgement.abstained == SETTLED}
    return cut - set(cuts(asked))


@pytest.mark.parametrize("final", ["select", "fuse", "aggregate"])
def test_a_replay_makes_the_same_answer_of_the_same_ballots(final: Final) -> None:
    cut = 0
    for chance in chances(40):
        asked = chance.ask(final, early_stop=True)
        again = replay(asked.trace)
        at = f"seed {chance.seed}"
        assert (again.text, again.how) == (asked.answer.text, asked.answer.how), at
        assert outcome(again, final) == outcome(asked.answer, final), at
        late = in_time(asked)
        repeated, said = ([j for j in spoken(a) if j.judge not in late] for a in (again, asked.answer))
        assert repeated == said, at
        assert Counter(j.judge for j in again.judgements) == Counter(j.judge for j in asked.answer.judgements), at
        assert late or (again.ranking, again.notes) == (asked.answer.ranking, asked.answer.notes), at
        assert {f.member for f in again.failures} == {f.member for f in asked.answer.failures}, at
        assert not any(f.kind is FailureKind.UNRECORDED for f in again.failures), at
        cut += sum(1 for j in asked.answer.judgements if j.abstained == SETTLED)
    assert (cut > 0) == (final != "aggregate")


@modes
def test_a_replay_of_a_run_whose_ballots_the_quorum_cut_says_the_same(mode: BallotMode) -> None:
    review = PeerReview(ballot=mode)
    asked = ask(unanimous("bob"), PeerBlend(NAMES, review=review), Limits(quorum=3, grace_s=0.03))
    again = replay(asked.trace)
    assert spoken(again) == spoken(asked.answer)
    silent, as_silent = ([(j.judge, j.abstained) for j in a.judgements if not j.about] for a in (again, asked.answer))
    assert silent == as_silent == [("bob", "cut: enough others had answered and the grace time was over")]
    assert (again.text, again.ranking, again.failures) == (asked.answer.text, asked.answer.ranking, ())


def test_prompts_of_the_cut_are_the_prompts_of_the_whole() -> None:
    """What is asked does not depend on what is cut, so whoever caches or compares calls finds them again."""

    def prompts(early_stop: bool) -> set[str]:
        players = unanimous()
        ask(players, PeerBlend(NAMES, final="select", early_stop=early_stop))
        return {prompt for player in players for prompt in player.prompts("review")}

    assert prompts(True) == prompts(False)
    assert len({Fenced(prompt).mark for prompt in prompts(True)}) == 1  # so that all reviews begin alike
