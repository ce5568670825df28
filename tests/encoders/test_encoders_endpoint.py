"""Encoders behind an endpoint, against a real server on loopback: what is sent, what is taken in, who is told what."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tiny_encoders import answering, embeddings, encoded, opened, vector

from coterie.encoders import from_plain, to_plain
from coterie.encoders.endpoint import LONGEST_ERROR, EndpointEncoder
from coterie.errors import ConfigError, RouterError
from coterie.types import Secret
from http_faults import Body, FaultServer, Reply, Script, busy_once

KEY = "sk-very-secret-0123456789"
PRIVATE = "My doctor says that the results of the test are not good at all."


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer({}) as running:
        yield running


def spec(server: FaultServer, script: Script = answering, **settings: Any) -> EndpointEncoder:
    """An encoder at an endpoint that answers so; the server forgets what it saw."""
    server.requests.clear()
    server.scripts = {"e": script}
    return EndpointEncoder(server.base_url, "e", **{"dimensions": 8, "timeout_s": 5.0, **settings})


def failure(encoder: EndpointEncoder, *texts: str) -> str:
    with pytest.raises(RouterError) as caught:
        encoded(encoder, texts or [PRIVATE])
    return str(caught.value)


def test_what_is_sent(server: FaultServer) -> None:
    own: dict[str, Any] = {"headers": {"X-Team": "blue"}, "extra": {"input_type": "query"}}
    encoded(spec(server, api_key=Secret(KEY), max_characters=5, **own), ["the cat", "a"])
    [seen] = server.requests
    assert seen.path == "/v1/embeddings"
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert seen.headers["x-team"] == "blue"
    assert seen.body == {
        "model": "e", "input": ["the c", "a"], "encoding_format": "float", "dimensions": 8, "input_type": "query",
    }  # fmt: skip
    encoded(spec(server, max_characters=5, keep="end"), ["the cat"])
    assert server.requests[0].body["input"] == ["e cat"]
    assert "authorization" not in server.requests[0].headers


def test_vectors_come_in_the_texts_order_however_they_are_answered(server: FaultServer) -> None:
    texts = [f"text {n}" for n in range(10)]
    rows = encoded(spec(server, batch_texts=3), texts)
    wanted = np.array([vector(text) for text in texts])
    assert rows == pytest.approx(wanted / np.linalg.norm(wanted, axis=1, keepdims=True), abs=1e-6)
    assert sorted(len(seen.body["input"]) for seen in server.requests) == [1, 3, 3, 3]


def test_without_an_index_they_come_as_they_stand(server: FaultServer) -> None:
    def plain(body: Body, _nth: int) -> Reply:
        return embeddings([{"embedding": vector(text)} for text in body["input"]])

    texts = ["a", "b", "c"]
    assert (encoded(spec(server, plain), texts) == encoded(spec(server), texts)).all()


def test_dimensions_left_out_are_found_out_at_the_start(server: FaultServer) -> None:
    async def work(open_encoder: Any) -> int:
        return int(open_encoder.dimensions)

    assert opened(spec(server, dimensions=None), work) == 8
    [seen] = server.requests
    assert "dimensions" not in seen.body


def test_a_busy_endpoint_is_asked_again_when_it_says(server: FaultServer) -> None:
    def then(body: Body, nth: int) -> Reply:
        return answering(body, nth) if nth > 1 else Reply(status=429, headers={"Retry-After": "0.05"})

    assert encoded(spec(server, then), ["a"]).shape == (1, 8)
    assert server.count("e") == 2
    first, second = server.requests
    assert second.at_s - first.at_s >= 0.05


def test_tries_end(server: FaultServer) -> None:
    status = Reply(status=503, headers={"retry-after-ms": "1"})
    said = failure(spec(server, status, retries=2))
    assert server.count("e") == 3
    assert re.match(r"no vectors from 'e' at 127\.0\.0\.1:\d+: HTTP 503: scripted: Service Unavailable", said)
    failure(spec(server, busy_once(lambda: "60")))  # the next try would come too late
    assert server.count("e") == 1
    failure(spec(server, Reply(status=401)))
    assert server.count("e") == 1


def test_time_ends(server: FaultServer) -> None:
    assert "no answer within timeout_s=0.1" in failure(spec(server, Reply(hang=True), timeout_s=0.1))
    assert server.idle_within(5)


def test_a_connection_that_breaks_or_is_not_there(server: FaultServer) -> None:
    assert "ClientPayloadError" in failure(spec(server, Reply(missing_bytes=9, body=b"{}"), retries=0))
    away = EndpointEncoder("http://127.0.0.1:9/v1", "e", dimensions=8, retries=0)
    assert "ClientConnectorError" in failure(away)
    with pytest.raises(RouterError, match=r"127\.0\.0\.1:9"):
        encoded(EndpointEncoder("http://127.0.0.1:9/v1", "e", retries=0), ["a"])  # which asks for its dimensions


def item(embedding: object = tuple(vector("a")), index: object = 0) -> Body:
    return {"index": index, "embedding": embedding}


MALFORMED = {
    "no JSON": (Reply(body=b"<html>"), "broken JSON"),
    "no object": (Reply(body=b"[]"), "no object"),
    "an error": (Reply(body=json.dumps({"error": {"message": "overloaded"}}).encode()), "status 200: overloaded"),
    "no data": (Reply(body=b"{}"), "no list of vectors"),
    "strange items": (embeddings([1]), "no list of vectors"),
    "too few": (embeddings([]), "0 vectors for 1 texts"),
    "too many": (embeddings([item(), item(index=1)]), "2 vectors for 1 texts"),
    "a wrong index": (embeddings([item(index=1)]), "not numbered 0 to 0"),
    "a true index": (embeddings([item(index=True)]), "not numbered"),
    "a wrong length": (embeddings([item([1.0, 2.0])]), r"vectors of \[2\] numbers, not of 8 numbers"),
    "nothing": (embeddings([item(None)]), "no list of numbers"),
    "an empty one": (embeddings([item([])]), "no list of numbers"),
    "words": (embeddings([item(["1.0"] * 8)]), "no list of numbers"),
    "lists": (embeddings([item([[1.0], 2.0])]), "lists in it"),
    "NaN": (embeddings([item([float("nan")] * 8)]), "NaN or infinity"),
    "infinity": (embeddings([item([1e999] * 8)]), "NaN or infinity"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_vector_is_an_error(server: FaultServer, name: str) -> None:
    script, said = MALFORMED[name]
    assert re.search(said, failure(spec(server, script)))
    assert server.count("e") == 1


def test_vectors_of_two_lengths_are_an_error(server: FaultServer) -> None:
    two = embeddings([item([1.0]), item([1.0, 2.0], 1)])
    assert "not of 8 numbers" in failure(spec(server, two), "a", "b")
    one = embeddings([item([1.0]), item([1.0], 0)])
    assert "not numbered" in failure(spec(server, one, dimensions=1), "a", "b")


def test_one_text_that_is_refused_harms_no_other(server: FaultServer) -> None:
    def picky(body: Body, nth: int) -> Reply:
        bad = any("bad" in text for text in body["input"])
        return Reply(status=400, error={"message": "too long"}) if bad else answering(body, nth)

    encoder = spec(server, picky)

    async def work(open_encoder: Any) -> None:
        asked = [open_encoder.encode([text]) for text in ("a", "b", "bad", "c", "d")]
        *good, bad = await asyncio.gather(*asked[:2], *asked[3:], asked[2], return_exceptions=True)
        assert all(isinstance(rows, np.ndarray) for rows in good)
        assert "HTTP 400: too long" in str(bad)

    opened(encoder, work)


def test_no_error_holds_a_text_or_a_secret(server: FaultServer) -> None:
    def echo(body: Body, _nth: int) -> Reply:
        return Reply(status=422, error={"message": f"cannot embed {body['input'][0]!r} with {KEY} of blue-team"})

    secrets: dict[str, Any] = {"api_key": Secret(KEY), "headers": {"X-Team": "blue-team"}}
    said = failure(spec(server, echo, **secrets))
    assert said.endswith("HTTP 422: its message repeats a text and is not shown")
    said = failure(spec(server, echo, **secrets), "a")
    assert KEY not in said
    assert "cannot embed 'a' with *** of ***" in said
    assert "repeats a text" in failure(spec(server, Reply(body=PRIVATE[10:40].encode())))
    assert len(failure(spec(server, Reply(status=400, error={"message": "x" * 9000})))) < LONGEST_ERROR + 60
    assert KEY not in repr(spec(server, **secrets))
    assert "blue-team" not in repr(spec(server, **secrets))


def test_the_key_may_stand_in_the_environment(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    encoder = spec(server, api_key_variable="TEST_KEY")
    encoded(from_plain(to_plain(encoder)), ["a"])
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    monkeypatch.delenv("TEST_KEY")
    with pytest.raises(ConfigError, match="'TEST_KEY', which is not set"):
        encoded(encoder, ["a"])


def test_plain_data_holds_no_secret(server: FaultServer) -> None:
    encoder = spec(server, api_key=Secret(KEY), headers={"X-Key": KEY}, extra={"user": "me"})
    plain = to_plain(encoder)
    assert KEY not in json.dumps(plain)
    assert "api_key" not in plain
    assert "headers" not in plain
    assert plain["extra"] == {"user": "me"}
    assert from_plain(plain).identity == encoder.identity


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"base_url": "ftp://x"}, "'ftp://x' must begin with http"),
        ({"base_url": "http://me:pass@x/v1"}, "'x/v1' must begin with http:// or https://, and hold no password"),
        ({"dimensions": 0}, "dimensions must be at least 1, not 0"),
        ({"batch_texts": 0}, "batch_texts must be at least 1"),
        ({"retries": -1}, "retries must be at least 0, not -1"),
        ({"timeout_s": 0}, "timeout_s must be above 0"),
    ],
)
def test_settings_that_cannot_work(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        EndpointEncoder(**{"base_url": "http://x/v1", "model": "e", **settings})
