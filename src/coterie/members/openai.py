"""Any OpenAI-compatible endpoint, over one pooled connection set.

Chat and plain completions, streamed when somebody listens. What the endpoint gets wrong (HTML with
status 200, a stream that just ends, null content, half a character) is a failure with a name, and
never text. Parameters this library does not know are passed through.
"""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from coterie.errors import ConfigError, MemberError
from coterie.members import depth, openai_answer
from coterie.members.body import ANSWER_BYTES, complaint, less, whole
from coterie.members.choices import SIBLINGS, Choices
from coterie.members.openai_answer import Gathered
from coterie.members.prompting import FewShot
from coterie.members.retry_after import may_retry, retry_after_s
from coterie.members.sse import DataLines
from coterie.members.traceparent import TRACEPARENT
from coterie.protocols import Emit, House
from coterie.types import (
    BallotMode,
    Capability,
    Card,
    Completion,
    FailureKind,
    Json,
    Message,
    Price,
    Request,
    Secret,
    Usage,
    no_extra,
)

if TYPE_CHECKING:
    import aiohttp

ERROR_BODY_BYTES = 65_536
"""An error's body is read this far: enough for a message, too little to hurt."""

LARGE_BYTES = 1 << 20
"""A request of this size is sent bit by bit, so that it does not hold up the event loop."""

LONGEST_ERROR = 300
"""Characters of an error message. It is cut after the secrets are out of it: half a key is a secret too."""

DRAIN_S = 0.05
"""How long a stream that said it was done may take to close."""


@dataclass(frozen=True)
class HttpPool:
    """The connections of a committee: one pool for all its endpoints."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[aiohttp.ClientSession]:
        import aiohttp

        from coterie.members.connector import CleanConnector

        connector = CleanConnector(limit=0, ttl_dns_cache=300)
        # The run keeps time; a second clock here would only blur which limit struck.
        timeout = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=30)
        jar = aiohttp.DummyCookieJar()  # no endpoint leaves anything behind for another member's requests
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=jar) as session:
            yield session


@dataclass(frozen=True)
class OpenAIMember:
    """A model behind an OpenAI-compatible `base_url` (which ends in ``/v1`` for most servers)."""

    name: str
    base_url: str
    model: str
    api_key: Secret = Secret("")
    price: Price | None = None
    """USD per million tokens. Left out, the cost of this member is unknown, which is not free."""
    timeout_s: float = 60.0
    """Longest one call may take, retries included."""
    max_concurrency: int | None = None
    retries: int = 2
    """Further tries after 408, 409, 425, 429, 5xx and broken connections."""
    api: Literal["chat", "completions"] = "chat"
    """`completions` prompts a base model with examples."""
    stream: Literal["auto", "always", "never"] = "auto"
    """`auto` streams when somebody watches, and asks for the whole answer otherwise."""
    ballot: BallotMode | None = None
    """How it reviews; text by default."""
    system: str = ""
    """Put first where the request brings no system message of its own."""
    max_tokens: int | None = None
    """Sent where the request sets none."""
    temperature: float | None = None
    """Sent where the request sets none."""
    context_tokens: int | None = None
    """Its context window; long candidates are shortened to fit a review. Taken as 32,768 where left out."""
    structured: bool = True
    """Whether it takes `response_format` with a JSON Schema."""
    choices: bool = False
    """Whether it writes several answers to one request in one call (`n`), as vLLM does; otherwise each is a call."""
    shots: tuple[tuple[str, str], ...] | None = None
    """Examples for `api: completions`; a default set where left out."""
    headers: Mapping[str, str] = field(default_factory=dict, hash=False, repr=False)
    """Further HTTP headers. Not printed: they may hold secrets."""
    extra: Mapping[str, Json] = field(default_factory=no_extra, hash=False)
    """Further parameters of every request."""
    proxy: str | None = field(default=None, repr=False)
    """An HTTP proxy's URL. Not printed: it may hold a password."""

    def __post_init__(self) -> None:
        if urlsplit(self.base_url).scheme not in ("http", "https"):
            shown = self.base_url.rsplit("@", 1)[-1]  # what stands before an @ is a password
            raise ConfigError(f"base_url {shown!r} of {self.name!r} must begin with http:// or https://")

    async def open(self, house: House) -> OpenAIModel:
        return OpenAIModel(self, await house.once(HttpPool()))

    @property
    def card(self) -> Card:
        abilities = {Capability.LOGPROBS, Capability.REVIEW} | ({Capability.SCHEMA} if self.structured else set())
        return Card(
            self.name,
            self.model,
            self.price,
            self.context_tokens,
            frozenset(abilities),
            self.ballot or BallotMode.TEXT,
            self.timeout_s,
            self.max_concurrency,
        )


class OpenAIModel:
    """An open `OpenAIMember`."""

    def __init__(self, spec: OpenAIMember, session: aiohttp.ClientSession) -> None:
        self._spec = spec
        self._session = session
        path = "/chat/completions" if spec.api == "chat" else "/completions"
        self._url = spec.base_url.rstrip("/") + path
        self._headers = {"Content-Type": "application/json", **spec.headers}
        if spec.api_key:
            self._headers["Authorization"] = f"Bearer {spec.api_key.reveal()}"
        self.card = spec.card
        self._choices = Choices(self._post_for_all)
        self._structured = spec.structured
        """False once the endpoint has refused a JSON Schema: many promise this convention and few keep it."""

    async def generate(self, request: Request, emit: Emit | None) -> Completion:
        """The endpoint's text. Raises `MemberError` for everything that is not one."""
        import aiohttp

        streamed = self._spec.stream == "always" or (self._spec.stream == "auto" and emit is not None)
        payload = self._payload(request, streamed)
        try:
            if self._spec.choices and not streamed and SIBLINGS.get() > 1:
                gathered = await self._choices.one(payload)
                if gathered is not None:
                    return self._completion(gathered, request)
            return self._completion(await self._post(payload, emit), request)
        except aiohttp.ClientPayloadError as error:
            raise self._error(f"the answer broke off: {error}", FailureKind.TRUNCATED) from error
        except (aiohttp.ClientError, OSError) as error:
            said = f"{type(error).__name__}: {error}"
            raise self._error(said, FailureKind.CONNECTION, retryable=True, usage=Usage(calls=1)) from error
        except MemberError as error:
            error.args = (self._scrubbed(str(error)),)
            if request.schema is not None and self._structured and error.status in (400, 422):
                self._structured = False
                error.retryable, error.retry_after_s = True, 0.0
            raise

    async def _post(self, payload: Mapping[str, Json], emit: Emit | None) -> Gathered:
        began = time.perf_counter()
        async with self._sent(payload) as response:
            await self._check(response)
            if response.content_type == "text/event-stream":
                return await self._read_stream(response, emit, began)
            return openai_answer.whole(await whole(response), response.content_type)

    async def _post_for_all(self, payload: Mapping[str, Json]) -> Sequence[Gathered]:
        async with self._sent(payload) as response:
            await self._check(response)
            return openai_answer.several(await whole(response), response.content_type)

    def _sent(self, payload: Mapping[str, Json]) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """The endpoint's response, its head read, while it is entered."""
        body = _encoded(payload)
        data = body if len(body) < LARGE_BYTES else io.BytesIO(body)
        headers = {**self._headers, **_on_the_way()}
        return self._session.post(self._url, data=data, headers=headers, proxy=self._spec.proxy, allow_redirects=False)

    async def _check(self, response: aiohttp.ClientResponse) -> None:
        """Raises `MemberError` for a response that says it is an error."""
        if response.status >= 300:
            raise self._status_error(response, await response.content.read(ERROR_BODY_BYTES))

    # ---- asking -------------------------------------------------------------------------------

    def _payload(self, request: Request, streamed: bool) -> dict[str, Json]:
        spec, sampling = self._spec, request.sampling
        wanted: dict[str, Json] = {
            "model": spec.model,
            "temperature": spec.temperature if sampling.temperature is None else sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens or spec.max_tokens,
            "seed": sampling.seed,
        }
        payload = {key: value for key, value in wanted.items() if value is not None}
        stop = sampling.stop
        if spec.api == "chat":
            payload["messages"] = [_message(m) for m in self._messages(request)]
            if sampling.top_logprobs is not None:
                payload |= {"logprobs": True, "top_logprobs": sampling.top_logprobs}
        else:
            prompt = FewShot(spec.shots).prompt(request, spec.system)
            payload["prompt"], stop = prompt.text, (*stop, *prompt.stop)
            if sampling.top_logprobs is not None:
                payload["logprobs"] = sampling.top_logprobs
        if stop:
            payload["stop"] = list(stop)
        if request.schema is not None and self._structured:
            schema = {"name": "answer", "schema": request.schema, "strict": True}
            payload["response_format"] = {"type": "json_schema", "json_schema": schema}
        if streamed:
            payload |= {"stream": True, "stream_options": {"include_usage": True}}
        payload |= {**spec.extra, **sampling.extra}
        if "max_completion_tokens" in payload:  # the same bound by its newer name; endpoints take one of them
            payload.pop("max_tokens", None)
        return payload

    def _messages(self, request: Request) -> Sequence[Message]:
        messages = list(request.messages)
        if self._spec.system and not any(m.role in ("system", "developer") for m in messages):
            messages.insert(0, Message("system", self._spec.system))
        if request.prefix:
            messages.append(Message("assistant", request.prefix))
        return messages

    # ---- reading ------------------------------------------------------------------------------

    async def _read_stream(self, response: aiohttp.ClientResponse, emit: Emit | None, began: float) -> Gathered:
        gathered = Gathered()
        lines = DataLines()
        left = ANSWER_BYTES
        async for chunk in response.content.iter_any():
            left = less(left, len(chunk))
            for data in lines.feed(chunk):
                _take(gathered, data, emit, began)
            if gathered.done:
                await _drain(response)
                return gathered
        for data in lines.rest():
            _take(gathered, data, emit, began)
        if not gathered.done and not gathered.finish_reason:
            raise MemberError(
                f"the stream ended after {len(gathered.pieces)} pieces without a finish_reason", FailureKind.TRUNCATED
            )
        return gathered

    def _completion(self, gathered: Gathered, request: Request) -> Completion:
        """The completion, its cost by the member's price, or else as the endpoint itself reported it."""
        completion = gathered.completion(self._spec.name, self._spec.price)
        if self._spec.api == "completions" and not request.prefix:  # it begins with the space after "Answer:"
            completion = replace(completion, text=completion.text.strip())
        return completion

    # ---- failing ------------------------------------------------------------------------------

    def _status_error(self, response: aiohttp.ClientResponse, body: bytes) -> MemberError:
        return self._error(
            complaint(response, body),
            FailureKind.HTTP,
            retryable=may_retry(response.status, response.headers),
            retry_after_s=retry_after_s(response.headers),
            usage=Usage(calls=1),  # what was refused is not billed
            status=response.status,
        )

    def _error(self, message: str, kind: FailureKind, **more: Any) -> MemberError:
        return MemberError(self._scrubbed(message), kind, **more)

    def _scrubbed(self, message: str) -> str:
        """`message` in moderate length without the member's secrets: endpoints like to repeat a key they refuse."""
        for secret in (self._spec.api_key.reveal(), self._spec.proxy, *self._spec.headers.values()):
            if secret and len(secret) >= 4:
                message = message.replace(secret, "***")
        return message if len(message) <= LONGEST_ERROR else f"{message[:LONGEST_ERROR]}…"


def _encoded(payload: Mapping[str, Json]) -> bytes:
    from pydantic_core import to_json

    try:
        return to_json(payload)
    except ValueError:  # half a character, which JSON can hold as an escape alone
        return json.dumps(payload).encode()


def _on_the_way() -> Mapping[str, str]:
    """Headers by which whoever comes next knows what the request has passed through."""
    given = {"traceparent": TRACEPARENT.get(), depth.HEADER: depth.DEPTH.get()}
    return {name: str(value) for name, value in given.items() if value}


def _take(gathered: Gathered, data: bytes, emit: Emit | None, began: float) -> None:
    """Take in one event of a stream, and pass its text on."""
    if data == b"[DONE]":
        gathered.done = True
        return
    text = gathered.add_chunk(data)
    if text and gathered.first_piece_s is None:
        gathered.first_piece_s = time.perf_counter() - began
    if text and emit is not None:
        emit(text)


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Read what little follows the end, so that the connection can be used again; do not wait for more.

    Whatever goes wrong here, the answer is whole.
    """
    import aiohttp

    with suppress(TimeoutError, OSError, aiohttp.ClientError):
        async with asyncio.timeout(DRAIN_S):
            await response.content.readany()


def _message(message: Message) -> dict[str, Json]:
    content = message.content if isinstance(message.content, str) else list(message.content)
    says_nothing = not content and ("tool_calls" in message.extra or "refusal" in message.extra)
    return {"role": message.role, "content": None if says_nothing else content, **message.extra}
