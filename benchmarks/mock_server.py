"""A pool of mock models behind one OpenAI-compatible endpoint, whose waits are known beforehand.

    python benchmarks/mock_server.py            # prints its port

Every call waits between `SHORTEST_S` and `LONGEST_S`, drawn from a hash of the model, the stage and
the request's tag, or as long as a file says for its model and stage, so that the critical path can
be computed without a clock. The tag is the last ``[request NAME]`` of the conversation; the stage is read
off the prompt. An answer begins with its author, so the mock sees whose answers a call has read. `GET
/log` returns the calls served since it was last asked. As light as it can be: it parses no JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from http_connection import STREAM_END, STREAM_HEAD, HttpConnection, chunk, response, serve

SHORTEST_S, LONGEST_S = 0.2, 0.8
PIECES = 8
"""Pieces of a streamed answer; the last comes at the end of the wait."""

_MODEL = re.compile(rb'"model": ?"([^"]*)"')
_TAG = re.compile(rb"\[request ([\w-]+)\]")
_STREAM = re.compile(rb'"stream": ?true')
_ANSWER = re.compile(rb'<answer(?:-[0-9a-f]+)?(?: id=\\"([\w.-]+)\\")?>\\n\[by ([\w.:-]+)\]')
_SCORED = re.compile(rb'\\"([\w.-]+)\\": <')
"""The names in a ballot's form: labels of answers, or criteria."""

_BALLOT = rb"\"scores\""
_ONE_TOKEN = b'"top_logprobs": '
_NAMED = re.compile(rb'\\"answer\\": \\"(\w+)\\"')

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
    """`generate`, `review`, `prefill` (a review of one token) or `fuse`."""
    tag: str
    arrived_s: float
    delay_s: float
    """The wait that was drawn or told."""
    late_s: float
    """What the mock itself took beyond it."""
    prompt_bytes: int
    read: Sequence[str]
    """The models whose answers the prompt holds."""


@dataclass(frozen=True)
class Pool:
    """How long calls wait, and how good answers are found."""

    told: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """By model: seconds for each stage, and under "score" what every reviewer gives its answers, from 1 to 5.

    What is not told is drawn.
    """
    scale: float = 1.0
    """Every wait is so many times as long."""

    def wait_s(self, asked: Asked) -> float:
        told = self.told.get(asked.model)
        return self.scale * (delay_s(asked.model, asked.stage, asked.tag) if told is None else told[asked.stage])

    def score(self, reviewer: str, author: str, name: str) -> float:
        told = self.told.get(author)
        return 1 + hash_of(reviewer, name) % 5 if told is None else told["score"]

    def reason(self, reviewer: str) -> str:
        """As long as an answer where times are told: then a written review is told to take as long as one."""
        return REASON if reviewer not in self.told else REASON * (len(ANSWER) // len(REASON))


@dataclass(frozen=True)
class Asked:
    """One call, read off its bytes."""

    model: str
    stage: str
    tag: str
    stream: bool
    answers: Mapping[str, str]
    """Whose answer stands under each label."""
    scored: tuple[str, ...] = ()
    """The names in the form of a ballot."""
    named: str = ""
    """The label that a ballot on one answer must repeat."""

    @classmethod
    def of(cls, body: bytes) -> Asked:
        answers = {label.decode(): author.decode() for label, author in _ANSWER.findall(body)}
        tags = _TAG.findall(body)
        tag = tags[-1].decode() if tags else ""
        asked = cls(_found(_MODEL, body), "fuse" if answers else "generate", tag, bool(_STREAM.search(body)), answers)
        if _ONE_TOKEN in body:
            return replace(asked, stage="prefill")
        if _BALLOT not in body:
            return asked
        scored = tuple(dict.fromkeys(name.decode() for name in _SCORED.findall(body)))
        return replace(asked, stage="review", scored=scored, named=_found(_NAMED, body))

    def text(self, pool: Pool) -> str:
        """What the model says to it."""
        if self.stage == "prefill":
            return str(round(self._score(pool, "")))
        if self.stage != "review":
            return f"[by {self.model}] {ANSWER}"
        scores = {name: self._score(pool, name) for name in self.scored}
        said = {"answer": self.named} if self.named else {}
        return json.dumps({**said, "scores": scores, "reason": pool.reason(self.model)})

    def logprobs(self, pool: Pool) -> str:
        """JSON: the probabilities of the two digits about the score, whose mean it is."""
        score = self._score(pool, "")
        low = min(int(score), 4)
        shares = {str(low): low + 1 - score, str(low + 1): score - low}
        top = [{"token": digit, "logprob": math.log(share)} for digit, share in shares.items() if share > 0]
        return json.dumps({"content": [{**max(top, key=lambda one: one["logprob"]), "top_logprobs": top}]})

    def _score(self, pool: Pool, name: str) -> float:
        author = self.answers.get(name) or next(iter(self.answers.values()), "")
        return pool.score(self.model, author, name)


def hash_of(*words: str) -> int:
    """A number that depends on nothing but `words`."""
    return int.from_bytes(hashlib.blake2b("/".join(words).encode(), digest_size=4).digest())


def _found(pattern: re.Pattern[bytes], body: bytes) -> str:
    match = pattern.search(body)
    return match[1].decode() if match else ""


# ---- responses --------------------------------------------------------------------------------


def _usage(text: str, prompt_bytes: int) -> str:
    prompt, completion = prompt_bytes // 4, max(1, len(text) // 4)
    return f'{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{prompt + completion}}}'


def whole(asked: Asked, pool: Pool, prompt_bytes: int) -> bytes:
    """The HTTP response with the answer as one JSON document."""
    text = asked.text(pool)
    logprobs = asked.logprobs(pool) if asked.stage == "prefill" else "null"
    body = (
        f'{{"id":"mock","object":"chat.completion","created":1,"model":"{asked.model}","choices":[{{"index":0,'
        f'"message":{{"role":"assistant","content":{json.dumps(text)}}},"logprobs":{logprobs},"finish_reason":"stop"}}],'
        f'"usage":{_usage(text, prompt_bytes)}}}'
    ).encode()
    return response(b"application/json", body)


def stream(asked: Asked, pool: Pool, prompt_bytes: int) -> list[bytes]:
    """The writes of a streamed response, `PIECES` of them; the head goes with the first."""
    text = asked.text(pool)
    bounds = [len(text) * n // PIECES for n in range(PIECES + 1)]
    deltas = [json.dumps({"content": text[a:b]}) for a, b in itertools.pairwise(bounds)]
    writes = [chunk(_event(asked, f'[{{"index":0,"delta":{delta},"finish_reason":null}}]')) for delta in deltas]
    writes[0] = STREAM_HEAD + writes[0]
    end = _event(asked, '[{"index":0,"delta":{},"finish_reason":"stop"}]')
    end += _event(asked, f'[],"usage":{_usage(text, prompt_bytes)}')
    writes[-1] += chunk(end + b"data: [DONE]\n\n") + STREAM_END
    return writes


def _event(asked: Asked, choices: str) -> bytes:
    head = f'"id":"mock","object":"chat.completion.chunk","created":1,"model":"{asked.model}"'
    return f'data: {{{head},"choices":{choices}}}\n\n'.encode()


# ---- server -----------------------------------------------------------------------------------


class MockConnection(HttpConnection):
    """Answers after the wait of each call, and writes down what it served."""

    def __init__(self, log: list[Served], pool: Pool) -> None:
        super().__init__()
        self._log = log
        self._pool = pool

    def asked(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET /log"):
            self.transport.write(response(b"application/json", json.dumps(self._log).encode()))
            self._log.clear()
        else:
            self._begin(body)

    def _begin(self, body: bytes) -> None:
        arrived_s = self.loop.time()
        asked = Asked.of(body)
        wait_s = self._pool.wait_s(asked)
        writes = stream(asked, self._pool, len(body)) if asked.stream else [whole(asked, self._pool, len(body))]
        at = [arrived_s + wait_s * n / len(writes) for n in range(1, len(writes))]
        self.timers = [self.loop.call_at(t, self.transport.write, piece) for t, piece in zip(at, writes, strict=False)]
        end = partial(self._end, writes[-1], asked, arrived_s, wait_s, len(body))
        self.timers.append(self.loop.call_at(arrived_s + wait_s, end))

    def _end(self, data: bytes, asked: Asked, arrived_s: float, wait_s: float, prompt_bytes: int) -> None:
        late_s = self.loop.time() - arrived_s - wait_s
        self.transport.write(data)
        read = list(asked.answers.values())
        self._log.append(Served(asked.model, asked.stage, asked.tag, arrived_s, wait_s, late_s, prompt_bytes, read))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--port", type=int, default=0, help="port on loopback; 0 (the default) takes a free one")
    parser.add_argument("--scale", type=float, default=1.0, help="every wait is so many times as long")
    parser.add_argument("--told", type=Path, help="a JSON file with seconds by model and stage, instead of draws")
    args = parser.parse_args()
    told = json.loads(args.told.read_text(encoding="utf-8")) if args.told else {}
    log, pool = list[Served](), Pool(told, args.scale)
    asyncio.run(serve(lambda: MockConnection(log, pool), args.port))


if __name__ == "__main__":
    main()
