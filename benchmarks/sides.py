"""The ways of blending that are compared: the real method of each, the calls it makes, and the least they can take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from coterie.judges.peer_review import PeerReview
from coterie.methods.peer_blend import Final, PeerBlend
from coterie.methods.rank_and_fuse import RankAndFuse
from coterie.policies import FullRanking
from coterie.protocols import Method, Policy
from coterie.types import BallotMode
from floors import floor_s
from mock_pool import Told
from mock_server import Served
from stage_times import FUSER, OURS, REFERENCE, RankerRate, by_score
from timed_parts import TimedFuser, TimedRanker

TOP_K = 3
FULL = FullRanking()

LISTWISE, EACH, PREFILL = BallotMode.TEXT, BallotMode.POINTWISE, BallotMode.SCORE_LOGPROB


@dataclass(frozen=True)
class Made:
    """Calls of a turn."""

    answers: int
    reviews: int = 0
    finals: int = 0

    @property
    def total(self) -> int:
        return self.answers + self.reviews + self.finals


@dataclass(frozen=True)
class Turn:
    """Who writes, in the order in which they are fused where they are not ranked, and whether they are ranked."""

    writers: Sequence[str]
    ranked: bool = True

    @property
    def first(self) -> str:
        """Whose answer stands first in the end."""
        return by_score(self.writers)[0] if self.ranked else self.writers[0]


class Side(Protocol):
    """A way of blending."""

    @property
    def name(self) -> str: ...

    @property
    def at_once(self) -> int | None:
        """Calls that each member takes at a time; ``None`` for any number."""
        ...

    @property
    def top_k(self) -> int: ...

    def method(self, members: Sequence[str], policy: Policy = ..., scale: float = 1.0) -> Method:
        """The real method; what it does without members takes `scale` times as long."""
        ...

    def makes(self, turn: Turn) -> Made: ...

    def reviews(self, turn: Turn) -> Iterator[Served]:
        """The reviews of a turn, without their waits."""
        ...

    def own_s(self, turn: Turn) -> float:
        """Seconds that a card of the committee's own is busy: with its ranker and its fuser."""
        ...


@dataclass(frozen=True)
class LLMBlender:
    """Members answer, a ranker reads all ordered pairs, a fuser writes one text out of the best K; out of one, none."""

    name: str
    ranker: RankerRate
    top_k: int = TOP_K
    at_once: int | None = 1

    def method(
        self,
        members: Sequence[str],
        policy: Policy = FULL,
        scale: float = 1.0,
    ) -> Method:
        judge, fuser = TimedRanker(self.ranker.short / scale), TimedFuser(FUSER.seconds * scale)
        return RankAndFuse(tuple(members), judge, "max_logits", self.top_k, fuser, policy)

    def makes(self, turn: Turn) -> Made:
        return Made(len(turn.writers))

    def reviews(self, turn: Turn) -> Iterator[Served]:  # noqa: ARG002
        yield from ()

    def own_s(self, turn: Turn) -> float:
        n = len(turn.writers)
        rank_s = self.ranker.rank_s(n) if turn.ranked else 0.0
        return rank_s + (FUSER.seconds if min(self.top_k, n) > 1 else 0.0)


@dataclass(frozen=True)
class PeerBlending:
    """Members answer and review each other; the first answer is taken as it is, or its author writes another."""

    name: str
    ballot: BallotMode
    final: Final
    at_once: int | None = 1
    each: int | None = None
    """Reviewers of an answer, where each answer is reviewed on its own; all others where left out."""
    top_k: int = TOP_K

    def method(
        self,
        members: Sequence[str],
        policy: Policy = FULL,
        scale: float = 1.0,  # noqa: ARG002
    ) -> Method:
        review = PeerReview(ballot=self.ballot, reviewers_each=self.each)
        # Every ballot is waited for: what is compared is a whole round of reviews.
        return PeerBlend(tuple(members), self.top_k, None, self.final, review, policy=policy, early_stop=False)

    def makes(self, turn: Turn) -> Made:
        n = len(turn.writers)
        each = 1 if self.ballot is LISTWISE else min(self.each or n, n - 1)
        finals = int(self.final != "select" and n > 1)
        return Made(n, n * each if turn.ranked and n > 1 else 0, finals)

    def reviews(self, turn: Turn) -> Iterator[Served]:
        if self.each is not None:
            raise ValueError(f"{self.name!r} draws who reviews whom, so its reviews are known only afterwards")
        if not turn.ranked or len(turn.writers) < 2:
            return
        for reviewer in turn.writers:
            others = [writer for writer in turn.writers if writer != reviewer]
            for read in [others] if self.ballot is LISTWISE else [[other] for other in others]:
                yield _call(reviewer, "prefill" if self.ballot is PREFILL else "review", read)

    def own_s(self, turn: Turn) -> float:  # noqa: ARG002
        return 0.0


def least_s(side: Side, turn: Turn, told: Told) -> float:
    """The floor of a turn by arithmetic alone: nobody is asked."""
    calls = [*(_call(writer, "generate") for writer in turn.writers), *side.reviews(turn)]
    calls += [_call(turn.first, "fuse")] * side.makes(turn).finals
    waits = [call._replace(delay_s=told[call.model][call.stage]) for call in calls]
    return floor_s(waits, side.at_once, side.own_s(turn))


def _call(model: str, stage: str, read: Sequence[str] = ()) -> Served:
    return Served(model, stage, "", 0.0, 0.0, 0.0, 0, read)


REFERENCE_BLENDER = LLMBlender("LLM-Blender, the reference's ranking loop", REFERENCE)
OUR_BLENDER = LLMBlender("LLM-Blender, our ranker", OURS)
REFERENCE_RANKER = LLMBlender("the pair ranker's first, the reference's ranking loop", REFERENCE, 1)
OUR_RANKER = LLMBlender("the pair ranker's first, our ranker", OURS, 1)
SLOW: tuple[Side, ...] = (REFERENCE_BLENDER, OUR_BLENDER, REFERENCE_RANKER)
"""These mostly wait for a part of their own, so they are asked less often."""

TEXT_WRITTEN = PeerBlending("peer, written reviews, final answer written", LISTWISE, "aggregate")
TEXT_TAKEN = PeerBlending("peer, written reviews, best answer taken", LISTWISE, "select")
PREFILL_WRITTEN = PeerBlending("peer, prefill reviews, final answer written", PREFILL, "aggregate")
PREFILL_TAKEN = PeerBlending("peer, prefill reviews, best answer taken", PREFILL, "select")
PEERS: tuple[Side, ...] = (TEXT_WRITTEN, TEXT_TAKEN, PREFILL_WRITTEN, PREFILL_TAKEN)

SIDES: tuple[Side, ...] = (REFERENCE_BLENDER, OUR_BLENDER, REFERENCE_RANKER, OUR_RANKER, *PEERS)

ROUNDS: tuple[PeerBlending, ...] = (
    PeerBlending("written, all others in one, any number at once", LISTWISE, "select", None),
    PeerBlending("written, one answer each, k = 3, any number at once", EACH, "select", None, 3),
    PeerBlending("written, one answer each, k = 3, one at a time", EACH, "select", 1, 3),
    PeerBlending("prefill, one answer each, any number at once", PREFILL, "select", None),
)
"""Further rounds of reviews, beside those of `TEXT_TAKEN` and `PREFILL_TAKEN`, which are one at a time."""

AS_PRINTED = PeerBlending("peer, a written review of each answer by each other member", EACH, "aggregate")
"""The thesis' evaluator prompt (5.1.3) shows one candidate."""
