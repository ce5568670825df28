"""The verbs: what each part does, and the narrow `Run` that parts are handed.

A part is a frozen dataclass whose fields are its hyper-parameters. It owns nothing that must be
closed, and it touches a member only through the run, which is where money, time and the trace are.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

from coterie.prospects import Choice, Lesson, Prospects
from coterie.turns import Conversation, History, Plan
from coterie.types import (
    Candidate,
    Card,
    Completion,
    Entry,
    Failure,
    Json,
    Judgement,
    KeptRun,
    Limits,
    Message,
    Outstanding,
    Ranking,
    Record,
    Request,
    Result,
    Scores,
    Standing,
    TextScore,
    Transcript,
    Turn,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Emit = Callable[[str], None]
"""Takes the next piece of a text while it is written. Never blocks."""

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


# ---- members ----------------------------------------------------------------------------------


class House(Protocol):
    """Where a committee keeps what is expensive, for as long as the committee is open."""

    async def once(self, spec: Opens[T]) -> T:
        """What `spec` opens; equal specifications share one, and the house closes it."""
        ...


class Opens(Protocol[T_co]):
    """A frozen specification of something expensive: a connection pool, loaded weights."""

    def open(self) -> AbstractAsyncContextManager[T_co]: ...

    def __hash__(self) -> int: ...


class Model(Protocol):
    """An open member."""

    @property
    def card(self) -> Card: ...

    async def generate(self, request: Request, emit: Emit | None) -> Completion:
        """The member's text for `request`; pieces go to `emit` as they come, where somebody listens.

        Raises `MemberError`. Cancelling the task stops the work at the member too.
        """
        ...


@runtime_checkable
class Scorer(Protocol):
    """A member that can tell how likely given texts are (`Capability.LIKELIHOOD`)."""

    async def score(self, request: Request, texts: Sequence[str]) -> Scores:
        """Log-probability of each text as the answer to `request`, as data: markup in it is plain text.

        Raises `MemberError`.
        """
        ...


class TokenSession(Protocol):
    """One text being read by one model, whose KV cache lives as long as the session.

    Positions count tokens of the model's own vocabulary, the prompt's included.
    """

    @property
    def tokens(self) -> Sequence[int]:
        """What the cache holds."""
        ...

    async def feed(self, tokens: Sequence[int]) -> None:
        """Read more tokens; afterwards `next` speaks of the token that follows them."""
        ...

    async def rollback(self, length: int) -> None:
        """Forget everything after the first `length` tokens."""
        ...

    async def next(self) -> Sequence[float]:
        """Log-probabilities (nats) of every token of the vocabulary at the next position."""
        ...

    async def score(self, text: str) -> TextScore:
        """Log-probability of `text` after what was fed; the session is left as it was."""
        ...

    def encode(self, text: str) -> Sequence[int]:
        """Tokens of `text`, markup in it taken as plain text."""
        ...

    def decode(self, tokens: Sequence[int]) -> bytes:
        """Bytes of `tokens`; a token may end inside a character."""
        ...


@runtime_checkable
class TokenModel(Protocol):
    """A member that can be led token by token (`Capability.TOKENS`)."""

    def session(self, request: Request) -> AbstractAsyncContextManager[TokenSession]:
        """A session that has read `request`, its prefix included."""
        ...


class MemberSpec(Protocol):
    """A member as configured: frozen, comparable, printable without its secrets."""

    @property
    def name(self) -> str: ...

    @property
    def card(self) -> Card: ...

    @property
    def timeout_s(self) -> float: ...

    @property
    def retries(self) -> int: ...

    async def open(self, house: House) -> Model:
        """The member, ready to be asked; what it needs is taken from the house, which owns it."""
        ...


# ---- the store --------------------------------------------------------------------------------


class Conversations(Protocol):
    """Answered turns, found again when their conversation goes on. Every operation is one transaction.

    Each raises `StoreError` when the database does not answer in time, and `ConfigError` for an id it cannot keep.
    """

    async def last(self, transcript: Transcript) -> Turn | None:
        """The turn that `transcript` goes on from; ``None`` at a first turn and where the conversation is not known."""
        ...

    async def remember(
        self, transcript: Transcript, answer: Message, run: str, state: Mapping[str, Json], after: Turn | None = None
    ) -> Turn | None:
        """Afterwards the answer to `transcript` is a turn that follows `after`, and outlives this process.

        Turns that follow the same one stand side by side. A run is remembered once: again, it gives the turn
        that there is. ``None`` when nothing was written: conversations are not kept, or this one was forgotten.
        """
        ...

    async def forget(self, conversation: str, scope: str = "") -> bool:
        """Afterwards nothing of the conversation is kept; false when there was nothing."""
        ...


class Records(Protocol):
    """Values that conversations and workers share. Every operation is one transaction; errors as `Conversations`."""

    async def get(self, space: str, key: str) -> Record | None: ...

    async def update(self, space: str, key: str, change: Callable[[Json], Json]) -> Record:
        """Afterwards the value is what `change` made of the last one, ``None`` at first; no other update is lost.

        Nobody else writes the record while `change` works, so it should be quick. What it raises is passed on,
        and the record stays as it was.
        """
        ...

    async def discard(self, space: str, key: str) -> bool:
        """Afterwards there is no such record; false when there was none."""
        ...


class Journals(Protocol):
    """Entries that are only ever added, and that every worker reads in one order. Errors as `Conversations`."""

    async def append(self, space: str, entries: Sequence[Json]) -> int:
        """Afterwards `entries` stand at the journal's end, all or none of them; the last one's number.

        Numbers begin at 1 and leave no gap, and an entry is seen only when all before it are.
        """
        ...

    async def since(self, space: str, number: int, limit: int = 1000) -> Sequence[Entry]:
        """The entries after `number`, oldest first, at most `limit` of them."""
        ...

    async def discard(self, space: str) -> bool:
        """Afterwards the journal is empty and begins anew; false when it was."""
        ...


class Runs(Protocol):
    """Traces of runs, each found by its owner alone. Every operation is one transaction; errors as `Conversations`."""

    async def keep(self, runs: Sequence[KeptRun]) -> None:
        """Afterwards they can be found. One whose id is there already stays as it is."""
        ...

    async def find(self, run: str, scope: str, since: float) -> KeptRun | None:
        """The run of that id and scope, unless it was made before `since` (seconds since 1970)."""
        ...

    async def after(self, run: str, limit: int = 100) -> Sequence[KeptRun]:
        """Anybody's, in the order of their ids, from the first one after `run` on (``""``: from the beginning)."""
        ...

    async def drop(self, before: float) -> int:
        """Afterwards fewer of those made before then are kept; how many went. 0: there is none any more."""
        ...


class Store(Protocol):
    """What outlives a request and is shared by workers."""

    @property
    def conversations(self) -> Conversations: ...

    @property
    def records(self) -> Records: ...

    @property
    def journals(self) -> Journals: ...

    @property
    def runs(self) -> Runs: ...


# ---- the run, as parts see it -----------------------------------------------------------------


class Arrival(Protocol):
    """A candidate that a member is asked for, and that may not be there yet."""

    @property
    def author(self) -> str: ...

    @property
    def arrived(self) -> Candidate | None:
        """The candidate, if it is there by now."""
        ...

    async def candidate(self) -> Candidate | None:
        """The candidate, once it is there; ``None`` when there will be none. Any number may wait for it."""
        ...


@dataclass(frozen=True)
class Aim:
    """What judgements are wanted for: the rule that ranks them, and how many of the first, in their order."""

    rule: str
    top_k: int = 1


class Run(Protocol):
    """The only door to members. Everything that calls, spends, waits or is recorded passes here."""

    @property
    def cards(self) -> Mapping[str, Card]:
        """The pool, in its order."""
        ...

    @property
    def limits(self) -> Limits: ...

    @property
    def expired(self) -> bool:
        """True once the deadline has passed or the budget is spent: answer from what exists."""
        ...

    def rng(self, *salt: object) -> random.Random:
        """Randomness that a replay repeats: the same salt gives the same numbers within one run."""
        ...

    async def generate(
        self, members: Sequence[str], request: Request, *, parents: Sequence[str] = ()
    ) -> list[Candidate]:
        """Ask `members` side by side; their candidates, in the order of `members`.

        Goes on when all have answered or failed, when the quorum has answered and the grace time is
        over, or at the deadline. Raises `NoAnswer` when there is no candidate.
        """
        ...

    async def ask(
        self, member: str, request: Request, *, stage: str = "ask", needs: Sequence[str] = ()
    ) -> Completion | Failure:
        """One call whose text is no candidate (a review). `needs`: ids of what the call speaks of."""
        ...

    async def score(
        self, member: str, request: Request, texts: Sequence[str], *, stage: str = "score", needs: Sequence[str] = ()
    ) -> Scores | Failure:
        """The log-probability of each text under `member`, as the answer to `request`."""
        ...

    async def gather(
        self,
        calls: Sequence[Awaitable[T]],
        *,
        every: bool = False,
        until: Callable[[Sequence[T | None]], bool] | None = None,
    ) -> list[T | None]:
        """Await calls side by side, in order; ``None`` for one that was cut.

        Under the quorum rule of `generate`, where failures and abstentions count for nothing, unless
        `every` one is to be waited for. `until` is shown what there is after each one, in order and with
        ``None`` for those that are awaited; once it says so, the others are cut.
        """
        ...

    def decided(self, judgements: Sequence[Judgement], outstanding: Sequence[Outstanding]) -> bool:
        """True once nothing in what is outstanding could change what the judgements are wanted for."""
        ...

    async def compose(self, member: str, request: Request, parents: Sequence[Candidate]) -> Candidate | Failure:
        """A text that `member` makes out of `parents`, offered as a candidate."""
        ...

    async def reply(self, member: str, request: Request) -> Candidate | Failure:
        """What `member` writes, offered as a candidate. It is the answer, so its pieces go out while it is written."""
        ...

    async def forecast(self, router: Router, request: Request, members: Sequence[str]) -> Prospects:
        """What `router` expects of `members`, recorded; unknown costs are told from prices where they can be.

        Of a router that cannot say anything nothing is expected, and a note says why. A replay gives what was recorded.
        """
        ...

    def decide(self, decision: Decision, prospects: Prospects) -> Choice:
        """What `decision` makes of `prospects`, recorded. Raises `ConfigError` as the decision does."""
        ...

    async def journals(self) -> Journals:
        """Where learners keep what they heard. Raises `StoreError` where it is out of reach."""
        ...

    async def work(
        self, actor: str, job: Awaitable[T], *, stage: str = "work", needs: Sequence[str] = ()
    ) -> tuple[str, T] | Failure:
        """Something a part does itself, recorded with its time: the work's id, and what `job` returns.

        A failure at the deadline. For what others wait for, such as a ranker's forwards.
        """
        ...

    async def write(
        self, author: str, job: Callable[[Emit | None], Awaitable[str]], parents: Sequence[Candidate]
    ) -> Candidate | Failure:
        """A text that a part writes itself out of `parents`, offered as a candidate; pieces go to what it is handed."""
        ...

    async def judge(self, judge: Judge, request: Request, candidates: Sequence[Candidate]) -> list[Judgement]:
        """What `judge` says of `candidates`, recorded."""
        ...

    async def judged(
        self, members: Sequence[str], request: Request, judge: Judge, aim: Aim | None = None
    ) -> tuple[list[Candidate], list[Judgement]]:
        """`generate`, and what `judge` says of the candidates; no judgement where there is but one candidate.

        A judge that can begins with the first candidate (`EarlyJudge`). With an `aim`, what cannot change
        it any more is not waited for. Raises `NoAnswer`.
        """
        ...

    async def plan(self, policy: Policy, members: Sequence[str], top_k: int) -> Plan:
        """What `policy` plans for this turn of the conversation; the turn is remembered with its answer.

        A conversation is known by its id or by its messages, where the committee has a store or has
        itself answered its earlier turns. Nothing is kept of a method that plans nothing.
        """
        ...

    def rank(self, rule: str, judgements: Sequence[Judgement], over: Sequence[Candidate]) -> Ranking:
        """The ranking of `over` that the named rule makes of `judgements`, recorded."""
        ...

    async def fuse(self, fuser: Fuser, request: Request, best: Sequence[Standing]) -> Candidate | Failure:
        """The fused candidate. Its text is the answer, so its pieces go out while it is written."""
        ...

    async def open(self, spec: Opens[T]) -> T:
        """What `spec` opens (a loaded ranker): opened once, shared by equal specs, closed with the committee."""
        ...

    def note(self, text: str) -> None:
        """Something a reader of the answer must know."""
        ...


# ---- the parts --------------------------------------------------------------------------------


class Judge(Protocol):
    """Says how good candidates are."""

    async def judge(self, request: Request, candidates: Sequence[Candidate], run: Run) -> Sequence[Judgement]: ...


@runtime_checkable
class EarlyJudge(Judge, Protocol):
    """A judge that begins before every candidate is there."""

    async def judge_early(self, request: Request, arrivals: Sequence[Arrival], run: Run) -> Sequence[Judgement]: ...


class Fuser(Protocol):
    """Makes one new candidate out of the best ones, given best first."""

    async def fuse(self, request: Request, best: Sequence[Standing], run: Run) -> Candidate | Failure: ...


class Policy(Protocol):
    """Decides, turn by turn, who writes and whether they are ranked: ranking reduction.

    It calls nobody and keeps nothing: it makes plans and the next record out of the last one.
    """

    @property
    def memoryless(self) -> bool:
        """True where no plan depends on what earlier turns have shown, so that nothing need be kept of them."""
        ...

    def begin(
        self, history: History, pool: Sequence[str], top_k: int, turns: int | None = None
    ) -> tuple[History, Conversation]:
        """The history with one conversation more, and that conversation before its first turn.

        `turns` is their number, where it is known. Raises `ValueError` for a pool that is none.
        """
        ...

    def plan(self, conversation: Conversation, rng: random.Random) -> Plan:
        """What to do on the next turn. `rng` is fresh for each turn of each conversation."""
        ...

    def after(self, conversation: Conversation, plan: Plan, ranking: Ranking | None) -> Conversation:
        """The conversation after a turn that was answered; `ranking` orders members, ``None`` where none was made.

        Raises `ConfigError` for a ranking of anything but the plan's members.
        """
        ...


# ---- before inference -------------------------------------------------------------------------


class OpenEncoder(Protocol):
    """An encoder that is loaded."""

    @property
    def dimensions(self) -> int: ...

    async def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One vector of length 1 a text, (texts, dimensions); zeros for a text without a word.

        Equal texts give equal vectors, whatever stands beside them. Raises `RouterError` where they cannot be had.
        """
        ...


class Encoder(Opens[OpenEncoder], Protocol):
    """Turns texts into vectors that lie close where texts mean alike. A frozen specification."""

    @property
    def identity(self) -> str:
        """The same for encoders whose vectors may be compared, and only for them: model, pooling, length."""
        ...


class Router(Protocol):
    """Says what to expect of each member, before any of them is asked. It calls none of them."""

    async def forecast(self, request: Request, members: Sequence[str], run: Run) -> Prospects:
        """A prospect for each of `members`, in their order; of a member it does not know, one without a quality.

        Raises `RouterError`.
        """
        ...


@runtime_checkable
class Learner(Router, Protocol):
    """A router that learns from feedback while it serves."""

    @property
    def journal(self) -> str:
        """The journal that its lessons stand in: the same for equal learners, and for those given one name."""
        ...

    async def features(self, request: Request, run: Run) -> Json:
        """What must be kept of `request` to learn from feedback on it; no text."""
        ...

    def entries(self, lesson: Lesson) -> Sequence[Json]:
        """What the journal is to keep of `lesson`; nothing where there is nothing to learn from it."""
        ...


class Decision(Protocol):
    """Turns prospects into a choice of members. Pure: it calls nobody and keeps nothing."""

    def choose(self, prospects: Prospects, rng: random.Random, /) -> Choice:
        """All members that may be asked, the chosen one first. Raises `ConfigError` where none can be chosen."""
        ...


class Method(Protocol):
    """A composition of parts that turns a request into an answer."""

    @property
    def asks(self) -> tuple[str, ...]:
        """Everyone it may ask, generators first, each once."""
        ...

    async def __call__(self, request: Request, run: Run) -> Result: ...
