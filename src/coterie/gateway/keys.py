"""Who may ask: API keys, what each may ask, how often, and for how much.

A key is 256 random bits, so one round of SHA-256 hides it: nobody can guess through it. What a key has spent and
asked is counted in this process and begins anew with it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coterie.config import ApiKey
from coterie.gateway.refusal import Refusal

PREFIX = "ck-"
MINUTE_S = 60.0


def create() -> str:
    """A new key."""
    return PREFIX + secrets.token_urlsafe(32)


def hashed(key: str) -> str:
    """What the configuration keeps of `key`."""
    return "sha256:" + hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


@dataclass(frozen=True)
class Caller:
    """Who asks. Without configured keys everybody is the same caller, without a name."""

    id: str = ""
    key: ApiKey | None = None


class _Account:
    """What one key has spent, and how many requests it has left: a bucket that fills within a minute."""

    def __init__(self, key: ApiKey) -> None:
        self.key = key
        self.spent_usd = 0.0
        self._most = float(key.requests_per_minute or 0)
        self._left = self._most
        self._at_s = time.monotonic()

    def take(self) -> float:
        """Take one request; seconds to wait where there is none left."""
        if not self._most:
            return 0.0
        now = time.monotonic()
        self._left = min(self._most, self._left + (now - self._at_s) * self._most / MINUTE_S)
        self._at_s = now
        if self._left < 1:
            return (1 - self._left) * MINUTE_S / self._most
        self._left -= 1
        return 0.0


class Keys:
    """The configured keys, and what each has used."""

    def __init__(self, keys: Sequence[ApiKey]) -> None:
        self._accounts = {key.id: _Account(key) for key in keys}

    def __bool__(self) -> bool:
        return bool(self._accounts)

    def admit(self, headers: Mapping[str, str]) -> Caller:
        """Who asks. Raises `Refusal`: 401 for no key or an unknown one, 403 for a browser's page from elsewhere."""
        if not self._accounts:
            _check_origin(headers.get("origin"))
            return Caller()
        given = _given(headers)
        if not given:
            raise Refusal(
                401, "an API key is needed: Authorization: Bearer KEY, or x-api-key: KEY", code="missing_api_key"
            )
        digest = hashed(given)
        found = None
        for account in self._accounts.values():  # all of them, so that time does not tell which one nearly fitted
            if hmac.compare_digest(account.key.hash, digest):
                found = account.key
        if found is None:
            raise Refusal(401, "the API key is not known", code="invalid_api_key")
        return Caller(found.id, found)

    def may_see(self, caller: Caller, model: str) -> bool:
        return caller.key is None or not caller.key.models or model in caller.key.models

    def check(self, caller: Caller, model: str) -> None:
        """Afterwards one more request counts. Raises `Refusal`: 403 out of scope, 429 out of requests or money."""
        if caller.key is None:
            return
        if not self.may_see(caller, model):
            raise Refusal(403, f"this key may not ask {model}", code="model_not_allowed", param="model")
        account = self._accounts[caller.id]
        if caller.key.max_usd is not None and account.spent_usd >= caller.key.max_usd:
            said = f"this key has spent its {caller.key.max_usd:g} USD"
            raise Refusal(429, said, code="insufficient_quota")
        if (wait_s := account.take()) > 0:
            said = f"this key may ask {caller.key.requests_per_minute} times a minute"
            raise Refusal(429, said, code="rate_limit_exceeded", retry_after_s=wait_s)

    def book(self, caller: Caller, usd: float) -> None:
        """Afterwards `usd` more are spent."""
        if caller.key is not None:
            self._accounts[caller.id].spent_usd += usd


def _given(headers: Mapping[str, str]) -> str:
    """The key in OpenAI's header, or in Anthropic's."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "").strip()


def _check_origin(origin: str | None) -> None:
    """Where no key is asked for, no page from elsewhere may spend through its reader's browser."""
    from urllib.parse import urlsplit

    if origin is not None and urlsplit(origin).hostname not in ("localhost", "127.0.0.1", "::1"):
        raise Refusal(403, "pages from elsewhere may not ask without a key", code="origin_not_allowed")
