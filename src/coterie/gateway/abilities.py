"""What a model can do with what it is asked for; what it cannot is refused with the reason, before anybody is asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from coterie.gateway.catalog import Model
from coterie.gateway.chat.request import ChatRequest
from coterie.gateway.refusal import Refusal
from coterie.methods.peer_blend import PeerBlend
from coterie.methods.vote import Vote
from coterie.protocols import MemberSpec, Method
from coterie.types import Capability


def passes_on(member: MemberSpec) -> bool:
    """True for a member whose endpoint is sent whatever a request carries: tools, pictures, a vendor's parameters."""
    return hasattr(member, "extra") and getattr(member, "api", "chat") == "chat"


def check(asked: ChatRequest, model: Model, method: Method, members: Mapping[str, MemberSpec]) -> None:
    """Raises `Refusal` for what `method` or one of those it asks would have to drop."""
    pool = [members[name] for name in method.asks]
    if _brings_tools(asked):
        _check_tools(model, method, pool, legacy="functions" in (asked.model_extra or {}))
    kinds = _part_kinds(asked)
    if kinds - {"text"}:
        _check_pictures(kinds, model, method, pool)
    wanted = asked.response_format["type"] if asked.response_format else "text"
    if wanted == "json_schema" and (unable := _without(pool, Capability.SCHEMA)):
        raise _refused("response_format", f"{unable} cannot be held to a JSON Schema", model)
    if wanted == "json_object" and not model.one_writes:
        raise _refused("response_format", "it takes a JSON Schema (json_schema), which all its members share", model)
    if asked.logprobs:
        _check_logprobs(model, pool)
    if (asked.n or 1) > 1 and not model.one_writes:
        raise _refused("n", "one request makes one answer of all its members'", model)


def _brings_tools(asked: ChatRequest) -> bool:
    turns = any(message["role"] == "tool" or message.get("tool_calls") for message in asked.messages)
    more = asked.model_extra or {}
    return turns or bool(asked.tools) or bool(more.get("functions"))


def _check_tools(model: Model, method: Method, pool: Iterable[MemberSpec], *, legacy: bool) -> None:
    if not model.one_writes and not (isinstance(method, PeerBlend) and method.final == "select"):
        why = "a text made of several answers is no call of a tool"
        if isinstance(method, PeerBlend):
            why += "; coterie: {method: {final: select}} gives the best answer as it stands, calls included"
        raise _refused("tools", why, model)
    if unable := ", ".join(member.name for member in pool if not passes_on(member)):
        raise _refused("tools", f"{unable} cannot be given tools", model)
    if legacy and not model.one_writes:
        raise _refused("functions", "it takes their successor, tools", model)


def _check_pictures(kinds: set[str], model: Model, method: Method, pool: Iterable[MemberSpec]) -> None:
    said = ", ".join(sorted(kinds - {"text"}))
    if not model.one_writes and not isinstance(method, Vote):
        raise _refused("messages", f"who reviews or fuses reads text alone, and no {said}", model)
    if unable := ", ".join(member.name for member in pool if not passes_on(member)):
        raise _refused("messages", f"{unable} read text alone, and no {said}", model)


def _check_logprobs(model: Model, pool: Iterable[MemberSpec]) -> None:
    if not model.one_writes:
        raise _refused("logprobs", "the answer is made of several, which share no probabilities", model)
    if unable := _without(pool, Capability.LOGPROBS):
        raise _refused("logprobs", f"{unable} gives none", model)


def _without(pool: Iterable[MemberSpec], capability: Capability) -> str:
    return ", ".join(member.name for member in pool if capability not in member.card.capabilities)


def _part_kinds(asked: ChatRequest) -> set[str]:
    contents = (message.get("content") for message in asked.messages)
    return {part["type"] for content in contents if isinstance(content, list) for part in content}


def _refused(param: str, why: str, model: Model) -> Refusal:
    return Refusal(400, f"{model.id} cannot take {param}: {why}", code="unsupported_parameter", param=param)
