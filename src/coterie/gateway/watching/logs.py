"""Logs: one JSON object a line, one line a request; no contents and no secrets unless they are asked for.

The standard library's logging is enough: a request's line is one call of its JSON encoder, and whoever embeds the
application already has handlers for it. Nothing here adds a handler until `started` is entered, which the server does.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Literal

from coterie.gateway.visit import Visit
from coterie.trace import AnswerGiven, CandidateOffered, Trace
from coterie.types import Failure, Json, Usage

log = logging.getLogger("coterie.gateway.requests")

REQUEST: ContextVar[str] = ContextVar("coterie.request", default="")
"""The id of the request that the running code is about."""

QUIET = frozenset({"/health/live", "/health/ready", "/metrics"})
"""Asked every few seconds: a line only where something is wrong."""

MOST_LINES = 10_000
"""So many lines wait for a reader that is slow; further ones are dropped and counted."""

GATHER_S = 0.05
"""So long lines are gathered, so that a busy gateway writes twenty times a second and not a thousand times."""

PATIENCE_S = 1.0
"""So long a gateway that ends waits for what it logged to be read."""

WRITE_BYTES = 4096
"""What several workers may write to one pipe at once without mixing their lines (POSIX's PIPE_BUF on Linux)."""

_ENCODER = json.JSONEncoder(default=str)


@dataclass(frozen=True)
class RequestLog:
    """A watcher that logs each request when it has ended."""

    how: Literal["off", "requests", "contents"] = "requests"
    """`contents` logs questions and answers as well; `off` leaves warnings and errors, with the request's id."""

    def arrived(self, visit: Visit) -> None:
        REQUEST.set(visit.id)

    def left(self, visit: Visit) -> None:
        if self.how != "off":
            self._log(visit)

    def close(self) -> None:
        """Afterwards what was logged is written: a server that a signal ends has no other moment for it."""
        for handler in logging.getLogger().handlers:
            if isinstance(handler, Lines):
                handler.flush()

    def _log(self, visit: Visit) -> None:
        failed = visit.status >= 500 or (visit.code != "" and visit.status < 400)
        level = logging.WARNING if failed else logging.INFO
        if not log.isEnabledFor(level) or (visit.route in QUIET and not visit.code):
            return
        log.log(level, "request", extra={"fields": self._fields(visit)})

    def _fields(self, visit: Visit) -> dict[str, Json]:
        fields: dict[str, Json] = {
            "route": visit.route,
            "method": visit.http_method,
            "model": visit.model,
            "key": visit.key,
            "status": visit.status,
            "code": visit.code,
            "streamed": visit.streamed,
            "took_ms": round(visit.took_s * 1000, 3),
            "first_byte_ms": None if visit.first_byte_s is None else round(visit.first_byte_s * 1000, 3),
        }
        if visit.traces:
            fields |= _spent(visit.traces)
        if self.how == "contents":
            fields["contents"] = [_contents(trace) for trace in visit.traces]
        return fields


def _spent(traces: list[Trace]) -> dict[str, Json]:
    """What runs took; a sum with an unknown part is null."""
    total = sum((trace.bill.total for trace in traces), Usage())
    outcomes = [call.outcome for trace in traces for call in trace.calls.values()]
    return {
        "runs": [trace.started.run for trace in traces],
        "calls": total.calls,
        "input_tokens": total.input_tokens,
        "output_tokens": total.output_tokens,
        "cost_usd": total.cost_usd,
        "failed": [{"member": o.member, "kind": o.kind.value} for o in outcomes if isinstance(o, Failure)],
    }


def _contents(trace: Trace) -> dict[str, Json]:
    """The words of a run's question and answer; pictures and the like are left out."""
    given = next(trace.of(AnswerGiven), None)
    offered = {event.candidate.id: event.candidate.text for event in trace.of(CandidateOffered)}
    question = [{"role": message.role, "text": message.text} for message in trace.started.request.messages]
    return {"run": trace.started.run, "question": question, "answer": offered.get(given.candidate) if given else None}


# ---- lines ------------------------------------------------------------------------------------


class JsonLines(logging.Formatter):
    """Makes one line of JSON out of a record, in ASCII: nothing in a value can begin a second line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Json] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request := REQUEST.get():
            line["request"] = request
        if record.exc_info and (kind := record.exc_info[0]) is not None:
            # An error's words may quote anything, and so may a message that comes with one; where it was may not.
            line["message"] = line["message"].partition("\n")[0]
            line["error"] = kind.__name__
            line["at"] = [f"{frame.f_code.co_filename}:{n}" for frame, n in traceback.walk_tb(record.exc_info[2])]
        return _ENCODER.encode({**line, **getattr(record, "fields", {})})


class Lines(logging.Handler):
    """Writes lines on a thread of its own, so that a reader that is slow holds nobody up."""

    def __init__(self, stream: IO[str], most: int = MOST_LINES) -> None:
        super().__init__()
        self.setFormatter(JsonLines())
        self.dropped = 0
        self._stream = stream
        self._most = most
        self._lines: deque[str] = deque()
        self._some = threading.Event()
        self._busy = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._write_on, name="coterie-log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        if len(self._lines) >= self._most:
            self.dropped += 1
            return
        try:
            self._lines.append(self.format(record) + "\n")
        except Exception:  # a record that cannot be told must not break who told it
            self.dropped += 1
        if not self._some.is_set():
            self._some.set()

    def flush(self) -> None:
        """Afterwards what was logged is written, unless nobody reads it within `PATIENCE_S`."""
        ends = time.monotonic() + PATIENCE_S
        while (self._some.is_set() or self._busy) and self._thread.is_alive() and time.monotonic() < ends:
            time.sleep(GATHER_S / 10)

    def close(self) -> None:
        """As `flush`, and nothing more is written."""
        self._ended.set()
        self._some.set()
        self._thread.join(PATIENCE_S)
        super().close()

    def _write_on(self) -> None:
        told = 0
        while not (self._ended.is_set() and not self._lines):
            self._some.wait()
            self._ended.wait(GATHER_S)
            self._busy = True
            self._some.clear()
            if self.dropped > told:
                self._lines.append(self._tell_of(self.dropped - told))
                told = self.dropped
            self._write_out()
            self._busy = False

    def _write_out(self) -> None:
        try:
            for text in _texts(self._lines):
                self._stream.write(text)
                self._stream.flush()
        except (OSError, ValueError):  # nobody is there any more
            self._lines.clear()

    def _tell_of(self, dropped: int) -> str:
        said = f"{dropped} lines were dropped: whoever reads them is too slow"
        record = logging.LogRecord("coterie.gateway", logging.WARNING, __file__, 0, said, None, None)
        return self.format(record) + "\n"


def _texts(lines: deque[str]) -> Iterator[str]:
    """What waits, in texts of whole lines that a pipe takes in one piece."""
    text = ""
    while lines:
        line = lines.popleft()
        if text and len(text) + len(line) > WRITE_BYTES:
            yield text
            text = ""
        text += line
    if text:
        yield text


@contextmanager
def started(stream: IO[str] | None = None) -> Iterator[Lines]:
    """While it is entered, this process logs to `stream` (default: stderr) in lines of JSON."""
    lines = Lines(stream or sys.stderr)
    root, level = logging.getLogger(), log.level
    root.addHandler(lines)
    log.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        yield lines
    finally:
        logging.captureWarnings(False)
        log.setLevel(level)
        root.removeHandler(lines)
        lines.close()
