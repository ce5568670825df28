"""How much of a conversation a member is sent: all of it, or what its context window holds.

The rule: system and developer messages stay, and so does the last turn, however long it is. Of the turns
before it the oldest go first, each of them whole: a question with its answer, a tool's result with the call it
answers. As few go as make room for the reply: `max_tokens` where the request sets it, else a quarter of the
window; never more than half of it. Where even the last turn is too long the member is sent that, and says
itself that it does not fit.

A model that counts its own tokens is asked (`Reader`); for any other they are estimated from the bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from operator import sub
from typing import Protocol, overload, runtime_checkable

from coterie.run.ledger import BYTES_A_TOKEN
from coterie.types import Json, Message, Request, Sampling

REPLY_SHARE = 4
"""One part in so many of the window is left for a reply of which nobody said how long it may be."""

MOST_FOR_REPLY = 2
"""A reply is left one part in so many at most, or a long one would leave no room for the question."""

MESSAGE_TOKENS = 8
"""What a chat template puts around a message."""

PART_TOKENS = 1_000
"""A picture or another part that is no text: nobody here can count it."""


@runtime_checkable
class Reader(Protocol):
    """A model that knows what fits into its window."""

    async def first_fitting(self, requests: Sequence[Request], texts: Sequence[str] = ()) -> int:
        """Of requests that grow shorter, the place of the first that leaves room for what is to follow it.

        That is the reply, or each of `texts` where they are to be scored. The last place where none fits.
        """
        ...


@dataclass(frozen=True)
class Sent:
    """A request as one member gets it."""

    request: Request
    left_out: int = 0
    """How many of the oldest turns it lacks."""


async def within(cuts: Cuts, context_tokens: int | None, model: object, texts: Sequence[str] = ()) -> Sent:
    """The request with as many of its turns as `model` can read before a reply, or before each of `texts`.

    All of them where nobody knows the window.
    """
    if len(cuts) == 1:
        return Sent(cuts.whole)
    if isinstance(model, Reader):
        place = await model.first_fitting(cuts, texts)
    elif context_tokens is None:
        return Sent(cuts.whole)
    else:
        place = _first_fitting(cuts, context_tokens, texts)
    return Sent(cuts[place], place)


class Cuts(Sequence[Request]):
    """`request` itself, then without its oldest turn, and so on until the last turn stands alone.

    Each is made when it is looked at: of a long conversation few are. What is counted is counted once, for
    however many members.
    """

    def __init__(self, request: Request) -> None:
        self.whole = request
        self.turns = _turns(request.messages)
        """The number of each message's turn, from 0; ``None`` for instructions, which belong to none."""
        self._length = 1 + max((number for number in self.turns if number is not None), default=0)

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, place: int) -> Request: ...
    @overload
    def __getitem__(self, place: slice) -> list[Request]: ...
    def __getitem__(self, place: int | slice) -> Request | list[Request]:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        first = range(len(self))[place]
        if first == 0:
            return self.whole
        pairs = zip(self.whole.messages, self.turns, strict=True)
        return replace(self.whole, messages=tuple(m for m, number in pairs if number is None or number >= first))

    @cached_property
    def sizes(self) -> Sequence[int]:
        """Tokens that each of them probably is."""
        of_turns = [0] * (self._length - 1)
        for message, turn in zip(self.whole.messages, self.turns, strict=True):
            if turn is not None and turn < len(of_turns):
                of_turns[turn] += _message_tokens(message)
        return list(accumulate(of_turns, sub, initial=estimated_tokens(self.whole)))


def reply_tokens(sampling: Sampling, context_tokens: int) -> int:
    """Room that a reply is left."""
    if sampling.max_tokens is None:
        return context_tokens // REPLY_SHARE
    return min(sampling.max_tokens, context_tokens // MOST_FOR_REPLY)


def estimated_tokens(request: Request) -> int:
    """Tokens that `request` probably is, with what a template adds, its tools and its fixed beginning."""
    tools = _json_tokens(request.sampling.extra.get("tools"))
    return sum(map(_message_tokens, request.messages)) + _text_tokens(request.prefix) + tools


def _first_fitting(cuts: Cuts, context_tokens: int, texts: Sequence[str]) -> int:
    if texts:
        after = min(max(map(_text_tokens, texts)), context_tokens // MOST_FOR_REPLY)
    else:
        after = reply_tokens(cuts.whole.sampling, context_tokens)
    fitting = (place for place, size in enumerate(cuts.sizes) if size + after <= context_tokens)
    return next(fitting, len(cuts) - 1)


def _turns(messages: Sequence[Message]) -> list[int | None]:
    """The number of each message's turn; ``None`` for instructions, which belong to none.

    A turn begins with a question that follows anything but a question, unless a tool's result that comes
    later answers a call that came before.
    """
    within_a_call = _between_calls_and_results(messages)
    numbers: list[int | None] = []
    number, before = 0, None
    for place, message in enumerate(messages):
        if message.role in ("system", "developer"):
            numbers.append(None)
            continue
        if message.role == "user" and before not in (None, "user") and place not in within_a_call:
            number += 1
        numbers.append(number)
        before = message.role
    return numbers


def _between_calls_and_results(messages: Sequence[Message]) -> set[int]:
    """Places after a tool call, up to and with its result."""
    called: dict[Json, int] = {}
    between: set[int] = set()
    for place, message in enumerate(messages):
        for call in _calls(message):
            called[call.get("id")] = place
        answered = message.extra.get("tool_call_id")
        if answered is not None and answered in called:
            between.update(range(called[answered] + 1, place + 1))
    return between


def _calls(message: Message) -> list[Mapping[str, Json]]:
    calls = message.extra.get("tool_calls")
    return [call for call in calls if isinstance(call, Mapping)] if isinstance(calls, list | tuple) else []


def _message_tokens(message: Message) -> int:
    parts = () if isinstance(message.content, str) else message.content
    pictures = sum(1 for part in parts if part.get("type") != "text")
    return _text_tokens(message.text) + _json_tokens(message.extra) + PART_TOKENS * pictures + MESSAGE_TOKENS


def _text_tokens(text: str) -> int:
    return -(-len(text.encode("utf-8", "replace")) // BYTES_A_TOKEN)


def _json_tokens(value: Json) -> int:
    return _text_tokens(json.dumps(value, default=str, ensure_ascii=False)) if value else 0
