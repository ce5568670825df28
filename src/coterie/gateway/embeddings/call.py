"""One request for embeddings on its way to the endpoint that answers it."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coterie.config import EmbeddingEndpoint
from coterie.errors import MemberError
from coterie.gateway.bodies import encoded
from coterie.gateway.embeddings.answer import Embedded, embedded
from coterie.gateway.embeddings.request import EmbeddingRequest
from coterie.gateway.embeddings.trace import UNASKED, UNBILLED, EmbeddingTrace
from coterie.members.body import complaint, whole
from coterie.members.openai import ERROR_BODY_BYTES, LARGE_BYTES, LONGEST_ERROR
from coterie.members.retry_after import may_retry, retry_after_s
from coterie.run.breaker import Breaker
from coterie.run.calls import FIRST_WAIT_S, LONGEST_WAIT_S
from coterie.types import FailureKind

if TYPE_CHECKING:
    import aiohttp


@dataclass
class EmbeddingCall:
    """A call of one endpoint, and its tries in the time it has."""

    spec: EmbeddingEndpoint
    session: aiohttp.ClientSession
    trace: EmbeddingTrace
    """Tells afterwards how the call ended, unless it failed: that is for whoever catches the error to tell."""
    breaker: Breaker | None
    timeout_s: float
    tries: int = 0

    async def ask(self, asked: EmbeddingRequest) -> Embedded:
        """What the endpoint answers. Raises `MemberError`."""
        try:
            made = await self._in_time(asked)
        except MemberError as error:
            error.args = (self._scrubbed(str(error)),)
            raise
        except asyncio.CancelledError:
            self.trace.cancelled()
            raise
        self.trace.answered(made.tokens, made.reported_usd)
        return made

    async def _in_time(self, asked: EmbeddingRequest) -> Embedded:
        data = encoded(asked.body(self.spec.model))
        ends = asyncio.get_running_loop().time() + self.timeout_s
        try:
            async with asyncio.timeout_at(ends) as clock:
                while True:
                    try:
                        return await self._watched(data, asked, clock)
                    except MemberError as error:
                        wait_s = self._before_next_s(error, ends)
                    await asyncio.sleep(wait_s)
        except TimeoutError:
            raise MemberError(f"no answer within timeout_s={self.timeout_s}", FailureKind.TIMEOUT) from None

    async def _watched(self, data: bytes, asked: EmbeddingRequest, clock: asyncio.Timeout) -> Embedded:
        """One try, whose end the breaker is told. Raises `MemberError`, also where none may be made now."""
        breaker = self.breaker or Breaker()
        if (rest_s := breaker.wait_s) > 0:
            said = f"not asked: its endpoint is in trouble and left alone for {rest_s:.1f} s more"
            raise MemberError(said, FailureKind.UNAVAILABLE, retry_after_s=rest_s, usage=UNASKED)
        ticket = breaker.enter()
        self.tries += 1
        try:
            made = await self._once(data, asked)
        except MemberError as error:
            breaker.heard(ticket, error)
            raise
        except BaseException:
            if clock.expired():
                breaker.failed(ticket)
            else:  # a client that left, a defect: none of them is the endpoint's
                breaker.left(ticket)
            raise
        breaker.succeeded(ticket)
        return made

    async def _once(self, data: bytes, asked: EmbeddingRequest) -> Embedded:
        import aiohttp

        url = self.spec.base_url.rstrip("/") + "/embeddings"
        headers = {"Content-Type": "application/json", **self.spec.headers}
        if self.spec.api_key:
            headers["Authorization"] = f"Bearer {self.spec.api_key.reveal()}"
        try:
            async with self.session.post(url, data=data, headers=headers, allow_redirects=False) as response:
                if response.status >= 300:
                    raise _refused(response, await response.content.read(ERROR_BODY_BYTES))
                answer = await whole(response)
        except aiohttp.ClientPayloadError as error:
            raise MemberError(f"the answer broke off: {error}", FailureKind.TRUNCATED, retryable=True) from error
        except (aiohttp.ClientError, OSError) as error:
            said = f"{type(error).__name__}: {error}"
            raise MemberError(said, FailureKind.CONNECTION, retryable=True, usage=UNBILLED) from error
        if len(answer) < LARGE_BYTES:
            return embedded(answer, asked)
        return await asyncio.to_thread(embedded, answer, asked)  # megabytes of digits would hold up everybody else

    def _before_next_s(self, error: MemberError, ends: float) -> float:
        """Seconds until the next try, recorded. Raises `error` where there is none."""
        wait_s = self._wait_s(error.retry_after_s)
        late = asyncio.get_running_loop().time() + wait_s >= ends
        resting = self.breaker is not None and self.breaker.wait_s > 0
        if not error.retryable or late or resting or self.tries > self.spec.retries:
            raise error
        self.trace.retried(self.tries, self._scrubbed(str(error)), wait_s)
        return wait_s

    def _wait_s(self, asked_s: float | None) -> float:
        """What the endpoint asked for, else exponential backoff; jittered so that requests do not march in step."""
        if asked_s is not None:
            return asked_s * random.uniform(1.0, 1.1)
        return float(min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (self.tries - 1)) * random.uniform(0.5, 1.0))

    def _scrubbed(self, message: str) -> str:
        """`message` in moderate length without secrets: endpoints like to repeat a key they refuse."""
        for secret in (self.spec.api_key.reveal(), *self.spec.headers.values()):
            if len(secret) >= 4:
                message = message.replace(secret, "***")
        return message if len(message) <= LONGEST_ERROR else f"{message[:LONGEST_ERROR]}…"


def _refused(response: aiohttp.ClientResponse, body: bytes) -> MemberError:
    return MemberError(
        complaint(response, body),
        FailureKind.HTTP,
        retryable=may_retry(response.status, response.headers),
        retry_after_s=retry_after_s(response.headers),
        usage=UNBILLED,
        status=response.status,
    )
