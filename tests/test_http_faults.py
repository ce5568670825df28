"""The fault server does what it is told, byte for byte: other tests stand on it."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import time
from collections.abc import Iterator

import aiohttp
import pytest

from http_faults import FAULTS, FaultServer, Json, Reply


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer({"good": Reply(delay_s=0.01), **FAULTS}) as running:
        yield running


def post(
    server: FaultServer, model: str, *, stream: bool = False, path: str = "/v1/chat/completions", **fields: Json
) -> tuple[http.client.HTTPResponse, bytes]:
    """Status and headers, and the whole body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "Capital of France?"}], **fields}
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def data(raw: bytes) -> list[Json]:
    """The JSON of every event of a stream but ``[DONE]``."""
    lines = [line.removeprefix("data: ") for line in raw.decode().splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def written(raw: bytes) -> str:
    return "".join(choice["delta"].get("content") or "" for event in data(raw) for choice in event["choices"])


# ---- well-behaved -----------------------------------------------------------------------------


def test_a_whole_answer_and_its_record(server: FaultServer) -> None:
    response, raw = post(server, "good", temperature=0)
    choice = json.loads(raw)["choices"][0]
    assert (response.status, choice["message"]["content"], choice["finish_reason"]) == (200, "Paris", "stop")
    [seen] = server.requests
    assert (seen.model, seen.body["temperature"], seen.streamed, seen.disconnected) == ("good", 0, False, False)
    assert seen.headers["content-type"] == "application/json"
    assert server.idle_within(1)


def test_a_streamed_answer(server: FaultServer) -> None:
    response, raw = post(server, "slow", stream=True, stream_options={"include_usage": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    assert written(raw) == "It is Paris, on the Seine."
    assert raw.endswith(b"data: [DONE]\n\n")
    last = data(raw)[-1]
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] == 18
    assert data(raw)[-2]["choices"][0]["finish_reason"] == "stop"


def test_plain_completions_both_ways(server: FaultServer) -> None:
    _, whole = post(server, "good", path="/v1/completions", prompt="The capital is")
    _, streamed = post(server, "good", stream=True, path="/v1/completions", prompt="The capital is")
    assert json.loads(whole)["choices"][0]["text"] == "Paris"
    assert "".join(choice["text"] for event in data(streamed) for choice in event["choices"]) == "Paris"


def test_any_bytes_may_stand_in_for_an_answer() -> None:
    asked = b'POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 16\r\n\r\n{"model": "raw"}'
    with (
        FaultServer({"raw": Reply(raw=b"SSH-2.0-x\r\n", death="close")}) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection,
    ):
        connection.sendall(asked)
        assert connection.recv(100) == b"SSH-2.0-x\r\n"
        assert connection.recv(100) == b""


def test_one_connection_serves_many_requests(server: FaultServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    for stream in (False, True, False):
        connection.request("POST", "/v1/chat/completions", json.dumps({"model": "good", "stream": stream}))
        assert b"Paris" in connection.getresponse().read()
    connection.request("GET", "/v1/models")
    assert "good" in [model["id"] for model in json.loads(connection.getresponse().read())["data"]]
    connection.close()
    assert server.connections == 1


def test_a_script_sees_the_body_and_the_number() -> None:
    def script(body: Json, nth: int) -> Reply:
        return Reply(text=f"{nth}: {body['messages'][0]['content']}")

    with FaultServer({"echo": script}) as server:
        for nth in (1, 2):
            assert f"{nth}: Capital of France?" in post(server, "echo")[1].decode()


def test_what_a_script_raises_reaches_the_test() -> None:
    def script(body: Json, nth: int) -> Reply:
        raise ValueError("a reviewer was shown its own answer")

    with pytest.raises(ValueError, match="its own answer"), FaultServer({"judge": script}) as server:
        assert post(server, "judge")[0].status == 500


def test_an_unknown_model_is_not_found(server: FaultServer) -> None:
    response, raw = post(server, "absent")
    assert (response.status, "'absent'" in json.loads(raw)["error"]["message"]) == (404, True)


# ---- faults -----------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["dies", "closes"])
def test_dying_streams_break_after_five_pieces(server: FaultServer, model: str) -> None:
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)) as broken:
        post(server, model, stream=True)
    if isinstance(broken.value, http.client.IncompleteRead):
        assert written(broken.value.partial) == "It is Paris, "


@pytest.mark.parametrize("model", ["dies", "closes"])
def test_dying_answers_break_half_way(server: FaultServer, model: str) -> None:
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        post(server, model)


@pytest.mark.parametrize(("model", "stream"), [("hang", False), ("hang", True), ("hang_midway", True)])
def test_a_client_that_leaves_is_noticed(server: FaultServer, model: str, stream: bool) -> None:
    async def ask_for_a_moment() -> None:
        url, body = f"{server.base_url}/chat/completions", {"model": model, "stream": stream}
        async with (
            asyncio.timeout(0.2),
            aiohttp.ClientSession() as session,
            session.post(url, json=body) as response,
        ):
            assert server.active == 1
            await response.read()

    with pytest.raises(TimeoutError):
        asyncio.run(ask_for_a_moment())
    assert server.idle_within(1)
    [seen] = server.requests
    assert seen.disconnected


def test_busy_once_then_fine(server: FaultServer) -> None:
    first, _ = post(server, "429_once")
    second, _ = post(server, "429_once")
    dated, _ = post(server, "429_date")
    assert (first.status, first.headers["retry-after"], second.status) == (429, "0.1", 200)
    assert dated.headers["retry-after"].endswith(" GMT")


def test_bytes_that_are_wrong(server: FaultServer) -> None:
    assert post(server, "500")[0].status == 500
    html, page = post(server, "html")
    assert (html.status, html.headers["content-type"], page[:9]) == (200, "text/html", b"<!doctype")
    for stream in (False, True):
        with pytest.raises(UnicodeDecodeError):
            post(server, "invalid_utf8", stream=stream)[1].decode()
        assert b"\\ud800" in post(server, "surrogate", stream=stream)[1]
    cut, raw = post(server, "cut_json")
    assert int(cut.headers["content-length"]) == len(raw)
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(raw)
    with pytest.raises(http.client.IncompleteRead):
        post(server, "short_body")


def test_answers_that_lack_something(server: FaultServer) -> None:
    def answer(model: str) -> Json:
        return json.loads(post(server, model)[1])

    assert answer("null")["choices"][0]["message"]["content"] is None
    assert "choices" not in answer("no_choices")
    assert answer("empty_choices")["choices"] == []
    assert answer("empty")["choices"][0]["message"]["content"] == ""
    assert answer("blank")["choices"][0]["message"]["content"].isspace()
    assert answer("error_200") == {"error": {"message": "upstream is overloaded", "code": 502}}


def test_streams_that_lack_something(server: FaultServer) -> None:
    for model in ("unfinished", "unfinished_closed"):
        raw = post(server, model, stream=True)[1]
        assert b"[DONE]" not in raw
        assert all(event["choices"][0]["finish_reason"] is None for event in data(raw))
    assert written(post(server, "null", stream=True)[1]) == ""
    assert "error" in data(post(server, "error_midway", stream=True)[1])[-1]
    assert "usage" in data(post(server, "odd_usage", stream=True)[1])[-1]


@pytest.mark.parametrize("stream", [False, True])
def test_eight_mebibytes(server: FaultServer, stream: bool) -> None:
    raw = post(server, "huge", stream=stream)[1]
    assert len(written(raw) if stream else json.loads(raw)["choices"][0]["message"]["content"]) == 8 * 2**20


def test_slow_headers_and_split_bytes() -> None:
    with FaultServer({"slow": FAULTS["slow_headers"], "split": Reply("é" * 50, split_bytes=3)}) as server:
        began = time.monotonic()
        post(server, "slow")
        assert time.monotonic() - began >= 0.3
        assert written(post(server, "split", stream=True)[1]) == "é" * 50
