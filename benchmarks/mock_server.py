"""A pool of mock models behind one OpenAI-compatible endpoint, whose waits are known beforehand.

    python benchmarks/mock_server.py            # prints its port

Every call waits between `SHORTEST_S` and `LONGEST_S`, drawn from a hash of the model, the stage and
the request's tag, so that whoever knows the tag can compute the critical path without a clock. The
tag is ``[request NAME]`` in the question; the stage is read off the prompt. `GET /log` returns the
calls served since it was last asked. As light as it can be: it parses no JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import itertools
import json
import re
import sys
from dataclasses import dataclass
from typing import NamedTuple

SHORTEST_S, LONGEST_S = 0.2, 0.8
PIECES = 8
"""Pieces of a streamed answer; the last comes at the end of the wait."""

STAGES = ("generate", "review", "fuse")

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_MODEL = re.compile(rb'"model": ?"([^"]*)"')
_TAG = re.compile(rb"\[request ([\w-]+)\]")
_STREAM = re.compile(rb'"stream": ?true')
_LABEL = re.compile(rb'id=\\"([\w.-]+)\\"')

_BALLOT = rb"\"scores\""

ANSWER = (
    "The capital of France is Paris. It lies on the Seine in the north of the country and has been the seat of "
    "government for most of the time since the tenth century. Its urban area counts about eleven million people, "
    "which makes it the largest of the country by far. "
) * 2
REASON = "The first is complete and exact; the others leave out where the city lies or round its size too freely."


def delay_s(model: str, stage: str, tag: str) -> float:
    """How long this call waits; the same for the same arguments, on every machine."""
    digest = hashlib.blake2b(f"{model}/{stage}/{tag}".encode(), digest_size=8).digest()
    return SHORTEST_S + (LONGEST_S - SHORTEST_S) * int.from_bytes(digest) / 2**64


class Served(NamedTuple):
    """One call, as the mock saw it."""

    model: str
    stage: str
    tag: str
    arrived_s: float
    delay_s: float
    """The wait that was drawn."""
    late_s: float
    """What the mock itself took beyond it."""
    prompt_bytes: int


@dataclass(frozen=True)
class Asked:
    """One call, read off its bytes."""

    model: str
    stage: str
    tag: str
    stream: bool
    labels: tuple[str, ...]

    @classmethod
    def of(cls, body: bytes) -> Asked:
        labels = tuple(dict.fromkeys(label.decode() for label in _LABEL.findall(body)))
        stage = "review" if _BALLOT in body else "fuse" if labels else "generate"
        return cls(_found(_MODEL, body), stage, _found(_TAG, body), bool(_STREAM.search(body)), labels)

    @property
    def text(self) -> str:
        if self.stage != "review":
            return ANSWER
        scores = {label: 1 + hash_of(self.model, label) % 5 for label in self.labels}
        return json.dumps({"scores": scores, "reason": REASON})


def hash_of(*words: str) -> int:
    """A number that depends on nothing but `words`."""
    return int.from_bytes(hashlib.blake2b("/".join(words).encode(), digest_size=4).digest())


def _found(pattern: re.Pattern[bytes], body: bytes) -> str:
    match = pattern.search(body)
    return match[1].decode() if match else ""


# ---- responses --------------------------------------------------------------------------------


def _usage(asked: Asked, prompt_bytes: int) -> str:
    prompt, completion = prompt_bytes // 4, len(asked.text) // 4
    return f'{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{prompt + completion}}}'


def whole(asked: Asked, prompt_bytes: int) -> bytes:
    """The HTTP response with the answer as one JSON document."""
    body = (
        f'{{"id":"mock","object":"chat.completion","created":1,"model":"{asked.model}","choices":[{{"index":0,'
        f'"message":{{"role":"assistant","content":{json.dumps(asked.text)}}},"logprobs":null,"finish_reason":"stop"}}],'
        f'"usage":{_usage(asked, prompt_bytes)}}}'
    ).encode()
    return _response(b"application/json", body)


def stream(asked: Asked, prompt_bytes: int) -> list[bytes]:
    """The writes of a streamed response, `PIECES` of them; the head goes with the first."""
    text = asked.text
    bounds = [len(text) * n // PIECES for n in range(PIECES + 1)]
    deltas = [json.dumps({"content": text[a:b]}) for a, b in itertools.pairwise(bounds)]
    writes = [_chunk(_event(asked, f'[{{"index":0,"delta":{delta},"finish_reason":null}}]')) for delta in deltas]
    writes[0] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" + writes[0]
    end = _event(asked, '[{"index":0,"delta":{},"finish_reason":"stop"}]')
    end += _event(asked, f'[],"usage":{_usage(asked, prompt_bytes)}')
    writes[-1] += _chunk(end + b"data: [DONE]\n\n") + b"0\r\n\r\n"
    return writes


def _event(asked: Asked, choices: str) -> bytes:
    head = f'"id":"mock","object":"chat.completion.chunk","created":1,"model":"{asked.model}"'
    return f'data: {{{head},"choices":{choices}}}\n\n'.encode()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _response(kind: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (kind, len(body), body)


# ---- server -----------------------------------------------------------------------------------


class MockProtocol(asyncio.Protocol):
    """One connection; its requests come one after the other."""

    def __init__(self, log: list[Served], scale: float) -> None:
        self._log = log
        self._scale = scale
        self._pending = bytearray()
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._pending += data
        head = self._pending.find(b"\r\n\r\n")
        if head < 0:
            return
        length = _LENGTH.search(self._pending, 0, head + 2)
        end = head + 4 + (int(length[1]) if length else 0)
        if len(self._pending) < end:
            return
        request = bytes(self._pending[:end])
        del self._pending[:end]
        if request.startswith(b"GET /log"):
            self._transport.write(_response(b"application/json", json.dumps(self._log).encode()))
            self._log.clear()
        else:
            self._begin(request[head + 4 :])

    def _begin(self, body: bytes) -> None:
        arrived_s = self._loop.time()
        asked = Asked.of(body)
        wait_s = delay_s(asked.model, asked.stage, asked.tag) * self._scale
        writes = stream(asked, len(body)) if asked.stream else [whole(asked, len(body))]
        for n, write in enumerate(writes[:-1], 1):
            self._loop.call_at(arrived_s + wait_s * n / len(writes), self._write, write)
        self._loop.call_at(arrived_s + wait_s, self._end, writes[-1], asked, arrived_s, wait_s, len(body))

    def _write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def _end(self, data: bytes, asked: Asked, arrived_s: float, wait_s: float, prompt_bytes: int) -> None:
        late_s = self._loop.time() - arrived_s - wait_s
        self._write(data)
        self._log.append(Served(asked.model, asked.stage, asked.tag, arrived_s, wait_s, late_s, prompt_bytes))


async def serve(port: int, scale: float) -> None:
    """Serve on loopback until standard input ends: with whoever started this."""
    loop = asyncio.get_running_loop()
    log: list[Served] = []
    server = await loop.create_server(lambda: MockProtocol(log, scale), "127.0.0.1", port, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--port", type=int, default=0, help="port on loopback; 0 (the default) takes a free one")
    parser.add_argument("--scale", type=float, default=1.0, help="every wait is so many times as long")
    args = parser.parse_args()
    asyncio.run(serve(args.port, args.scale))


if __name__ == "__main__":
    main()
