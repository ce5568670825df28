"""`GET /v1/models` and one of them, as the published document tells them."""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import TypedDict

from coterie.gateway.operation import CLOSED, JSON, TRACING, Operation, Parameter, Said


class ModelEntry(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    id: str
    """`coterie/NAME` for a method, a member's own name for a member."""
    object: Literal["model"]
    created: int
    owned_by: Literal["coterie"]


class ModelList(TypedDict):
    """The models that the key may ask."""

    __pydantic_config__ = CLOSED  # type: ignore[misc]
    object: Literal["list"]
    data: list[ModelEntry]


class ModelDetails(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    members: list[str]
    """Whom the model asks."""
    schema: dict[str, Any]
    """The JSON Schema of `coterie` in a request to it."""


class EmbeddingDetails(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]
    embeddings: Literal[True]
    """It answers `/v1/embeddings`, and nothing else."""


class ModelWithDetails(ModelEntry):
    """A model, and what a request may set of it."""

    __pydantic_config__ = CLOSED  # type: ignore[misc]
    coterie: ModelDetails | EmbeddingDetails


OPERATIONS = (
    Operation(
        "get",
        "/v1/models",
        "listModels",
        "The models there are.",
        {200: Said("Methods first.", {JSON: ModelList})},
        parameters=TRACING,
        tag="models",
    ),
    Operation(
        "get",
        "/v1/models/{id}",
        "getModel",
        "A model, whom it asks, and the JSON Schema of what a request may set of it.",
        {200: Said("The model.", {JSON: ModelWithDetails})},
        frozenset({400, 404}),
        parameters=(Parameter("id", "path", "The model's name; a slash in it may stand as it is."), *TRACING),
        tag="models",
    ),
)
