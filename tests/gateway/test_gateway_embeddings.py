"""Embeddings passed on: through the official client, to endpoints that answer as they should and otherwise."""

from __future__ import annotations

import base64
import json
import struct
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import openai
import pytest

from coterie import config
from coterie.config import ApiKey, BreakerSettings, Config, EmbeddingEndpoint, GatewaySettings
from coterie.errors import ConfigError
from coterie.gateway import keys
from coterie.gateway.embeddings import request as embedding_request
from coterie.gateway.refusal import Refusal
from coterie.members.scripted import ScriptedMember
from coterie.types import Limits, Secret
from gateway_server import GatewayServer
from http_faults import FaultServer
from http_replies import Body, Script, encode
from http_replies import Reply as Http

KEY = "ck-" + "e" * 43


def vector(text: Any, width: int = 3) -> list[float]:
    """Numbers that float32 holds exactly, and that tell texts apart."""
    return [float(len(text)), *range(1, width)]


def document(body: Body, encoded: Callable[[list[float]], Any] = lambda row: row, **more: Any) -> Body:
    given = body["input"]
    inputs = given if isinstance(given, list) and not isinstance(given[0], int) else [given]
    rows = [encoded(vector(text, body.get("dimensions", 3))) for text in inputs]
    data = [{"object": "embedding", "index": n, "embedding": row} for n, row in enumerate(rows)]
    usage = {"prompt_tokens": 5 * len(rows), "total_tokens": 5 * len(rows)}
    return {"object": "list", "model": "upstream-name", "data": data, "usage": usage, **more}


def as_base64(row: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(row)}f", *row)).decode()


def embeds(body: Body, nth: int) -> Http:
    encoded = as_base64 if body.get("encoding_format") == "base64" else list
    return Http(body=encode(document(body, encoded)))


def busy(body: Body, nth: int) -> Http:
    return Http(status=429, headers={"Retry-After": "0.02"})


def answers(**more: Any) -> Script:
    return lambda body, nth: Http(body=encode({**document(body), **more}))


def rows(*embeddings: Any, **more: Any) -> Script:
    data = [{"index": n, "embedding": row, **more} for n, row in enumerate(embeddings)]
    return Http(body=json.dumps({"data": data}).encode())


HTTP: dict[str, Script] = {
    "embeds": embeds,
    "unpriced": embeds,
    "reports": answers(usage={"prompt_tokens": 5, "total_tokens": 5, "cost": 0.25}),
    "only_numbers": lambda body, nth: Http(body=encode(document(body))),
    "only_base64": lambda body, nth: Http(body=encode(document(body, as_base64))),
    "shuffled": lambda body, nth: Http(body=encode({"data": document(body)["data"][::-1]})),
    "large": rows([0.125] * 200_000),
    "huge": rows([1e300]),
    "silent": answers(usage=None),
    "500": Http(status=500),
    "busy": Http(status=429, headers={"Retry-After": "7"}),
    "busy_once": lambda body, nth: busy(body, nth) if nth == 1 else embeds(body, nth),
    "400": Http(status=400, error={"message": "too long for sk-upstream-secret at 10.0.0.7"}),
    "401": Http(status=401, error={"message": "bad key sk-upstream-secret"}),
    "hang": Http(hang=True),
    "html": Http(body=b"<!doctype html>", headers={"Content-Type": "text/html"}),
    "error_200": Http(error={"message": "upstream is overloaded"}),
    "short_body": Http(missing_bytes=100),
    "cut_json": Http(body=b'{"data": [{"embedding": [1.0,'),
    "no_object": Http(body=b"[]"),
    "no_data": answers(data=None),
    "too_few": answers(data=[]),
    "misnumbered": Http(body=b'{"data": [{"index": 7, "embedding": [1.0]}]}'),
    "uneven": rows([1.0], [1.0, 2.0]),
    "empty": rows([]),
    "text": rows("***"),
    "odd_base64": rows("AAA="),
    "words": rows(["a"]),
    "nan": Http(body=b'{"data": [{"index": 0, "embedding": [NaN]}]}'),
    "endless": Http(raw=b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000000000\r\n\r\n"),
    "moved": Http(status=307, headers={"Location": "http://10.0.0.7/v1/embeddings"}),
    "infinite": Http(body=b'{"data": [{"index": 0, "embedding": [1e999]}]}'),
}


def _endpoint(name: str, base_url: str) -> EmbeddingEndpoint:
    return EmbeddingEndpoint(
        base_url,
        name,
        Secret("sk-upstream-secret"),
        price_usd=None if name in ("unpriced", "reports") else 2.0,
        timeout_s=0.3 if name == "hang" else 5.0,
        retries=1 if name == "busy_once" else 0,
        headers={"X-Team": "10.0.0.7"},
    )


@pytest.fixture(scope="module")
def upstream() -> Iterator[FaultServer]:
    with FaultServer(HTTP) as server:
        yield server


@pytest.fixture(scope="module")
def server(upstream: FaultServer) -> Iterator[GatewayServer]:
    known = (
        ApiKey("tests", keys.hashed(KEY)),
        ApiKey("narrow", keys.hashed("ck-narrow"), models=("unpriced", "a")),
        ApiKey("poor", keys.hashed("ck-poor"), max_usd=0.00001),
    )
    endpoints = {name: _endpoint(name, upstream.base_url) for name in HTTP}
    settings = GatewaySettings(known, embeddings=endpoints)
    with GatewayServer(Config({"a": ScriptedMember("a", ("Paris",))}, gateway=settings)) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: GatewayServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.base_url, api_key=KEY, max_retries=0, timeout=10) as made:
        yield made


def test_texts_become_vectors(client: openai.OpenAI, upstream: FaultServer) -> None:
    raw = client.embeddings.with_raw_response.create(
        model="embeds", input=["Zürich 🗼", "x"], dimensions=4, user="u-1", extra_body={"truncate": "END"}
    )
    answer = raw.parse()
    assert [item.embedding for item in answer.data] == [[8.0, 1.0, 2.0, 3.0], [1.0, 1.0, 2.0, 3.0]]
    assert [item.index for item in answer.data] == [0, 1]
    assert (answer.model, answer.object, answer.usage.prompt_tokens) == ("embeds", "list", 10)
    sent = upstream.of("embeds")[-1]
    assert sent.headers["authorization"] == "Bearer sk-upstream-secret"
    assert sent.headers["x-team"] == "10.0.0.7"
    assert sent.body == {
        "model": "embeds",
        "input": ["Zürich 🗼", "x"],
        "encoding_format": "base64",
        "dimensions": 4,
        "user": "u-1",
        "truncate": "END",
    }
    assert float(raw.headers["x-coterie-cost-usd"]) == pytest.approx(10 * 2.0 / 1e6)
    assert raw.headers["x-coterie-calls"] == "1"
    assert raw.headers["x-coterie-run-id"] == answer.coterie["run_id"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("given", ["one text", ["one text"], [1, 2, 3], [[1, 2], [3]]])
@pytest.mark.parametrize("encoding", ["float", "base64"])
@pytest.mark.parametrize("model", ["embeds", "only_numbers", "only_base64"])
def test_every_input_in_every_encoding(client: openai.OpenAI, model: str, encoding: Any, given: Any) -> None:
    answer = client.embeddings.create(model=model, input=given, encoding_format=encoding)
    inputs = given if isinstance(given[0], list) or given == ["one text"] else [given]
    wanted = [vector(text) for text in inputs]
    assert [item.embedding for item in answer.data] == (
        wanted if encoding == "float" else [as_base64(v) for v in wanted]
    )


def test_vectors_come_in_the_order_of_their_texts(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model="shuffled", input=["a", "bb", "ccc"])
    assert [item.embedding[0] for item in answer.data] == [1.0, 2.0, 3.0]


def test_what_it_cost_is_null_where_nobody_knows(client: openai.OpenAI) -> None:
    raw = client.embeddings.with_raw_response.create(model="unpriced", input="x")
    assert "x-coterie-cost-usd" not in raw.headers
    assert json.loads(raw.content)["coterie"]["cost_usd"] is None
    raw = client.embeddings.with_raw_response.create(model="silent", input="x")
    assert "x-coterie-cost-usd" not in raw.headers
    assert json.loads(raw.content)["usage"] is None
    raw = client.embeddings.with_raw_response.create(model="reports", input="x")
    assert raw.headers["x-coterie-cost-usd"] == "0.25000000"


def test_a_large_answer_comes_whole(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model="large", input="x", encoding_format="float")
    assert len(answer.data[0].embedding) == 200_000


def test_a_busy_endpoint_is_asked_again(client: openai.OpenAI, upstream: FaultServer) -> None:
    assert client.embeddings.create(model="busy_once", input="x").data
    assert upstream.count("busy_once") == 2


FAULTS = [
    ("500", 502, "false"),
    ("busy", 429, "true"),
    ("400", 400, "false"),
    ("401", 502, "false"),
    ("hang", 504, "false"),
    *((name, 502, "false") for name in ("html", "error_200", "short_body", "cut_json", "no_object", "no_data")),
    *((name, 502, "false") for name in ("too_few", "misnumbered", "empty", "text", "odd_base64", "words")),
    *((name, 502, "false") for name in ("nan", "infinite", "endless", "moved")),
]


@pytest.mark.parametrize(("model", "status", "again"), FAULTS)
def test_every_fault_is_an_error_with_its_status(client: openai.OpenAI, model: str, status: int, again: str) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        client.embeddings.create(model=model, input="the text")
    error = caught.value
    assert error.status_code == status
    assert error.response.headers["x-should-retry"] == again
    for secret in ("sk-", "10.0.0.7", "the text"):
        assert secret not in error.message
    if model == "busy":
        assert error.response.headers["retry-after"] == "7"
    if model == "endless":
        assert "malformed" in error.message
    if model == "400":
        assert "too long" in error.message


def test_vectors_of_several_lengths_or_another_one_are_an_error(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError, match="malformed"):
        client.embeddings.create(model="uneven", input=["a", "b"])
    with pytest.raises(openai.APIStatusError, match="malformed"):
        client.embeddings.create(model="large", input="x", dimensions=7)


def test_numbers_that_base64_cannot_hold_are_an_error(client: openai.OpenAI) -> None:
    assert client.embeddings.create(model="huge", input="x", encoding_format="float").data[0].embedding == [1e300]
    with pytest.raises(openai.APIStatusError, match="malformed"):
        client.embeddings.create(model="huge", input="x", encoding_format="base64")


def test_an_unknown_model_is_told_which_there_are(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="embeds") as caught:
        client.embeddings.create(model="a", input="x")
    assert caught.value.code == "model_not_found"


CANNOT: list[tuple[dict[str, Any], str]] = [
    ({"input": "x"}, "model"),
    ({"model": "m"}, "input"),
    ({"model": "m", "input": []}, "input"),
    ({"model": "m", "input": [[]]}, "input[0]"),
    ({"model": "m", "input": 5}, "input"),
    ({"model": "m", "input": ["a", 5]}, "input[1]"),
    ({"model": "m", "input": [-1]}, "input[0]"),
    ({"model": "m", "input": ["a"] * 2049}, "input"),
    ({"model": "m", "input": "x", "encoding_format": "int8"}, "encoding_format"),
    ({"model": "m", "input": "x", "dimensions": 0}, "dimensions"),
]


@pytest.mark.parametrize(("body", "param"), CANNOT, ids=lambda value: str(value)[:40])
def test_what_does_not_fit_is_refused(body: dict[str, Any], param: str) -> None:
    with pytest.raises(Refusal) as caught:
        embedding_request.read(json.dumps(body).encode())
    assert (caught.value.status, caught.value.param) == (400, param)


def test_keys_are_checked_and_pay(server: GatewayServer) -> None:
    with openai.OpenAI(base_url=server.base_url, api_key="ck-narrow", max_retries=0) as narrow:
        assert narrow.embeddings.create(model="unpriced", input="x").data
        assert {model.id for model in narrow.models.list()} == {"a", "unpriced"}
        with pytest.raises(openai.PermissionDeniedError):
            narrow.embeddings.create(model="embeds", input="x")
    with openai.OpenAI(base_url=server.base_url, api_key="ck-poor", max_retries=0) as poor:
        assert poor.embeddings.create(model="embeds", input="x").data  # 5 tokens at 2 USD a million
        with pytest.raises(openai.RateLimitError) as caught:
            poor.embeddings.create(model="embeds", input="x")
    assert caught.value.code == "insufficient_quota"


def test_models_of_embeddings_are_listed(client: openai.OpenAI) -> None:
    assert {"a", "embeds"} <= {model.id for model in client.models.list()}
    shown: Any = client.models.retrieve("embeds")
    assert shown.coterie == {"embeddings": True}


def test_a_client_that_leaves_takes_its_call_with_it(server: GatewayServer, upstream: FaultServer) -> None:
    with (
        openai.OpenAI(base_url=server.base_url, api_key=KEY, max_retries=0, timeout=0.1) as hasty,
        pytest.raises(openai.APITimeoutError),
    ):
        hasty.embeddings.create(model="hang", input="x")
    assert upstream.idle_within(0.2)
    assert upstream.of("hang")[-1].disconnected


def test_what_it_took_is_counted_like_any_call(server: GatewayServer, caplog: pytest.LogCaptureFixture) -> None:
    with openai.OpenAI(base_url=server.base_url, api_key=KEY, max_retries=0) as client:
        client.embeddings.create(model="reports", input="x")
    asked = urllib.request.Request(f"{server.url}/metrics", headers={"x-api-key": KEY})
    with urllib.request.urlopen(asked) as response:
        page = response.read().decode()
    assert 'coterie_tokens_total{direction="input",member="reports"}' in page
    assert 'coterie_cost_usd_total{member="reports"}' in page
    assert 'coterie_requests_total{model="reports",route="/v1/embeddings",status="200"}' in page
    assert not [record for record in caplog.records if "watcher" in record.getMessage()]


def test_an_endpoint_in_trouble_is_left_alone(upstream: FaultServer) -> None:
    endpoints = {name: EmbeddingEndpoint(upstream.base_url, name, retries=0) for name in ("sick", "hang")}
    upstream.scripts["sick"] = Http(status=500)
    settings = GatewaySettings(embeddings=endpoints, breaker=BreakerSettings(failures=2, rest_s=60))
    members = {"a": ScriptedMember("a", ("Paris",))}
    served = Config(members, limits=Limits(deadline_s=0.1), gateway=settings)
    with (
        GatewayServer(served) as server,
        openai.OpenAI(base_url=server.base_url, api_key="any", max_retries=0) as client,
    ):
        for _ in range(2):
            with pytest.raises(openai.InternalServerError, match="HTTP 500"):
                client.embeddings.create(model="sick", input="x")
        with pytest.raises(openai.InternalServerError, match="unavailable") as caught:
            client.embeddings.create(model="sick", input="x")
        with pytest.raises(openai.InternalServerError) as late:  # the request's deadline is the shorter one
            client.embeddings.create(model="hang", input="x")
    assert caught.value.status_code == 503
    assert float(caught.value.response.headers["retry-after"]) > 50
    assert upstream.count("sick") == 2
    assert late.value.status_code == 504


# ---- configuration ----------------------------------------------------------------------------


def _config(embeddings: Any) -> Config:
    members = {"a": {"engine": "scripted", "replies": ["Paris"]}}
    return config.load({"members": members, "gateway": {"embeddings": embeddings}}, {"KEY": "sk-x"})


def test_endpoints_are_configured() -> None:
    read = _config({"small": {"base_url": "http://x/v1", "model": "m", "api_key": "${KEY}", "price_usd": 0.02}})
    spec = read.gateway.embeddings["small"]
    assert spec == EmbeddingEndpoint("http://x/v1", "m", Secret("sk-x"), price_usd=0.02)
    assert "sk-x" not in repr(read)


@pytest.mark.parametrize(
    ("embeddings", "said"),
    [
        ([], "gateway.embeddings: expected a mapping"),
        ({"small": "m"}, "gateway.embeddings.small: expected a mapping"),
        ({"small": {"base_url": "http://x/v1"}}, "gateway.embeddings.small.model: this setting is required"),
        ({"small": {"base_url": "x", "model": "m"}}, "gateway.embeddings.small: base_url 'x'"),
        ({"small": {"base_url": "http://u:p@x", "model": "m"}}, "hold no password"),
        ({"small": {"base_url": "http://x", "model": "m", "timeout_s": 0}}, "timeout_s"),
        ({"small": {"base_url": "http://x", "model": "m", "price_usd": -1}}, "price_usd"),
        ({"a": {"base_url": "http://x", "model": "m"}}, "goes by this name"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_configured_is_said(embeddings: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said.replace(".", r"\.")):
        _config(embeddings or [1])
