"""The published document tells what is served: its form, its routes, its statuses, and requests made out of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import jsonschema  # type: ignore[import-untyped]
import openai
import openapi_spec_validator
import pytest
from starlette.routing import Route

import coterie.gateway
from coterie.config import ApiKey, Config, EmbeddingEndpoint, GatewaySettings
from coterie.gateway import operation, published
from coterie.gateway.app import application
from coterie.gateway.keys import hashed
from coterie.gateway.published import openapi
from coterie.members.openai import OpenAIMember
from coterie.members.scripted import ScriptedMember
from coterie.methods.peer_blend import PeerBlend
from coterie.methods.vote import Vote
from coterie.protocols import MemberSpec, Method
from gateway_server import GatewayServer
from http_faults import FaultServer
from http_replies import Body, Reply, encode

KEY = "ck-published"
BIN = Path(sys.executable).parent

MORE = int(os.environ.get("COTERIE_FUZZ_EXAMPLES", "0"))
"""Further requests that are drawn for each operation, all as the document has them; `make soak` sets it."""

NOTHING_THERE = "/v1/responses/{rest}"
"""A route that answers 404, whatever is asked of it."""

TOLD_TO_NOBODY = 499
"""What logs say of a client that has gone."""

OF_NO_OPERATION = 405
"""What another method at one of the paths is answered."""


def embed(body: Body, nth: int) -> Reply:
    if body.get("dimensions", 3) > 64:
        return Reply(status=400, error={"message": "at most 64 dimensions"})
    given = body["input"]
    count = len(given) if isinstance(given, list) and not isinstance(given[0], int) else 1
    rows = [{"object": "embedding", "index": n, "embedding": [0.5] * body.get("dimensions", 3)} for n in range(count)]
    return Reply(body=encode({"data": rows, "usage": {"prompt_tokens": 1, "total_tokens": 1}}))


@pytest.fixture(scope="module")
def server() -> Iterator[GatewayServer]:
    scripted = {name: ScriptedMember(name, ('{"city": "Paris"}',)) for name in ("ann", "bob")}
    methods: dict[str, Method] = {"default": Vote(("ann", "bob")), "blend": PeerBlend(("ann", "bob"))}
    with FaultServer({"embed": embed, "chats": Reply('{"city": "Paris"}', pieces=2)}) as upstream:
        members: dict[str, MemberSpec] = {**scripted, "wire": OpenAIMember("wire", upstream.base_url, "chats")}
        gateway = GatewaySettings(
            keys=(ApiKey("tests", hashed(KEY)),),
            embeddings={"texts": EmbeddingEndpoint(upstream.base_url, "embed")},
        )
        with GatewayServer(Config(members, methods, gateway=gateway)) as running:
            yield running


@pytest.fixture(scope="module")
def document(server: GatewayServer) -> Any:
    return httpx2.get(f"{server.url}/openapi.json", timeout=30).json()


def operations(document: Any) -> dict[tuple[str, str], Any]:
    return {(method, path): told for path, of_path in document["paths"].items() for method, told in of_path.items()}


def post(server: GatewayServer, path: str, body: Any) -> httpx2.Response:
    return httpx2.post(server.url + path, json=body, headers={"authorization": f"Bearer {KEY}"}, timeout=30)


def check(document: Any, schema: Any, value: Any) -> None:
    """Raises where `value` is not as `schema` has it."""
    jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(value)


# ---- the document -----------------------------------------------------------------------------


def test_it_is_a_document_of_its_version(document: Any) -> None:
    assert document["openapi"].startswith("3.2")
    openapi_spec_validator.validate(document)


def test_it_has_every_route_and_no_other() -> None:
    guarded: Any = application(Config({"ann": ScriptedMember("ann", ("x",))}))
    routes = [route for route in guarded._router.routes if isinstance(route, Route)]
    paths = {(method, route.path.replace(":path}", "}")) for route in routes for method in route.methods or ()}
    served = {(method.lower(), path) for method, path in paths if method != "HEAD" and path != NOTHING_THERE}
    assert served == set(operations(openapi.document()))


def test_it_has_every_status_that_something_is_refused_with() -> None:
    sources = Path(coterie.gateway.__file__).parent.glob("*.py")
    refused = {int(found) for source in sources for found in re.findall(r"Refusal\(\s*(\d{3}),", source.read_text())}
    assert {401, 404, 413, 429, 502} <= refused
    told = {int(status) for operation in operations(openapi.document()).values() for status in operation["responses"]}
    assert refused - {TOLD_TO_NOBODY, OF_NO_OPERATION} <= told


def test_keys_are_asked_for_where_some_are_configured(document: Any) -> None:
    named: list[dict[str, Any]] = [{"bearer": []}, {"apiKey": []}]
    assert document["security"] == named
    assert openapi.document(keyed=False)["security"] == [*named, {}]
    open_to_all = {path for (_, path), told in operations(document).items() if told.get("security") == []}
    assert open_to_all == {"/health/live", "/health/ready", "/openapi.json"}


def test_what_a_request_may_say_to_us_is_described(document: Any) -> None:
    schemas = document["components"]["schemas"]
    wishes = schemas["Wishes"]["properties"]
    assert set(wishes) == {"method", "limits", "conversation", "strict", "stream"}
    assert all(field["description"] for field in wishes.values())
    for request in ("ChatRequest", "CreateResponse", "MessagesRequest"):
        assert {"$ref": "#/components/schemas/Wishes"} in schemas[request]["properties"]["coterie"]["anyOf"]


def test_namesakes_of_two_interfaces_are_told_apart_by_it(document: Any) -> None:
    schemas = document["components"]["schemas"]
    assert {"ChatTool", "MessagesTool"} <= set(schemas)
    assert not [name for name in schemas if "__" in name]


def test_it_is_made_once() -> None:
    assert published._encoded(True) is published._encoded(True)


# ---- what is answered -------------------------------------------------------------------------


def examples() -> list[Any]:
    return [
        pytest.param(told.path, body, id=f"{told.id}-{name}")
        for told in openapi.OPERATIONS
        for name, body in told.examples.items()
    ]


@pytest.mark.parametrize(("path", "body"), examples())
def test_every_example_is_answered_as_the_document_says(
    path: str, body: Any, server: GatewayServer, document: Any
) -> None:
    answer = post(server, path, body)
    assert answer.status_code == 200, answer.text
    media = answer.headers["content-type"].partition(";")[0]
    told = operations(document)["post", path]["responses"]["200"]["content"][media]
    if not body.get("stream"):
        check(document, told["schema"], answer.json())
        return
    of_event = told["itemSchema"]["properties"]["data"]
    sent = re.findall(r"^data: (.*)$", answer.text, re.MULTILINE)
    if "anyOf" in of_event:
        of_event, last = of_event["anyOf"]
        assert sent.pop() == last["const"]
    assert len(sent) > 2
    for data in sent:
        check(document, of_event["contentSchema"], json.loads(data))


def test_tools_and_probabilities_and_failures_fit_the_documents(server: GatewayServer, document: Any) -> None:
    """What scripted members never say."""
    schemas = document["components"]["schemas"]
    token = {"token": "P", "logprob": -0.5, "bytes": [80]}
    message = {"role": "assistant", "content": None, "refusal": None, "tool_calls": [{"id": "call_1"}]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    check(
        document,
        schemas["Choice"],
        {**choice, "logprobs": {"content": [{**token, "top_logprobs": [token]}], "refusal": None}},
    )
    with pytest.raises(jsonschema.ValidationError):
        check(document, schemas["Choice"], {**choice, "logprobs": {"content": [token], "refusal": None}})


def test_a_run_and_feedback_on_it_are_told_as_the_document_says(server: GatewayServer, document: Any) -> None:
    with openai.OpenAI(base_url=server.base_url, api_key=KEY) as client:
        made = client.chat.completions.create(model="ann", messages=[{"role": "user", "content": "Where?"}])
    run = httpx2.get(f"{server.base_url}/runs/{made.id}", headers={"x-api-key": KEY}, timeout=30)
    heard = post(server, "/v1/feedback", {"id": made.id, "rating": 1.0})
    for answer, where in ((run, ("get", "/v1/runs/{id}")), (heard, ("post", "/v1/feedback"))):
        assert answer.status_code == 200, answer.text
        told = operations(document)[where]["responses"]["200"]["content"][operation.JSON]
        check(document, told["schema"], answer.json())


EMPTY: dict[str, list[Any]] = {
    "/v1/chat/completions": [{"role": "user", "content": [{"type": "text", "text": ""}]}],
    "/v1/messages": [{"role": "system", "content": []}],
}


@pytest.mark.parametrize("path", EMPTY)
def test_messages_that_say_nothing_are_the_clients_mistake(path: str, server: GatewayServer) -> None:
    answer = post(server, path, {"model": "ann", "max_tokens": 5, "messages": EMPTY[path]})
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, "the messages are empty")


# ---- requests made out of it ------------------------------------------------------------------


def narrowed(document: Any) -> Any:
    """The document of a server with these models alone, so that requests out of it get past their names."""
    narrow = json.loads(json.dumps(document))
    schemas = narrow["components"]["schemas"]
    for request in ("ChatRequest", "CreateResponse", "MessagesRequest"):
        schemas[request]["properties"]["model"] = {"enum": ["wire", "ann", "coterie/default", "coterie/blend"]}
    schemas["EmbeddingRequest"]["properties"]["model"] = {"enum": ["texts"]}
    narrow["paths"]["/v1/models/{id}"]["get"]["parameters"][0]["schema"] = {"enum": ["wire", "coterie/blend", "texts"]}
    return narrow


def made_out_of(document: Any, server: GatewayServer, folder: Path, *bounds: str) -> subprocess.CompletedProcess[str]:
    """Sends requests within `bounds`, and holds the answers against the document."""
    tool = BIN / "schemathesis"
    if not tool.exists():
        pytest.skip("schemathesis is not installed in this environment (pip install 'coterie[dev]')")
    (folder / "openapi.json").write_text(json.dumps(narrowed(document)))
    asked = [str(tool), "run", "openapi.json", "--url", server.url, "-H", f"Authorization: Bearer {KEY}", *bounds]
    # Fields that exclude each other are refused, though each is as described.
    how = ["--exclude-checks", "positive_data_acceptance", "--continue-on-failure", "--warnings", "off", "--no-color"]
    same = ["--seed", "1", "--generation-database", "none"]
    return subprocess.run([*asked, *how, *same], cwd=folder, capture_output=True, text=True, timeout=3600, check=False)


def test_whatever_is_asked_is_answered_as_the_document_says(
    server: GatewayServer, document: Any, tmp_path: Path
) -> None:
    """No request fails the gateway, passes though it should not, or is answered in a way that is not described."""
    done = made_out_of(document, server, tmp_path, "--phases", "examples,coverage,fuzzing", "-n", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    page = httpx2.get(f"{server.url}/metrics", headers={"x-api-key": KEY}, timeout=30).text
    for path in ("/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/embeddings"):
        counts = re.findall(rf'^coterie_requests_total{{.*route="{path}",status="200"}} (.+)$', page, re.MULTILINE)
        assert sum(map(float, counts)) > 10, f"hardly a request to {path} got as far as an answer"


@pytest.mark.skipif(not MORE, reason="part of make soak")
def test_many_requests_are_answered_as_the_document_says(server: GatewayServer, document: Any, tmp_path: Path) -> None:
    done = made_out_of(document, server, tmp_path, "--phases", "fuzzing", "--mode", "positive", "-n", str(MORE))
    assert done.returncode == 0, done.stdout + done.stderr
