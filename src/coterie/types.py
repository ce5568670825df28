"""The nouns: plain frozen values that every room shares. This module imports no other room.

Two rules run through all of them. What is unknown is ``None`` and never a number, and an unknown
term makes a sum unknown. And nothing here can call a model, so a value can be kept, compared,
printed and sent anywhere.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal

Json = Any
"""A JSON value as the standard library reads it."""

Role = Literal["system", "developer", "user", "assistant", "tool"]


def no_extra() -> Mapping[str, Json]:
    """An empty mapping, as the default of a frozen field."""
    return {}


# ---- what is asked ----------------------------------------------------------------------------


class Secret:
    """A string that prints as ``***`` and is no ``str``, so that nothing passes it on by accident.

    What needs the real one calls `reveal`.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str = "") -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return "'***'"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return format("***", spec)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """How a configuration reads one: any string."""
        from pydantic_core import core_schema

        return core_schema.no_info_after_validator_function(cls, core_schema.str_schema())


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str | tuple[Mapping[str, Json], ...]
    """Plain text, or the content parts (text, images) of the OpenAI convention."""
    extra: Mapping[str, Json] = field(default_factory=no_extra)
    """Whatever else the turn carries (``name``, ``tool_calls``, ``tool_call_id``), passed through."""

    @property
    def text(self) -> str:
        """The words of the turn, without images and other parts."""
        if isinstance(self.content, str):
            return self.content
        return "".join(str(part.get("text", "")) for part in self.content)


@dataclass(frozen=True)
class Sampling:
    """How a member is to write. ``None`` leaves the choice to the member."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    top_logprobs: int | None = None
    """Alternatives wanted at each position; ``None`` asks for no log-probabilities, 0 for the chosen token's only."""
    extra: Mapping[str, Json] = field(default_factory=no_extra)
    """Parameters this library does not interpret (``tools``, a vendor's own), passed through."""


@dataclass(frozen=True)
class Request:
    """What a member is asked: the conversation so far and how to go on with it."""

    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    prefix: str = ""
    """Assistant text that is already fixed; the member continues it. Span-level methods grow it."""
    schema: Mapping[str, Json] | None = None
    """A JSON Schema the text should satisfy, enforced by the engines that can."""

    @classmethod
    def of(cls, question: str | Sequence[Message], sampling: Sampling = Sampling()) -> Request:
        """A request for one question, or for a conversation given as messages."""
        messages = (Message("user", question),) if isinstance(question, str) else tuple(question)
        return cls(messages, sampling)

    @cached_property
    def fingerprint(self) -> str:
        """The same for equal requests, and only for them: what caches and replays look calls up by."""
        canonical = json.dumps(asdict(self), sort_keys=True, default=str)
        return hashlib.sha256(canonical.encode()).hexdigest()

    @property
    def question(self) -> str:
        """The words of the last user turn; empty when there is none."""
        return next((m.text for m in reversed(self.messages) if m.role == "user"), "")


# ---- who is asked -----------------------------------------------------------------------------


class Capability(StrEnum):
    """What a member can do beyond writing text."""

    LOGPROBS = "logprobs"
    """It returns log-probabilities of the tokens it writes, with alternatives."""
    LIKELIHOOD = "likelihood"
    """It returns the log-probability of a text it is given."""
    SCHEMA = "schema"
    """It can be held to a JSON Schema while it writes."""
    REVIEW = "review"
    """It can be asked anything, so it can judge; recorded answers cannot."""
    TOKENS = "tokens"
    """It opens token-level sessions."""


class BallotMode(StrEnum):
    """How a member reviews."""

    TEXT = "text"
    """It writes scores for all answers in one call, with a short justification, as JSON (listwise)."""
    POINTWISE = "pointwise"
    """It writes scores by criterion for one answer a call, with a short justification, as JSON."""
    SCORE_LOGPROB = "score_logprob"
    """Expected score from the probabilities of the score tokens at one position."""
    LIKELIHOOD = "likelihood"
    """Mean log-probability of the candidate's tokens under the reviewer."""


@dataclass(frozen=True)
class Price:
    """USD per million tokens, as the endpoint's price list states it."""

    input_usd: float
    output_usd: float
    cached_input_usd: float | None = None
    """For prompt tokens the endpoint found in its cache; ``None`` when they cost as much as the others."""

    def cost_usd(self, input_tokens: int | None, output_tokens: int | None, cached_tokens: int = 0) -> float | None:
        """USD for one call; ``None`` when a count it needs is unknown. ``cached_tokens`` are a part of the input's."""
        if not (self.input_usd or self.output_usd or self.cached_input_usd):
            return 0.0
        if input_tokens is None or output_tokens is None:
            return None
        cached_usd = self.input_usd if self.cached_input_usd is None else self.cached_input_usd
        fresh_tokens = input_tokens - cached_tokens
        return (fresh_tokens * self.input_usd + cached_tokens * cached_usd + output_tokens * self.output_usd) / 1e6


@dataclass(frozen=True)
class Card:
    """What is known of a member without asking it. Holds no secret, so it may stand in a trace."""

    name: str
    model: str = ""
    price: Price | None = None
    """``None`` when the price is unknown, which is not free."""
    context_tokens: int | None = None
    capabilities: frozenset[Capability] = frozenset()
    ballot: BallotMode | None = None
    """The way it reviews; ``None`` when it cannot."""
    timeout_s: float | None = None
    """Longest one call may take, its retries included."""
    max_concurrency: int | None = None
    """Calls at once; ``None`` for no limit of ours."""


# ---- what came back ---------------------------------------------------------------------------


def is_json(text: str) -> bool:
    """True for the whole text of one JSON value."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def encodable(text: str) -> bool:
    """False for text with half a character in it (a lone surrogate), which no UTF-8 can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def add_known(a: float | None, b: float | None) -> float | None:
    """``a + b``, or ``None`` when either is unknown."""
    return None if a is None or b is None else a + b


@dataclass(frozen=True)
class Usage:
    """What calls consumed. ``Usage()`` is nothing at all; an unknown part makes the sum unknown."""

    calls: int = 0
    """Requests sent to members, retries included."""
    input_tokens: int | None = 0
    output_tokens: int | None = 0
    cost_usd: float | None = 0.0
    cached_tokens: int = 0
    """Part of ``input_tokens`` that the endpoint reported as read from its cache."""
    reasoning_tokens: int = 0
    """Part of ``output_tokens`` that the endpoint reported as reasoning."""

    @classmethod
    def sum(cls, parts: Iterable[Usage]) -> Usage:
        """All of them together, in the order in which they come."""
        total: Usage | None = None
        for part in parts:
            total = part if total is None else total + part
        return cls() if total is None else total

    def __add__(self, other: Usage) -> Usage:
        tokens_in = add_known(self.input_tokens, other.input_tokens)
        tokens_out = add_known(self.output_tokens, other.output_tokens)
        return Usage(
            self.calls + other.calls,
            None if tokens_in is None else int(tokens_in),
            None if tokens_out is None else int(tokens_out),
            add_known(self.cost_usd, other.cost_usd),
            self.cached_tokens + other.cached_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )


@dataclass(frozen=True)
class TokenLogprob:
    """One written token with its log-probability (nats) and the alternatives the member named."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()
    octets: tuple[int, ...] | None = None
    """The bytes that the token is, where the member gave them: half a character has no spelling."""
    top_octets: tuple[tuple[int, ...] | None, ...] = ()
    """Aligned with `top`, or empty."""


@dataclass(frozen=True)
class Completion:
    """What a member returned to one call. A reviewer's text is a completion, never a candidate."""

    member: str
    text: str
    finish_reason: str = "stop"
    usage: Usage = Usage(calls=1, input_tokens=None, output_tokens=None, cost_usd=None)
    latency_s: float = 0.0
    first_piece_s: float | None = None
    """Seconds to the first piece of text; ``None`` when it came whole."""
    logprobs: tuple[TokenLogprob, ...] | None = None
    tool_calls: tuple[Mapping[str, Json], ...] = ()
    call: str = ""
    """The call's id in the trace, set by the run."""
    refusal: str = ""
    """What it said instead of an answer, where the member names it so."""
    beside: Mapping[str, Json] = field(default_factory=no_extra, hash=False)
    """What else the member said (``reasoning_content``, ``annotations``), in its own form."""

    @property
    def declined(self) -> bool:
        """True where it is no answer: the member refused, or a filter left nothing of it."""
        said = self.text.strip() or self.tool_calls or self.logprobs
        return bool(self.refusal) or (self.finish_reason == "content_filter" and not said)


@dataclass(frozen=True)
class TextScore:
    """The log-probability (nats) of one given text under a member, and the number of its tokens."""

    logprob: float
    tokens: int

    @property
    def mean(self) -> float:
        """Log-probability a token."""
        return self.logprob / self.tokens


@dataclass(frozen=True)
class Scores:
    """What a member returned when it was asked to score given texts, in their order."""

    member: str
    scores: tuple[TextScore, ...]
    usage: Usage = Usage(calls=1, input_tokens=None, output_tokens=0, cost_usd=None)
    latency_s: float = 0.0
    call: str = ""


class FailureKind(StrEnum):
    """Why a call gave nothing."""

    TIMEOUT = "timeout"
    """It outlasted the member's own ``timeout_s``."""
    DEADLINE = "deadline"
    """The whole request's time was over."""
    CUT = "cut"
    """A quorum had answered and the grace time was over."""
    BUDGET = "budget"
    """The request's budget allowed no further call."""
    EXCLUDED = "excluded"
    """The member had failed before in this request, so it was not asked again."""
    CANCELLED = "cancelled"
    """The whole request was cancelled."""
    HTTP = "http"
    """The endpoint answered with an error status."""
    CONNECTION = "connection"
    """No connection, or it broke off."""
    MALFORMED = "malformed"
    """The answer was not what the protocol promises: HTML, broken JSON, invalid Unicode."""
    TRUNCATED = "truncated"
    """The stream ended before it said that it was done."""
    EMPTY = "empty"
    """Null, absent or blank text."""
    UNAVAILABLE = "unavailable"
    """The member cannot do what was asked, or could not be opened."""
    UNRECORDED = "unrecorded"
    """Nothing recorded answers this request (recorded members, replays)."""
    INTERNAL = "internal"
    """A defect in the member's code."""


@dataclass(frozen=True)
class Failure:
    """A call that gave nothing, as a value: methods see it, siblings go on."""

    member: str
    error: str
    kind: FailureKind
    stage: str = ""
    usage: Usage = Usage()
    latency_s: float = 0.0
    call: str = ""
    status: int | None = None
    """The HTTP status, where the endpoint gave one."""
    retry_after_s: float | None = None
    """What the endpoint asked for, in seconds."""
    written_chars: int = 0
    """So much of a text had been shown before it failed, which somebody may have to pay for."""


# ---- what is made of it -----------------------------------------------------------------------


@dataclass(frozen=True)
class Candidate:
    """A text offered as the answer."""

    id: str
    author: str
    text: str
    parents: tuple[str, ...] = ()
    """Candidates it was fused from; empty for a member's own answer."""
    call: str = ""
    """The call that wrote it, in the trace."""
    tool_calls: tuple[Mapping[str, Json], ...] = ()
    refusal: str = ""
    """What was said instead of an answer, where one member alone was asked: no method makes anything of it."""


@dataclass(frozen=True)
class Criterion:
    """What a judge said under one heading, such as accuracy."""

    name: str
    scores: tuple[float, ...]
    """Aligned with the ids that the judgement is about."""


@dataclass(frozen=True)
class Judgement:
    """What a judge says of candidates (or a router of members): one id is pointwise, two pairwise, n listwise.

    It holds only what was said. A judge that could not say anything abstains: ``about`` is empty and
    ``abstained`` gives the reason, so that no rule can mistake silence for a score.
    """

    judge: str
    about: tuple[str, ...]
    scores: tuple[float, ...]
    """Aligned with ``about``; higher is better, on the judge's own scale."""
    reason: str = ""
    abstained: str = ""
    calls: tuple[str, ...] = ()
    """The calls it rests on, in the trace."""
    weight: float = 1.0
    """How much it counts beside other judgements; 1 unless its judge was calibrated, and 0 counts for nothing."""
    reasons: tuple[str, ...] = ()
    """Aligned with ``about`` where something was said of each id; otherwise empty."""
    criteria: tuple[Criterion, ...] = ()
    """The parts that ``scores`` are the sums of, where there are any."""

    def __post_init__(self) -> None:
        if len(self.about) != len(self.scores):
            raise ValueError(f"{self.judge!r} gave {len(self.scores)} scores for {len(self.about)} ids {self.about!r}")
        if not all(map(math.isfinite, self.scores)):
            raise ValueError(f"{self.judge!r} gave scores that are no numbers: {self.scores!r}; abstain instead")
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise ValueError(f"{self.judge!r} cannot weigh {self.weight!r}: a weight is 0 or more")
        for aligned in (self.reasons, *(criterion.scores for criterion in self.criteria)):
            if aligned and len(aligned) != len(self.about):
                raise ValueError(f"{self.judge!r} said {len(aligned)} things of {len(self.about)} ids {self.about!r}")

    @classmethod
    def abstain(cls, judge: str, why: str, calls: Sequence[str] = ()) -> Judgement:
        """A ballot that says nothing, and why."""
        return cls(judge, (), (), abstained=why, calls=tuple(calls))


@dataclass(frozen=True)
class Outstanding:
    """A judgement that is awaited: what it will speak of, as far as it is known."""

    about: tuple[str, ...]
    """It may leave some of these out, or abstain."""
    weight: float = 1.0
    lowest: float | None = None
    highest: float | None = None
    """The ends of its scale; ``None`` where it has none."""


@dataclass(frozen=True)
class Ranking:
    """An order of ids, best first, made from judgements by a pure rule."""

    order: tuple[str, ...]
    scores: Mapping[str, float | None]
    """``None`` for an id that no judgement spoke of."""
    rule: str
    ties: tuple[tuple[str, ...], ...] = ()
    """Groups that the rule could not tell apart; inside a group the pool's order holds."""
    notes: tuple[str, ...] = ()
    """What a reader must know before trusting the order."""

    @property
    def best(self) -> str:
        return self.order[0]

    @property
    def ranks(self) -> dict[str, int]:
        """Competition ranks ("1224"): tied ids share the rank of the first of them."""
        ranks = {id_: place for place, id_ in enumerate(self.order, 1)}
        for group in self.ties:
            ranks.update(dict.fromkeys(group, min(ranks[id_] for id_ in group)))
        return ranks


@dataclass(frozen=True)
class Limits:
    """What one request may take before it must answer from what it has."""

    deadline_s: float = 120.0
    """Seconds for the whole request."""
    quorum: int | None = None
    """Candidates that are enough to go on, once the grace time is over; ``None`` waits for every member."""
    grace_s: float = 2.0
    """Seconds the others may still take when the quorum has answered."""
    max_calls: int | None = None
    max_tokens: int | None = None
    """Input and output tokens of all calls together."""
    max_usd: float | None = None
    """Bounds the members whose price is known; the others are named in a note."""

    def __post_init__(self) -> None:
        for name in ("deadline_s", "quorum", "max_calls", "max_tokens", "max_usd"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be greater than 0, not {value!r}")
        if not self.grace_s >= 0:
            raise ValueError(f"grace_s must not be negative, as {self.grace_s!r} is")


@dataclass(frozen=True)
class Standing:
    """A candidate as the ranking left it, with what was said of it."""

    candidate: Candidate
    score: float | None = None
    reasons: tuple[str, ...] = ()


How = Literal["fused", "ranked", "voted", "routed", "only"]


@dataclass(frozen=True)
class Result:
    """What a method makes of a request."""

    candidate: Candidate
    """The answer."""
    how: How
    """Written out of several candidates, the ranking's first, the majority's, by who was chosen, or the only one."""
    ranking: Ranking | None = None


# ---- what is kept -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """Where a request stands in a conversation, as far as its client says."""

    id: str | None = None
    """The conversation's id; one without is found by its messages."""
    scope: str = ""
    """Whose conversation it is, such as an API key's id: nothing is found across scopes."""
    turns: int | None = None
    """How many turns it will have, where that is known."""


@dataclass(frozen=True)
class Transcript:
    """What a client sends of its conversation, and whose conversation it is."""

    messages: tuple[Message, ...]
    conversation: str | None = None
    """The id that the client gave it; a conversation without one is found by its messages."""
    scope: str = ""
    """Who may go on with it, such as an API key's id: nothing is found across scopes."""


@dataclass(frozen=True)
class Turn:
    """One answered turn, as the store keeps it. Repeated and edited turns make a conversation a tree of them."""

    id: int
    conversation: str
    number: int
    """1 for a first turn, else one more than its parent's."""
    run: str
    """The run that answered, which a trace carries too."""
    state: Mapping[str, Json]
    """What whoever remembered the turn wants to know at the next one."""
    parent: int | None = None
    question: str | None = None
    """The words of the last user message; ``None`` unless texts are kept."""
    answer: str | None = None


@dataclass(frozen=True)
class Record:
    """A value that many conversations share: ratings, a bandit's matrices, how far a cycle has come."""

    space: str
    """Whose it is: a policy, a learner."""
    key: str
    value: Json
    version: int
    """How often it was written."""


@dataclass(frozen=True)
class Entry:
    """One line of a journal."""

    number: int
    """1 for the first; no number is left out."""
    value: Json


@dataclass(frozen=True)
class KeptRun:
    """A run's trace, kept for whoever asked for it."""

    id: str
    scope: str
    """Whose it is: nobody else finds it."""
    made_at: float
    """Seconds since 1970, UTC."""
    lines: Callable[[], Iterable[str]] = field(compare=False, repr=False)
    """The trace as JSON Lines, written when they are wanted."""
    chars: int = 0
    """About how long these are: what keeps runs in memory goes by it."""
