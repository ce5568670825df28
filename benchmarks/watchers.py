"""What watching a request takes: metrics, a line in the log, spans; beside a watcher that does nothing.

    python benchmarks/watchers.py

Visits are replayed, whole, with the trace of a real run: one call to one member, and a peer blend of four members with
one ballot each (nine calls). Times are the processor's, of the thread that serves: what is written and sent has threads
of its own. `fresh` is a trace that nobody has looked into, as streams leave it; a whole answer's has been summed up for
its headers, which is `read`. With PROMETHEUS_MULTIPROC_DIR set to an empty folder, the metrics are those of several
workers.
"""

from __future__ import annotations

import io
import os
import statistics
import time
from collections.abc import Callable, Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from coterie.committee import Committee
from coterie.config import Config
from coterie.gateway.single import Single
from coterie.gateway.visit import Visit, Watcher
from coterie.gateway.watching import logs
from coterie.gateway.watching.logs import RequestLog
from coterie.gateway.watching.metrics import FOLDER, Metrics
from coterie.gateway.watching.telemetry import Telemetry
from coterie.members.scripted import ScriptedMember
from coterie.methods.peer_blend import PeerBlend
from coterie.protocols import Method
from coterie.trace import Trace
from coterie.types import Price
from machine import setting

ROUNDS, VISITS = 15, 300
MEMBERS = [ScriptedMember(name, ("Paris",), price=Price(1.0, 1.0)) for name in "abcd"]


class Nothing:
    """A watcher that does nothing."""

    def arrived(self, visit: Visit) -> None: ...

    def left(self, visit: Visit) -> None: ...


class Dropped(SpanExporter):
    """Takes spans, and sends them nowhere."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002
        return SpanExportResult.SUCCESS


class Unread(io.StringIO):
    """A reader of logs that keeps nothing."""

    def write(self, text: str) -> int:
        return len(text)


def traces() -> dict[str, Trace]:
    methods: dict[str, Method] = {"one call": Single("a"), "nine calls": PeerBlend(tuple("abcd"), aggregator="a")}
    with Committee(MEMBERS, methods) as committee:
        return {name: committee.ask("What is the capital of France?", name).trace for name in methods}


def took_us(watcher: Watcher, trace: Callable[[], Trace]) -> float:
    """Microseconds a visit."""
    visits = [
        Visit("req_1", "POST", "", 0.0, "/v1/chat/completions", "a", "k", False, 200, "", None, 0.5, [trace()])
        for _ in range(VISITS)
    ]
    began = time.thread_time()
    for visit in visits:
        watcher.arrived(visit)
        watcher.left(visit)
    return (time.thread_time() - began) / VISITS * 1e6


def main() -> None:
    spans = Telemetry(lambda: Config({member.name: member for member in MEMBERS}), Dropped())
    watchers: dict[str, Watcher] = {"metrics": Metrics(), "log": RequestLog(), "spans": spans}
    print(*setting(["prometheus-client", "opentelemetry-sdk"]), sep="\n")
    print(f"- Metrics of {'several workers' if os.environ.get(FOLDER) else 'one process'}")
    print(f"- Median of {ROUNDS} rounds of {VISITS} visits, their quartiles, less a watcher that does nothing; us\n")
    print("| | | metrics | log | spans |\n|---|---|---|---|---|")
    with logs.started(Unread()):
        for name, trace in traces().items():
            makes: dict[str, Callable[[], Trace]] = {
                "read": lambda trace=trace: trace,  # type: ignore[misc]
                "fresh": lambda trace=trace: Trace(trace.events),  # type: ignore[misc]
            }
            for state, make in makes.items():
                cells = [_cell(watcher, make) for watcher in watchers.values()]
                print(f"| {name} | {state} | {' | '.join(cells)} |")
    spans.close()


def _cell(watcher: Watcher, make: Callable[[], Trace]) -> str:
    took_us(watcher, make)
    rounds = [took_us(watcher, make) - took_us(Nothing(), make) for _ in range(ROUNDS)]
    low, middle, high = statistics.quantiles(rounds, n=4)
    return f"{middle:.0f} ({low:.0f} to {high:.0f})"


if __name__ == "__main__":
    main()
