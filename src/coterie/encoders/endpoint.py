"""Vectors from any endpoint that speaks OpenAI's convention (``POST /embeddings``), and what it answers, distrusted.

No error holds what was asked: the endpoint's own words are left out where they repeat a text.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from coterie.encoders.embeddings import embeddings
from coterie.encoders.reading import Keep, shortened
from coterie.encoders.serving import Pace, Refused, Served
from coterie.errors import ConfigError, MemberError, MissingExtra, RouterError
from coterie.members.body import complaint, whole
from coterie.members.openai import ERROR_BODY_BYTES, HttpPool
from coterie.members.retry_after import may_retry, retry_after_s
from coterie.types import FailureKind, Json, Secret, no_extra

if TYPE_CHECKING:
    import aiohttp
    import numpy as np
    from numpy.typing import NDArray

BATCHES_AT_ONCE = 4
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 8.0
LONGEST_ERROR = 300
"""Characters of an error message. It is cut after secrets and texts are out of it."""
REPEATED = 20
"""So many characters of a text in an error message are no accident."""
REFUSALS = frozenset({400, 413, 422})
"""What one text of many may be the reason of."""


@dataclass(frozen=True)
class EndpointEncoder:
    """An embedding model behind a `base_url` (which ends in ``/v1`` for most servers).

    Takes a round trip for each decision, and what the endpoint charges. Take it for a larger or a multilingual model.
    """

    base_url: str
    model: str
    api_key: Secret = Secret("")
    api_key_variable: str = ""
    """An environment variable that holds the key. Unlike the key, its name is kept with a trained router."""
    dimensions: int | None = None
    """Asked for; left out, the model's own, which are found out with one request at the start."""
    max_characters: int = 8_000
    """The most that is sent of a text."""
    keep: Keep = "start"
    """Which end of a longer text is sent."""
    batch_texts: int = 64
    """At most in one request."""
    timeout_s: float = 30.0
    """Longest one request may take, retries included."""
    retries: int = 2
    """Further tries after 408, 409, 425, 429, 5xx and broken connections."""
    headers: Mapping[str, str] = field(default_factory=dict, hash=False, repr=False)
    """Further HTTP headers. Not printed: they may hold secrets."""
    extra: Mapping[str, Json] = field(default_factory=no_extra, hash=False)
    """Further parameters of every request."""

    def __post_init__(self) -> None:
        place = urlsplit(self.base_url)
        if place.scheme not in ("http", "https") or "@" in place.netloc:
            shown = self.base_url.rsplit("@", 1)[-1]  # what stands before an @ is a password
            raise ConfigError(f"base_url {shown!r} must begin with http:// or https://, and hold no password")
        for name, least in (("dimensions", 1), ("max_characters", 1), ("batch_texts", 1), ("retries", 0)):
            if (value := getattr(self, name)) is not None and value < least:
                raise ConfigError(f"{name} must be at least {least}, not {value!r}")
        if not self.timeout_s > 0:
            raise ConfigError(f"timeout_s must be above 0, not {self.timeout_s!r}")

    @property
    def identity(self) -> str:
        width = self.dimensions or "all"
        return f"endpoint:{self.base_url.rstrip('/')}:{self.model}:{width}:{self.max_characters}:{self.keep}"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Served]:
        """The encoder, connected. Raises `ConfigError`, `MissingExtra`, and `RouterError` where nobody answers."""
        try:
            import numpy as np  # noqa: F401
        except ImportError as error:
            raise MissingExtra("an encoder", "routers", "numpy") from error
        async with HttpPool().open() as session:
            endpoint = Endpoint(self, session)
            if endpoint.dimensions is None:
                endpoint.dimensions = (await endpoint.vectors(["a"])).shape[1]
            pace = Pace(self.batch_texts, BATCHES_AT_ONCE)
            served = Served(endpoint.vectors, endpoint.dimensions, pace)
            try:
                yield served
            finally:
                await served.close()


class Endpoint:
    """An open `EndpointEncoder`."""

    def __init__(self, spec: EndpointEncoder, session: aiohttp.ClientSession) -> None:
        self.dimensions = spec.dimensions
        """``None`` until they are known."""
        self._spec = spec
        self._session = session
        self._url = spec.base_url.rstrip("/") + "/embeddings"
        self._key = _key(spec)
        self._headers = {"Content-Type": "application/json", **spec.headers}
        if self._key:
            self._headers["Authorization"] = f"Bearer {self._key.reveal()}"

    async def vectors(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """A vector for each text. Raises `RouterError`, and `Refused` where one text may be the reason."""
        sent = [shortened(text, self._spec.max_characters, self._spec.keep) for text in texts]
        try:
            return await self._in_time(sent)
        except MemberError as error:
            kind = Refused if error.status in REFUSALS else RouterError
            raise kind(self._told(str(error), sent)) from None

    async def _in_time(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """What the endpoint answers, within its time and tries. Raises `MemberError`."""
        timeout_s, tries = self._spec.timeout_s, 0
        loop = asyncio.get_running_loop()
        ends = loop.time() + timeout_s
        try:
            async with asyncio.timeout_at(ends):
                while True:
                    tries += 1
                    try:
                        return await self._asked(texts)
                    except MemberError as error:
                        wait_s = _wait_s(tries, error.retry_after_s)
                        if not error.retryable or tries > self._spec.retries or loop.time() + wait_s >= ends:
                            raise
                    await asyncio.sleep(wait_s)
        except TimeoutError:
            raise MemberError(f"no answer within timeout_s={timeout_s}", FailureKind.TIMEOUT) from None

    async def _asked(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """One request. Raises `MemberError`."""
        import aiohttp

        spec = self._spec
        body: dict[str, Json] = {"model": spec.model, "input": list(texts), "encoding_format": "float"}
        if spec.dimensions is not None:
            body["dimensions"] = spec.dimensions
        data = json.dumps({**body, **spec.extra}).encode()
        try:
            sent = self._session.post(self._url, data=data, headers=self._headers, allow_redirects=False)
            async with sent as response:
                if response.status >= 300:
                    raise _refused(response, await response.content.read(ERROR_BODY_BYTES))
                answer = await whole(response)
        except (aiohttp.ClientError, OSError) as error:
            raise MemberError(f"{type(error).__name__}: {error}", FailureKind.CONNECTION, retryable=True) from error
        # A batch is a megabyte of digits, too much for the event loop.
        return await asyncio.to_thread(embeddings, answer, len(texts), self.dimensions)

    def _told(self, message: str, texts: Sequence[str]) -> str:
        """The message for whoever reads it: with the endpoint's place, and without its key and what was asked."""
        for secret in (self._key.reveal(), *self._spec.headers.values()):
            if len(secret) >= 4:
                message = message.replace(secret, "***")
        if _repeats(message, texts):
            message = f"{message.partition(':')[0]}: its message repeats a text and is not shown"
        if len(message) > LONGEST_ERROR:
            message = f"{message[:LONGEST_ERROR]}…"
        return f"no vectors from {self._spec.model!r} at {urlsplit(self._url).netloc}: {message}"


def _key(spec: EndpointEncoder) -> Secret:
    if spec.api_key or not spec.api_key_variable:
        return spec.api_key
    key = os.environ.get(spec.api_key_variable)
    if not key:
        raise ConfigError(f"api_key_variable names {spec.api_key_variable!r}, which is not set in the environment")
    return Secret(key)


def _refused(response: aiohttp.ClientResponse, body: bytes) -> MemberError:
    return MemberError(
        complaint(response, body),
        FailureKind.HTTP,
        retryable=may_retry(response.status, response.headers),
        retry_after_s=retry_after_s(response.headers),
        status=response.status,
    )


def _wait_s(tries: int, asked_s: float | None) -> float:
    """What the endpoint asked for, else exponential backoff; jittered so that workers do not march in step."""
    if asked_s is not None:
        return asked_s * random.uniform(1.0, 1.1)
    return float(min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (tries - 1)) * random.uniform(0.5, 1.0))


def _repeats(message: str, texts: Sequence[str]) -> bool:
    """True where the message holds a part of a text that it cannot hold by accident."""
    said = " ".join(message.split())[: 2 * LONGEST_ERROR]
    for text in texts:
        words = " ".join(text.split())
        run = min(REPEATED, len(words))
        if run > 3 and any(said[n : n + run] in words for n in range(len(said) - run + 1)):
            return True
    return False
