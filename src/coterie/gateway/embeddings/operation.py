"""`POST /v1/embeddings` as the published document tells it."""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import TypedDict

from coterie.gateway.embeddings.request import EmbeddingRequest
from coterie.gateway.operation import (
    ASKING,
    CLOSED,
    JSON,
    ON_ANSWERS,
    READING,
    TRACING,
    Operation,
    Said,
)


class Embedding(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    object: Literal["embedding"]
    index: int
    embedding: list[float] | str
    """Numbers, or with `encoding_format: base64` their little-endian float32."""


class EmbeddingAccount(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    run_id: str
    cost_usd: float | None


class EmbeddingList(TypedDict):
    """A vector for each input, in its order."""

    __pydantic_config__ = CLOSED  # type: ignore[misc]
    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: dict[str, Any] | None
    """As the endpoint reported it."""
    coterie: EmbeddingAccount


OPERATION = Operation(
    "post",
    "/v1/embeddings",
    "createEmbedding",
    "Vectors of texts, from the endpoint that is configured under the model's name.",
    {200: Said("The vectors.", {JSON: EmbeddingList}, ON_ANSWERS)},
    READING | ASKING,
    EmbeddingRequest,
    TRACING,
    tag="embeddings",
)
