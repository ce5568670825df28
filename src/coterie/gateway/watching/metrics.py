"""Prometheus metrics: what the gateway was asked, what its members did for that, and what it took.

No label holds what a client is free to choose: routes are declared, models and members configured, codes ours. Every
application counts in a registry of its own. Where `PROMETHEUS_MULTIPROC_DIR` names a folder, all processes that write
there are told together.
"""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from coterie.gateway.visit import Visit
from coterie.trace import Call
from coterie.types import Failure, Usage

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable by which several workers share their counts. It must be set before this is imported."""

OPEN_METRICS = "application/openmetrics-text"

DURATIONS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300)
OVERHEADS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)

UNSEEN = Usage(1, None, None, None)
"""What a call took whose end no trace saw."""

_ROUTED = re.compile(r"(router-[a-z0-9_]+)-[0-9.e-]+")
"""RouteLLM's names hold a threshold that the client chooses."""

M = TypeVar("M", Counter, Histogram)


class Metrics:
    """A watcher that counts. What it knows is told by `page`."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._folder = os.environ.get(FOLDER)
        self._requests = _Requests(self._registry)
        self._members = _Members(self._registry)
        if not self._folder:
            ProcessCollector(registry=self._registry)

    def arrived(self, visit: Visit) -> None:  # noqa: ARG002
        self._requests.in_flight.inc()

    def left(self, visit: Visit) -> None:
        self._requests.in_flight.dec()
        self._requests.count(visit)
        for trace in visit.traces:
            for call in trace.calls.values():
                self._members.count(call)

    def page(self, accept: str = "") -> tuple[bytes, str]:
        """All series in the format that the `Accept` header asks for, and its media type. It may read files."""
        encode, media_type = choose_encoder(OPEN_METRICS if OPEN_METRICS in accept else "")
        return encode(_Told(self._of_all_workers() if self._folder else self._registry)), media_type

    def _of_all_workers(self) -> CollectorRegistry:
        registry = CollectorRegistry()
        _forget_the_dead(Path(self._folder or ""))
        MultiProcessCollector(registry, self._folder)  # type: ignore[no-untyped-call]
        return registry


class _Series(Generic[M]):
    """The children of a metric, by their labels: looking one up here takes a tenth of what `labels` takes."""

    def __init__(self, metric: M) -> None:
        self._metric: M = metric
        self._children: dict[tuple[str, ...], M] = {}

    def __call__(self, *labels: str) -> M:
        child = self._children.get(labels)
        if child is None:
            child = self._children[labels] = self._metric.labels(*labels)
        return child


class _Requests:
    """What was asked of the gateway."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, said: str, *labels: str) -> _Series[Counter]:
            return _Series(Counter(f"coterie_{name}", said, labels, registry=registry))

        def histogram(name: str, said: str, buckets: Iterable[float], *labels: str) -> _Series[Histogram]:
            return _Series(Histogram(f"coterie_{name}", said, labels, buckets=tuple(buckets), registry=registry))

        in_flight = "Requests that have arrived and are not answered, those for metrics included."
        self.in_flight = Gauge("coterie_requests_in_flight", in_flight, registry=registry, multiprocess_mode="livesum")
        where = ("route", "model")
        self._total = counter("requests_total", "Requests answered, also with an error.", *where, "status")
        self._refused = counter("refusals_total", "Errors answered, in mid-stream too.", "route", "code")
        self._runs = counter("runs_total", "Runs of methods and single members by how they ended.", "model", "status")
        said = "From a request's arrival to its last byte."
        self._duration_s = histogram("request_duration_seconds", said, DURATIONS_S, *where)
        said = "From a streamed request's arrival to the first word of its answer."
        self._first_byte_s = histogram("first_byte_seconds", said, DURATIONS_S, *where)
        said = "Of a request's duration, what is beyond the critical path of its members' calls."
        self._overhead_s = histogram("overhead_seconds", said, OVERHEADS_S, *where)

    def count(self, visit: Visit) -> None:
        route, model = visit.route, _label(visit.model)
        self._total(route, model, str(visit.status or 499)).inc()
        self._duration_s(route, model).observe(visit.took_s)
        if visit.code:
            self._refused(route, visit.code).inc()
        if visit.first_byte_s is not None:
            self._first_byte_s(route, model).observe(visit.first_byte_s)
        for trace in visit.traces:
            self._runs(model, trace.finished.status if trace.finished else "error").inc()
        if visit.traces:
            path_s = max(trace.critical_path.seconds for trace in visit.traces)
            self._overhead_s(route, model).observe(max(0.0, visit.took_s - path_s))


class _Members:
    """What was asked of the members."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, said: str, *labels: str) -> _Series[Counter]:
            return _Series(Counter(f"coterie_{name}", said, ("member", *labels), registry=registry))

        self._calls = counter("calls_total", "Calls asked of members, by what came of them.", "outcome")
        self._retries = counter("retries_total", "Further tries within calls.")
        self._tokens = counter("tokens_total", "Tokens that endpoints reported.", "direction")
        self._cached = counter("cached_tokens_total", "Of the input tokens, those endpoints read from their cache.")
        self._reasoned = counter("reasoning_tokens_total", "Of the output tokens, those of reasoning.")
        self._cost_usd = counter("cost_usd_total", "What calls cost, as far as it is known.")
        self._unpriced = counter("calls_cost_unknown_total", "Calls that cost nobody knows what.")
        self._uncounted = counter("calls_tokens_unknown_total", "Calls whose tokens were not reported.")
        said = "How long calls took that were made, retries included."
        seconds = Histogram("coterie_call_duration_seconds", said, ("member",), buckets=DURATIONS_S, registry=registry)
        self._duration_s = _Series(seconds)

    def count(self, call: Call) -> None:
        member, usage = call.member, UNSEEN if call.outcome is None else call.outcome.usage
        self._calls(member, _outcome(call)).inc()
        if call.retries:
            self._retries(member).inc(call.retries)
        if usage.calls:
            self._duration_s(member).observe(call.duration_s)
        if usage.cost_usd is None or not 0 <= usage.cost_usd < math.inf:  # endpoints report what they like
            self._unpriced(member).inc()
        else:
            self._cost_usd(member).inc(usage.cost_usd)
        self._count_tokens(member, usage)

    def _count_tokens(self, member: str, usage: Usage) -> None:
        if usage.input_tokens is None or usage.output_tokens is None:
            self._uncounted(member).inc()
        self._tokens(member, "input").inc(usage.input_tokens or 0)
        self._tokens(member, "output").inc(usage.output_tokens or 0)
        if usage.cached_tokens:
            self._cached(member).inc(usage.cached_tokens)
        if usage.reasoning_tokens:
            self._reasoned(member).inc(usage.reasoning_tokens)


def _label(model: str) -> str:
    match = _ROUTED.fullmatch(model)
    return match[1] if match else model


def _outcome(call: Call) -> str:
    match call.outcome:
        case None:
            return "unseen"
        case Failure():
            return call.outcome.kind.value
        case _:
            return "cached" if call.cached else "answered"


@dataclass(frozen=True)
class _Told:
    """A registry's metrics without the times at which each series was created: they are half of a page."""

    registry: CollectorRegistry

    def collect(self) -> Iterable[Metric]:
        for metric in self.registry.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric


def _forget_the_dead(folder: Path) -> None:
    """What a worker had in flight that was killed is in flight no more."""
    for file in folder.glob("gauge_live*.db"):
        pid = int(file.stem.rpartition("_")[2])
        if not _alive(pid):
            mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]


def _alive(pid: int) -> bool:
    if sys.platform == "win32":  # there, asking would end it
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
