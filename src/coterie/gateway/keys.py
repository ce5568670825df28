"""Who may ask: API keys, what each may ask, how often, and for how much.

A key is 256 random bits, so one round of SHA-256 hides it: nobody can guess through it. What a key has used stands in
its account.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coterie.config import ApiKey
from coterie.gateway.keeping.accounts import Accounts, Used
from coterie.gateway.keeping.ledger import Ledger
from coterie.gateway.refusal import Refusal

PREFIX = "ck-"


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


class Keys:
    """The configured keys, and what each has used."""

    def __init__(self, keys: Sequence[ApiKey], before: Keys | None = None, ledger: Ledger | None = None) -> None:
        """The accounts of `before` go on; without them there are new ones in `ledger`."""
        self._keys = tuple(keys)
        self.accounts: Accounts = Accounts(keys, before.accounts if before is not None else None, ledger)

    def __bool__(self) -> bool:
        return bool(self._keys)

    def admit(self, headers: Mapping[str, str]) -> Caller:
        """Who asks. Raises `Refusal`: 401 for no key or an unknown one, 403 for a browser's page from elsewhere."""
        if not self._keys:
            _check_origin(headers.get("origin"))
            return Caller()
        given = _given(headers)
        if not given:
            raise Refusal(
                401, "an API key is needed: Authorization: Bearer KEY, or x-api-key: KEY", code="missing_api_key"
            )
        digest = hashed(given)
        found = None
        for key in self._keys:  # all of them, so that time does not tell which one nearly fitted
            if hmac.compare_digest(key.hash, digest):
                found = key
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
        self.enter(caller)

    def enter(self, caller: Caller, *, spends: bool = True) -> None:
        """`check` for what asks no model; what spends nothing is refused for its rate alone."""
        if caller.key is not None:
            self.accounts[caller.id].enter(spends=spends)

    def book(self, caller: Caller, used: Used) -> None:
        """Afterwards that is counted to whoever asked."""
        if caller.key is not None:
            self.accounts[caller.id].book(used)

    def headers(self, caller: Caller) -> Mapping[str, str]:
        """What is left of the caller's rate."""
        return self.accounts[caller.id].headers if caller.key is not None else {}


def _given(headers: Mapping[str, str]) -> str:
    """The key in OpenAI's header, or in Anthropic's."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "").strip()


def _check_origin(origin: str | None) -> None:
    """Where no key is asked for, no page from elsewhere may spend through its reader's browser."""
    from urllib.parse import urlsplit

    if origin is not None and urlsplit(origin).hostname not in ("localhost", "127.0.0.1", "::1"):
        raise Refusal(403, "pages from elsewhere may not ask without a key", code="origin_not_allowed")
