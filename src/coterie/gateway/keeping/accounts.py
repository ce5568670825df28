"""What each key has used, counted here at once and shared with other workers through the store.

A worker counts for itself, and about once a second (`books`) tells the store what came to it and hears what came to
all. So a bound that several workers share can be passed by what they let in within two seconds, and by the requests
under way; nothing that was spent is forgotten, by a restart neither.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from coterie.config import ApiKey
from coterie.gateway.keeping.ledger import Ledger, Page
from coterie.gateway.refusal import Refusal
from coterie.protocols import Records
from coterie.run.ledger import BYTES_A_TOKEN, guess_tokens
from coterie.trace import CallStarted, Trace
from coterie.types import Failure, Json, Price, Usage

SPACE = "gateway.used"
"""Of the records that accounts are, by the key's id and the period."""

MINUTE_S = 60.0


@dataclass(frozen=True)
class Used:
    """What requests took."""

    requests: int = 0
    calls: int = 0
    tokens: int = 0
    usd: float = 0.0
    """As far as prices are known."""

    def __add__(self, other: Used) -> Used:
        return Used(
            self.requests + other.requests,
            self.calls + other.calls,
            self.tokens + other.tokens,
            self.usd + other.usd,
        )

    def __bool__(self) -> bool:
        return bool(self.requests or self.calls or self.tokens or self.usd)

    @classmethod
    def by(cls, trace: Trace) -> Used:
        """What a run took. Of calls that reported nothing, cut streams among them, what their texts make probable is
        counted: a budget that can be passed by hanging up would be none."""
        total = trace.bill.total
        if total.input_tokens is not None and total.output_tokens is not None and total.cost_usd is not None:
            return cls(calls=total.calls, tokens=total.input_tokens + total.output_tokens, usd=total.cost_usd)
        prices = {card.name: card.price for card in trace.started.cards}
        guesses = [_guessed(call, trace, prices[call.member]) for call in trace.of(CallStarted)]
        return cls(calls=total.calls, tokens=sum(n for n, _ in guesses), usd=sum(usd for _, usd in guesses))

    @classmethod
    def read(cls, value: Json) -> Used:
        kept = value or {}
        return cls(kept["requests"], kept["calls"], kept["tokens"], kept["usd"]) if kept else cls()

    def write(self) -> Json:
        return {"requests": self.requests, "calls": self.calls, "tokens": self.tokens, "usd": self.usd}


_WHEN: Mapping[str, str] = {"ever": "", "day": " of this day (UTC)", "month": " of this month (UTC)"}


def _guessed(started: CallStarted, trace: Trace, price: Price | None) -> tuple[int, float]:
    """Tokens and USD of one call: what was reported, else what its texts make probable. A price nobody knows is 0."""
    outcome = trace.calls[started.call].outcome
    spent = outcome.usage if outcome is not None else Usage(1, None, None, None)
    tokens_in, tokens_out = spent.input_tokens, spent.output_tokens
    if tokens_in is None:
        tokens_in = guess_tokens(started.request or trace.started.request, started.texts or ()) if spent.calls else 0
    if tokens_out is None:
        chars = outcome.written_chars if isinstance(outcome, Failure) else len(getattr(outcome, "text", ""))
        tokens_out = -(-chars // BYTES_A_TOKEN)
    usd = spent.cost_usd
    if usd is None:
        usd = (price.cost_usd(tokens_in, tokens_out) or 0.0) if price is not None else 0.0
    return tokens_in + tokens_out, usd


class Account:
    """One key's: what it has used in this period, and how many requests it has left within the minute."""

    def __init__(self, key: ApiKey, clock: Callable[[], float] = time.time, page: Page | None = None) -> None:
        """What the store does not know yet is kept on `page`, too."""
        self.key = key
        self._clock = clock
        self._page = page
        self.period = _period(key, clock())
        self.used = Used()
        """By all workers, as far as this one has heard."""
        self.untold = Used()
        """Of that, what the store does not know yet."""
        self.heard = False
        """True once the store was asked what was used before."""
        self._left = float(key.requests_per_minute or 0)
        self._at_s = time.monotonic()
        self._asked_s = -math.inf

    def bound(self, key: ApiKey) -> None:
        """Afterwards these are its bounds. A rate begins anew where it is another one."""
        if key.requests_per_minute != self.key.requests_per_minute:
            self._left = float(key.requests_per_minute or 0)
        self.key = key

    def enter(self, *, spends: bool = True) -> None:
        """Afterwards one more request counts. Raises `Refusal` (429) where something is used up: of a request that
        `spends` nothing, the rate."""
        self._turn()
        self._asked_s = time.monotonic()
        if spends and any(used >= most for used, most in self._bounds()):
            raise self._used_up()
        if (wait_s := self._wait_s()) > 0:
            said = f"this key may ask {self.key.requests_per_minute} times a minute"
            raise Refusal(429, said, code="rate_limit_exceeded", retry_after_s=wait_s)
        if self.key.requests_per_minute:
            self._left -= 1
        self._add(Used(requests=1))

    def book(self, used: Used) -> None:
        self._turn()
        self._add(used)

    @property
    def headers(self) -> Mapping[str, str]:
        """What is left of the rate, in OpenAI's words; nothing where there is no rate."""
        most = self.key.requests_per_minute
        if not most:
            return {}
        self._fill()
        return {
            "x-ratelimit-limit-requests": str(most),
            "x-ratelimit-remaining-requests": str(max(0, int(self._left))),
            "x-ratelimit-reset-requests": f"{(most - self._left) * MINUTE_S / most:.3f}s",
        }

    # ---- with other workers ----

    @property
    def listens(self) -> bool:
        """True where it matters what other workers counted: before the first request, and while requests come."""
        return not self.heard or time.monotonic() - self._asked_s < MINUTE_S

    @property
    def place(self) -> str:
        """Where the store has it."""
        return f"{self.key.id}@{self.period}" if self.period else self.key.id

    def told(self, sent: Used, total: Used) -> None:
        """Afterwards it is known what all used: the store took `sent`, and has `total`."""
        self.untold = _less(self.untold, sent)
        self._note()
        others = total.requests + self.untold.requests - self.used.requests
        if self.heard:  # what was used before this worker began was not of this minute
            self._left = max(self._left - max(0, others), -float(self.key.requests_per_minute or 0))
        self.used, self.heard = total + self.untold, True

    # ---- bounds ----

    def _bounds(self) -> Iterator[tuple[float, float]]:
        used, key = self.used, self.key
        for what, most in ((used.usd, key.max_usd), (used.tokens, key.max_tokens), (used.calls, key.max_calls)):
            if most is not None:
                yield what, most

    def _used_up(self) -> Refusal:
        key = self.key
        bounds = ((key.max_usd, "USD"), (key.max_tokens, "tokens"), (key.max_calls, "calls"))
        said = " or ".join(f"{most:.12g} {unit}" for most, unit in bounds if most is not None)
        return Refusal(429, f"this key has used up its {said}{_WHEN[key.per]}", code="insufficient_quota")

    def _wait_s(self) -> float:
        """Seconds until the next request may come: a bucket that fills within a minute."""
        most = self.key.requests_per_minute
        if not most:
            return 0.0
        self._fill()
        return 0.0 if self._left >= 1 else (1 - self._left) * MINUTE_S / most

    def _fill(self) -> None:
        most, now = float(self.key.requests_per_minute or 0), time.monotonic()
        self._left = min(most, self._left + (now - self._at_s) * most / MINUTE_S)
        self._at_s = now

    def _turn(self) -> None:
        """A new period begins at nothing. What the store did not hear of the old one is of no consequence any more."""
        period = _period(self.key, self._clock())
        if period != self.period:
            self.period, self.used, self.untold, self.heard = period, Used(), Used(), False

    def _add(self, used: Used) -> None:
        self.used += used
        self.untold += used
        self._note()

    def _note(self) -> None:
        if self._page is not None:
            self._page.write(self.place, self.untold.write())


class Accounts:
    """The accounts of the configured keys."""

    def __init__(
        self,
        keys: Sequence[ApiKey],
        before: Accounts | None = None,
        ledger: Ledger | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Those of `before` go on for keys that are still there, at once under their new bounds, and in its ledger."""
        known: Mapping[str, Account] = before._accounts if before is not None else {}
        self._ledger: Ledger | None = before._ledger if before is not None else ledger
        self._accounts: dict[str, Account] = {key.id: known.get(key.id) or self._fresh(key, clock) for key in keys}
        for key in keys:
            self._accounts[key.id].bound(key)

    def _fresh(self, key: ApiKey, clock: Callable[[], float]) -> Account:
        return Account(key, clock, self._ledger.page() if self._ledger is not None else None)

    def inherit(self) -> None:
        """Afterwards what processes that were killed had counted, and not told the store, is counted here."""
        if self._ledger is None:
            return
        places = {account.place: account for account in self._accounts.values()}
        for place, untold in self._ledger.left_behind():
            if place in places:  # otherwise a new period has begun, or the key is gone
                places[place].book(Used.read(untold))

    def close(self) -> None:
        """Afterwards what the store was not told is left to the next process."""
        if self._ledger is not None:
            self._ledger.close(keep=any(account.untold for account in self._accounts.values()))

    def __getitem__(self, id_: str) -> Account:
        return self._accounts[id_]

    async def share(self, records: Records) -> None:
        """Afterwards the store knows what was used here, and this worker what was used by all. Raises `StoreError`;
        then what was not told yet is told the next time."""
        for account in list(self._accounts.values()):
            if account.untold or account.listens:
                await _share(account, records)


async def _share(account: Account, records: Records) -> None:
    sent, place = account.untold, account.place
    if sent:
        kept = await records.update(SPACE, place, lambda value: (Used.read(value) + sent).write())
        total = Used.read(kept.value)
    else:
        found = await records.get(SPACE, place)
        total = Used.read(found.value) if found is not None else Used()
    if account.place == place:  # otherwise a new period has begun meanwhile
        account.told(sent, total)


def _less(used: Used, other: Used) -> Used:
    return Used(
        used.requests - other.requests, used.calls - other.calls, used.tokens - other.tokens, used.usd - other.usd
    )


def _period(key: ApiKey, now: float) -> str:
    """The name of the period that is running; empty where there is but one."""
    if key.per == "ever":
        return ""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d" if key.per == "day" else "%Y-%m")
