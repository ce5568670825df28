"""OpenTelemetry: each request as a span, with its runs, their stages and every call to a member below it.

Names follow the conventions for generative AI (open-telemetry/semantic-conventions-genai 0.1, in development). All
spans but the request's own are made of the finished trace, with the times that stand there, so nothing is measured
twice and nothing waits. Nothing of OpenTelemetry is imported before `wanted` has found that somebody wants it.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import datetime
from typing import TYPE_CHECKING, Any

from coterie._version import __version__
from coterie.config import Config, GatewaySettings
from coterie.errors import MissingExtra
from coterie.gateway.visit import Visit
from coterie.gateway.watching import spans
from coterie.members.traceparent import TRACEPARENT
from coterie.trace import Trace

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

log = logging.getLogger("coterie.gateway")

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""Where one of these is set, spans are wanted."""

CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
"""The environment variable that asks for contents."""

FLUSH_S = 5.0
"""So long a gateway that ends waits for a collector."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})

_SPAN: ContextVar[Any] = ContextVar("coterie.span", default=None)


def wanted(settings: GatewaySettings, config: Callable[[], Config]) -> Telemetry | None:
    """What sends spans to where the standard variables say; `None` where nobody wants them.

    `config` gives the configuration of the moment. Raises `MissingExtra` where `settings` want spans and OpenTelemetry
    is not installed.
    """
    asked = any(map(os.environ.get, ENDPOINTS)) and os.environ.get("OTEL_TRACES_EXPORTER") != "none"
    if not (asked if settings.telemetry is None else settings.telemetry):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        missing = MissingExtra("OpenTelemetry", "telemetry", error.name or "opentelemetry")
        if settings.telemetry:
            raise missing from error
        log.warning("%s", missing)
        return None
    return Telemetry(config, OTLPSpanExporter())


class Telemetry:
    """A watcher that makes spans."""

    def __init__(self, config: Callable[[], Config], exporter: SpanExporter) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = _provider(exporter)
        self._tracer = self._provider.get_tracer("coterie", __version__)
        self._propagator = TraceContextTextMapPropagator()
        self._config = config
        self._contents = os.environ.get(CAPTURE, "").lower() in ("true", "span_only", "span_and_event")
        self._known: tuple[Config, spans.Calls] | None = None

    def arrived(self, visit: Visit) -> None:
        """Members that are asked from here on are told whose part they are."""
        from opentelemetry.trace import SpanKind, set_span_in_context

        outside = self._propagator.extract({"traceparent": visit.traceparent}) if visit.traceparent else None
        span = self._tracer.start_span(visit.http_method, outside, SpanKind.SERVER)
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, set_span_in_context(span))
        TRACEPARENT.set(carrier.get("traceparent", ""))
        _SPAN.set(span)

    def left(self, visit: Visit) -> None:
        from opentelemetry.trace import Status, StatusCode, set_span_in_context

        span = _SPAN.get()
        if span is None or not span.is_recording():
            return
        method = visit.http_method if visit.http_method in _METHODS else "_OTHER"
        span.update_name(f"{method.replace('_OTHER', 'HTTP')} {visit.route}".rstrip())
        span.set_attributes(_attributes(visit, method))
        if visit.status >= 500 or (visit.code and visit.status == 200):
            span.set_attribute("error.type", visit.code or str(visit.status))
            span.set_status(Status(StatusCode.ERROR))
        for trace in visit.traces:
            self._run(trace, set_span_in_context(span), max(span.start_time, _began_ns(trace)))
        span.end()

    def close(self) -> None:
        """Afterwards what was ended is sent, unless no collector takes it within `FLUSH_S`."""
        sending = threading.Thread(target=self._provider.shutdown, name="coterie-spans", daemon=True)
        sending.start()
        sending.join(FLUSH_S)

    def _run(self, trace: Trace, above: Context, began_ns: int) -> None:
        """A run, its stages, what parts did themselves, and its calls."""
        root = self._span(spans.of_run(trace), above, began_ns)
        stages = {stage.name: self._span(stage, root, began_ns) for stage in spans.stages(trace)}
        for stage, inner in (*spans.works(trace), *self._calls().of(trace)):
            self._span(inner, stages[stage], began_ns)

    def _calls(self) -> spans.Calls:
        """What tells of calls to the members there are: another one after the configuration was replaced."""
        config = self._config()
        if self._known is None or self._known[0] is not config:
            endpoints: dict[str, spans.Endpoint] = {**config.members, **config.gateway.embeddings}
            self._known = config, spans.Calls(endpoints, self._contents)
        return self._known[1]

    def _span(self, planned: spans.Planned, above: Context, began_ns: int) -> Context:
        """A span with its own beginning and end; the context of what is below it."""
        from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

        start_ns = began_ns + int(planned.start_s * 1e9)
        kind = SpanKind.CLIENT if planned.remote else SpanKind.INTERNAL
        span = self._tracer.start_span(planned.name, above, kind, dict(planned.attributes), start_time=start_ns)
        for name, t_s, attributes in planned.events:
            span.add_event(name, dict(attributes), began_ns + int(t_s * 1e9))
        if planned.error:
            span.set_attribute("error.type", planned.error)
            span.set_status(Status(StatusCode.ERROR))
        span.end(began_ns + int(planned.end_s * 1e9))
        return set_span_in_context(span)


def _provider(exporter: SpanExporter) -> TracerProvider:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create({"service.version": __version__})
    if str(resource.attributes.get("service.name", "")).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": "coterie"}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _attributes(visit: Visit, method: str) -> Mapping[str, Any]:
    attributes: dict[str, Any] = {"http.request.method": method, "coterie.request.id": visit.id}
    if visit.route:
        attributes["http.route"] = visit.route
    if visit.status:
        attributes["http.response.status_code"] = visit.status
    if visit.model:
        attributes["gen_ai.request.model"] = visit.model
    if visit.first_byte_s is not None:
        attributes["gen_ai.response.time_to_first_chunk"] = visit.first_byte_s
    return attributes


def _began_ns(trace: Trace) -> int:
    return int(datetime.fromisoformat(trace.started.started_at).timestamp() * 1e9)
