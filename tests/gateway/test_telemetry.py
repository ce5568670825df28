"""OpenTelemetry: the spans of a request as a collector receives them, over OTLP, and what stands in none of them."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import openai
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from coterie.committee import Committee
from coterie.config import Config, GatewaySettings
from coterie.errors import MissingExtra
from coterie.gateway.visit import Visit
from coterie.gateway.watching import spans, telemetry
from coterie.gateway.watching.telemetry import CAPTURE, Telemetry
from coterie.members.openai import OpenAIMember
from coterie.members.scripted import Reply, ScriptedMember
from coterie.members.traceparent import TRACEPARENT
from coterie.methods.peer_blend import PeerBlend
from coterie.methods.vote import Vote
from coterie.trace import Trace, WorkDone
from coterie.types import FailureKind, Price
from gateway_server import GatewayServer
from http_faults import FaultServer
from watched_gateway import ANSWER, EVERY_MODEL, KEY, QUESTION, UPSTREAM_KEY, ask, leaked, scripts, watched

CLIENTS = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Collector:
    """Takes spans over OTLP/HTTP while it is entered."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.services: set[str] = set()
        self.text = ""
        taking = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                taking.take(self.rfile.read(int(self.headers["content-length"])))
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        self.text += str(request)
        for resource in request.resource_spans:
            self.services |= {a.value.string_value for a in resource.resource.attributes if a.key == "service.name"}
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def named(self, name: str) -> Any:
        return next(span for span in self.spans if span.name == name)

    def below(self, parent: Any) -> list[Any]:
        return [span for span in self.spans if span.parent_span_id == parent.span_id]


def told(span: Any) -> dict[str, Any]:
    """The attributes of a span that came over OTLP."""
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in span.attributes}


@contextmanager
def collected(patch: pytest.MonkeyPatch, upstream: FaultServer, **environment: str) -> Iterator[tuple[Any, Any]]:
    """A gateway, and what its collector has once it has ended."""
    with Collector() as collector:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        for name, value in environment.items():
            patch.setenv(name, value)
        with GatewayServer(watched(upstream.base_url)) as server:
            yield server, collector


@pytest.fixture(scope="module")
def upstream() -> Iterator[FaultServer]:
    with FaultServer(scripts()) as running:
        yield running


def test_a_collector_receives_a_request_with_all_that_was_done_for_it(
    monkeypatch: pytest.MonkeyPatch, upstream: FaultServer
) -> None:
    with collected(monkeypatch, upstream) as (server, collector):
        ask(server, "coterie/blend", extra_headers={"traceparent": CLIENTS})
        seen = upstream.requests[-1].headers["traceparent"]
    root = collector.named("POST /v1/chat/completions")
    assert collector.services == {"coterie"}
    assert root.kind == root.SPAN_KIND_SERVER
    assert root.trace_id.hex() == CLIENTS.split("-")[1]
    assert root.parent_span_id.hex() == CLIENTS.split("-")[2]
    assert seen == f"00-{root.trace_id.hex()}-{root.span_id.hex()}-01"  # the endpoint's own spans hang below ours
    assert told(root)["http.response.status_code"] == 200
    assert told(root)["gen_ai.request.model"] == "coterie/blend"
    (run,) = collector.below(root)
    assert run.name == "invoke_workflow blend"
    assert run.kind == run.SPAN_KIND_INTERNAL
    stages = {stage.name: stage for stage in collector.below(run)}
    assert list(stages) == ["generate", "review", "fuse"]
    (call,) = collector.below(stages["fuse"])
    assert call.name == "chat model-good"
    assert call.kind == call.SPAN_KIND_CLIENT
    said = told(call)
    assert said["gen_ai.operation.name"] == "chat"
    assert said["gen_ai.provider.name"] == "openai"
    assert said["gen_ai.request.model"] == "model-good"
    assert (said["gen_ai.usage.input_tokens"], said["gen_ai.usage.output_tokens"]) == (11, 7)
    assert [reason.string_value for reason in said["gen_ai.response.finish_reasons"].values] == ["stop"]
    assert (said["server.address"], said["server.port"]) == ("127.0.0.1", upstream.port)
    assert "coterie.cost_usd" not in said  # it has no price, which is not free
    for span in collector.spans:
        for inner in collector.below(span):
            assert span.start_time_unix_nano <= inner.start_time_unix_nano
            assert inner.start_time_unix_nano <= inner.end_time_unix_nano <= span.end_time_unix_nano
    local = next(span for span in collector.below(stages["generate"]) if told(span)["coterie.member"] == "a")
    assert local.kind == local.SPAN_KIND_INTERNAL
    assert told(local)["gen_ai.provider.name"] == "scripted"


def test_failures_are_told_by_their_kind(monkeypatch: pytest.MonkeyPatch, upstream: FaultServer) -> None:
    with collected(monkeypatch, upstream) as (server, collector):
        for model in ("leaks", "nobody", "busy_once"):
            with suppress(openai.APIStatusError):
                ask(server, model, stream=model == "busy_once")
    call = collector.named("chat model-leaks")
    assert call.status.code == call.status.STATUS_CODE_ERROR
    assert call.status.message == ""
    assert told(call)["error.type"] == "401"
    roots = {told(s).get("gen_ai.request.model"): s for s in collector.spans if s.kind == s.SPAN_KIND_SERVER}
    assert told(roots["leaks"])["error.type"] == "upstream_failed"
    assert told(roots[None])["http.response.status_code"] == 404
    assert roots[None].status.code == 0  # the client's mistake is no error of the server's
    again = collector.named("chat model-busy_once")
    assert told(again)["coterie.retries"] == 1
    assert [event.name for event in again.events] == ["retry"]


def test_no_secret_and_no_word_of_anybody_stands_in_spans(
    monkeypatch: pytest.MonkeyPatch, upstream: FaultServer
) -> None:
    with collected(monkeypatch, upstream) as (server, collector):
        for model in (*EVERY_MODEL, "Zanzibarquux"):
            for stream in (False, True):
                with suppress(openai.APIError):
                    ask(server, model, stream=stream, user="Zanzibarquux", stop=["Zanzibarquux"])
    assert len(collector.spans) > 40
    assert not leaked(collector.text)


def test_contents_are_told_where_they_are_asked_for(monkeypatch: pytest.MonkeyPatch, upstream: FaultServer) -> None:
    with collected(monkeypatch, upstream, **{CAPTURE: "true"}) as (server, collector):
        ask(server, "good")
    said = told(collector.named("chat model-good"))
    asked = [{"role": "user", "parts": [{"type": "text", "content": QUESTION}]}]
    answered = [{"role": "assistant", "parts": [{"type": "text", "content": ANSWER}], "finish_reason": "stop"}]
    assert json.loads(said["gen_ai.input.messages"]) == asked
    assert json.loads(said["gen_ai.output.messages"]) == answered
    assert KEY not in collector.text
    assert UPSTREAM_KEY not in collector.text


def test_a_collector_that_is_away_holds_nobody_up(monkeypatch: pytest.MonkeyPatch, upstream: FaultServer) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(telemetry, "FLUSH_S", 0.1)
    with GatewayServer(watched(upstream.base_url)) as server:
        began = time.monotonic()
        assert ask(server, "good").choices[0].message.content == ANSWER
        assert time.monotonic() - began < 2


def test_without_telemetry_no_endpoint_is_told_of_the_clients_trace(upstream: FaultServer) -> None:
    with GatewayServer(watched(upstream.base_url)) as server:
        ask(server, "good", extra_headers={"traceparent": CLIENTS})
    assert "traceparent" not in upstream.requests[-1].headers


# ---- when it is on ----------------------------------------------------------------------------


def settled(wanted: bool | None) -> Telemetry | None:
    made = telemetry.wanted(GatewaySettings(telemetry=wanted), lambda: Config({}))
    if made is not None:
        made.close()
    return made


def test_it_is_on_where_the_standard_variables_or_the_configuration_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settled(None) is None
    assert settled(True) is not None
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:9/v1/traces")
    assert settled(None) is not None
    assert settled(False) is None
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    assert settled(None) is None


def test_without_the_extra_it_is_refused_where_it_was_configured(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(MissingExtra, match=r"coterie\[telemetry\]"):
        settled(True)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    assert settled(None) is None
    assert "coterie[telemetry]" in caplog.text


# ---- spans of traces, without a gateway -------------------------------------------------------


def made(config: Config, method: str, **visit: Any) -> dict[str, ReadableSpan]:
    """The spans of one request to `method`, in whose run a part ranked something, by name."""
    traces: list[Any] = []
    with Committee(list(config.members.values()), config.methods) as committee, suppress(Exception):
        committee.ask(QUESTION, method, on_trace=traces.append)
    ranked = WorkDone(0.004, "w9", "scripted_ranker", "rank", took_s=0.002)
    traces = [Trace((*trace.events[:-1], ranked, trace.events[-1])) for trace in traces]
    kept = InMemorySpanExporter()
    watching = Telemetry(lambda: config, kept)
    given = Visit("req_1", visit.pop("http_method", "POST"), traces=traces, took_s=1.0, **visit)
    watching.arrived(given)
    watching.left(given)
    watching.close()
    TRACEPARENT.set("")
    return {span.name: span for span in kept.get_finished_spans()}


def attributes(span: ReadableSpan) -> Mapping[str, Any]:
    return span.attributes or {}


def test_stages_span_their_calls_and_what_parts_did_themselves() -> None:
    members = {name: ScriptedMember(name, (Reply(name, latency_s=0.01),), price=Price(1.0, 1.0)) for name in "ab"}
    found = made(Config(members, {"default": PeerBlend(("a", "b"))}), "default", route="/x", status=200)
    run = found["invoke_workflow default"]
    assert attributes(run)["gen_ai.agent.name"] == "default"
    assert attributes(run)["coterie.cost_usd"] > 0
    assert attributes(run)["coterie.calls"] == 5
    took_ns = {name: (span.end_time or 0) - (span.start_time or 0) for name, span in found.items()}
    assert 10e6 <= took_ns["generate"] < took_ns["invoke_workflow default"]
    work, stage = found["rank scripted_ranker"], found["rank"]
    assert work.parent is not None
    assert stage.context is not None
    assert work.parent.span_id == stage.context.span_id
    assert took_ns["rank scripted_ranker"] == pytest.approx(2e6, abs=1e3)


def test_a_run_without_an_answer_is_an_error() -> None:
    broken = ScriptedMember("a", (Reply(fail=FailureKind.CONNECTION, error=QUESTION),))
    found = made(Config({"a": broken}, {"default": Vote(("a",))}), "default", status=502, code="upstream_failed")
    assert attributes(found["invoke_workflow default"])["error.type"] == "no_answer"
    assert attributes(found["chat scripted"])["error.type"] == "connection"
    assert "Zanzibarquux" not in "".join(span.to_json() for span in found.values())


def test_a_method_nobody_knows_and_a_broken_traceparent_are_nothing_to_stumble_over() -> None:
    found = made(Config({}), "none", http_method="EVIL\n", traceparent="00-zz", status=405)
    assert list(found) == ["HTTP"]
    assert attributes(found["HTTP"])["http.request.method"] == "_OTHER"
    assert found["HTTP"].parent is None


@pytest.mark.parametrize(
    ("base_url", "provider", "port"),
    [
        ("https://api.mistral.ai/v1", "mistral_ai", 443),
        ("https://x.openai.azure.com/openai/v1", "azure.ai.openai", 443),
        ("http://name:password@vllm.internal:8000/v1", "openai", 8000),
    ],
)
def test_an_address_is_told_without_its_password(base_url: str, provider: str, port: int) -> None:
    place = spans.place(OpenAIMember("m", base_url, "m", api="completions"))
    assert place["gen_ai.provider.name"] == provider
    assert place["server.port"] == port
    assert place["gen_ai.operation.name"] == "text_completion"
    assert "password" not in str(place)
