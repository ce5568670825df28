"""Logs: one line of JSON a request, what stands in it and what never does, and a reader that does not read."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from coterie.gateway.visit import Audience, Visit
from coterie.gateway.watching import logs
from coterie.gateway.watching.logs import JsonLines, Lines, RequestLog
from gateway_process import GatewayProcess
from gateway_server import GatewayServer
from http_faults import FaultServer
from watched_gateway import ANSWER, EVERY_MODEL, QUESTION, ask, leaked, scripts, soon, watched


class Written(io.StringIO):
    """What was logged."""

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]

    def of(self, request: str) -> dict[str, Any]:
        found: dict[str, Any] = soon(lambda: [line for line in self.lines() if line.get("request") == request])[-1]
        return found


@pytest.fixture(scope="module")
def upstream() -> Iterator[FaultServer]:
    with FaultServer(scripts()) as running:
        yield running


@pytest.fixture(scope="module")
def server(upstream: FaultServer) -> Iterator[GatewayServer]:
    with GatewayServer(watched(upstream.base_url)) as running:
        yield running


@pytest.fixture
def written() -> Iterator[Written]:
    text = Written()
    with logs.started(text):
        yield text


def named(request: str) -> dict[str, Any]:
    return {"extra_headers": {"x-request-id": request}}


def test_a_request_is_one_line(server: GatewayServer, written: Written) -> None:
    answer = ask(server, "coterie/default", **named("one"))
    line = written.of("one")
    assert line["level"] == "info"
    assert line["message"] == "request"
    assert line["route"] == "/v1/chat/completions"
    assert line["method"] == "POST"
    assert line["model"] == "coterie/default"
    assert line["key"] == "reporting"
    assert (line["status"], line["code"]) == (200, "")
    assert 0 < line["took_ms"] < 10_000
    assert line["first_byte_ms"] is None
    assert line["runs"] == answer.coterie["run_ids"]
    assert line["calls"] == answer.coterie["calls"]
    assert line["failed"] == [{"member": "broken", "kind": "connection"}]
    assert line["cost_usd"] is None  # b has no price
    assert "contents" not in line


def test_a_stream_says_when_its_first_word_went_out(server: GatewayServer, written: Written) -> None:
    ask(server, "written", stream=True, **named("streamed"))
    line = written.of("streamed")
    assert line["streamed"] is True
    assert 0 < line["first_byte_ms"] < line["took_ms"]
    assert line["input_tokens"] == 11
    assert line["cost_usd"] is None


def test_what_failed_is_a_warning(server: GatewayServer, written: Written) -> None:
    for model, code in (("leaks", "upstream_failed"), ("midway", "answer_withdrawn")):
        with pytest.raises(openai.APIError):
            ask(server, model, stream=model == "midway", **named(model))
        line = written.of(model)
        assert (line["level"], line["code"]) == ("warning", code)
    with pytest.raises(openai.NotFoundError):
        ask(server, "nobody", **named("unknown"))
    assert written.of("unknown")["level"] == "info"  # the client's mistake is no trouble of ours


def test_who_looks_after_the_gateway_is_not_logged(server: GatewayServer, written: Written) -> None:
    httpx2.get(f"{server.url}/health/live", headers={"x-request-id": "alive"})
    httpx2.get(f"{server.url}/metrics", headers={"x-request-id": "no-key"})
    assert written.of("no-key")["status"] == 401
    assert "alive" not in written.getvalue()


def test_no_secret_and_no_word_of_anybody_stands_in_logs(server: GatewayServer, written: Written) -> None:
    for model in EVERY_MODEL:
        for stream in (False, True):
            with suppress(openai.APIError):
                ask(server, model, stream=stream, user="Zanzibarquux")
    with pytest.raises(openai.AuthenticationError):
        ask(server, "good", "ck-guessed-Zanzibarquux")
    with pytest.raises(openai.NotFoundError):
        ask(server, "Zanzibarquux")
    httpx2.get(f"{server.url}/Zanzibarquux?Zanzibarquux")
    assert soon(lambda: sum(line["message"] == "request" for line in written.lines()) >= 2 * len(EVERY_MODEL) + 3)
    assert not leaked(written.getvalue())


def test_contents_are_logged_where_they_are_asked_for(upstream: FaultServer, written: Written) -> None:
    with GatewayServer(watched(upstream.base_url, log="contents")) as server:
        ask(server, "good", **named("told"))
        line = written.of("told")
        with pytest.raises(openai.APIStatusError):
            ask(server, "leaks", **named("failed"))
        failed = written.of("failed")
    asked = [{"role": "user", "text": QUESTION}]
    assert line["contents"] == [{"run": line["runs"][0], "question": asked, "answer": ANSWER}]
    assert failed["contents"] == [{"run": failed["runs"][0], "question": asked, "answer": None}]
    assert "sk-upstream" not in written.getvalue()


def test_nothing_but_trouble_is_logged_where_it_is_off(upstream: FaultServer, written: Written) -> None:
    with GatewayServer(watched(upstream.base_url, log="off")) as server:
        ask(server, "good", **named("silent"))
    assert "silent" not in written.getvalue()


def test_values_cannot_forge_a_line(server: GatewayServer, written: Written) -> None:
    forged = 'x\n{"level": "info", "message": "forged"}\r\u2028\u0085\x1b[2K\ud800'
    visit = Visit("req\n1", "GET\n", model=forged, key=forged, code=forged, status=200, took_s=0.1)
    log = RequestLog()
    log.arrived(visit)
    log.left(visit)
    logging.getLogger("coterie.gateway").warning("of %s", forged)
    log.close()
    assert len(written.getvalue().splitlines()) == 2
    assert written.getvalue().isascii()
    told, warned = written.lines()
    assert (told["model"], told["request"]) == (forged, "req\n1")
    assert warned["message"] == f"of {forged}"
    logs.REQUEST.set("")


def test_an_errors_words_are_not_logged_but_where_it_was_is() -> None:
    try:
        raise ValueError(QUESTION)
    except ValueError as error:
        given: Any = (type(error), error, error.__traceback__)
    record = logging.LogRecord("uvicorn.error", logging.ERROR, "", 0, f"Exception\n{QUESTION}", None, given)
    line = json.loads(JsonLines().format(record))
    assert line["message"] == "Exception"
    assert line["error"] == "ValueError"
    assert "test_logs.py" in line["at"][0]
    assert "Zanzibarquux" not in json.dumps(line)


def test_warnings_carry_the_id_of_their_request(written: Written) -> None:
    async def work(id_: str) -> None:
        RequestLog().arrived(Visit(id_, "POST"))
        await asyncio.sleep(0)
        await asyncio.create_task(call())

    async def call() -> None:
        logging.getLogger("coterie").warning("a call was odd")

    async def main() -> None:
        await asyncio.gather(*(asyncio.create_task(work(id_)) for id_ in ("first", "second")))

    asyncio.run(main())
    assert {written.of(id_)["message"] for id_ in ("first", "second")} == {"a call was odd"}


def test_a_reader_that_does_not_read_holds_nobody_up() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream, os.fdopen(reading, "rb", buffering=0) as reader:
        lines = Lines(stream, most=50)
        record = logging.LogRecord("coterie.gateway", logging.INFO, "", 0, "x" * 2000, None, None)
        began = time.perf_counter()
        for _ in range(500):
            lines.handle(record)
            if lines.dropped > 100:
                break
            time.sleep(0.0005)
        assert time.perf_counter() - began < 2
        dropped = lines.dropped
        assert dropped > 0
        seen = bytearray()
        threading.Thread(target=lambda: _read(reader, seen), daemon=True).start()
        soon(lambda: sum(map(int, re.findall(rb"(\d+) lines were dropped", bytes(seen)))) == dropped)
        lines.handle(record)
        lines.close()
        soon(lambda: seen.endswith(b"}\n"))
    assert all(json.loads(line) for line in seen.splitlines())


def _read(reader: Any, seen: bytearray) -> None:
    with suppress(OSError, ValueError):
        while more := reader.read(65536):
            seen += more


def test_a_reader_that_is_gone_breaks_nothing() -> None:
    stream = io.StringIO()
    lines = Lines(stream)
    stream.close()
    record = logging.LogRecord("coterie.gateway", logging.INFO, "", 0, "unheard", None, None)
    lines.handle(record)
    lines.flush()
    lines.handle(record)
    lines.close()


def test_what_cannot_be_told_is_counted() -> None:
    stream = io.StringIO()
    lines = Lines(stream)
    lines.handle(logging.LogRecord("coterie.gateway", logging.INFO, "", 0, "of %d", ("words",), None))
    lines.close()
    assert "1 lines were dropped" in stream.getvalue()


def test_nothing_is_left_behind() -> None:
    before = list(logging.getLogger().handlers), logs.log.level
    with logs.started(io.StringIO()):
        assert logs.log.isEnabledFor(logging.INFO)
    assert (list(logging.getLogger().handlers), logs.log.level) == before
    assert not [thread for thread in threading.enumerate() if thread.name == "coterie-log"]


COMMAND = """
members:
  a: {engine: scripted, replies: [Paris]}
methods:
  default: {kind: vote, members: [a]}
"""


def test_the_command_logs_what_it_is_told_to_until_its_end(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, COMMAND, "--log", "contents") as server:
        assert server.says("a") == "Paris"
        server.tell(signal.SIGTERM)
        assert server.process.wait(10) == 0
        told, *lines = server.log.splitlines()
    assert told.startswith("coterie: serving 1 methods and 1 members")
    (line,) = map(json.loads, lines)
    assert line["model"] == "a"
    assert line["contents"][0]["answer"] == "Paris"


# ---- watchers that raise ----------------------------------------------------------------------


class Faulty:
    """A watcher with a defect."""

    def arrived(self, visit: Visit) -> None:
        raise KeyError(QUESTION)

    def left(self, visit: Visit) -> None:
        raise KeyError(QUESTION)


class Attentive:
    def __init__(self) -> None:
        self.told: list[str] = []

    def arrived(self, visit: Visit) -> None:
        self.told.append(f"arrived {visit.id}")

    def left(self, visit: Visit) -> None:
        self.told.append(f"left {visit.id}")


def test_a_watcher_that_raises_breaks_nothing_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    attentive = Attentive()
    audience = Audience([Faulty(), attentive])
    for id_ in "12":
        visit = Visit(id_, "GET")
        audience.arrived(visit)
        audience.left(replace(visit))
    assert attentive.told == ["arrived 1", "left 1", "arrived 2", "left 2"]
    (record,) = caplog.records
    assert record.getMessage() == "the watcher Faulty failed, and may have missed requests: KeyError"
