"""What a client asks of embeddings, read strictly."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from coterie.gateway.misfit import check_finite, misfit
from coterie.gateway.refusal import Refusal
from coterie.types import Json

MOST_INPUTS = 2048
"""Texts in one request, as OpenAI takes them."""

Token = Annotated[int, Field(ge=0)]
Encoding = Literal["float", "base64"]


class EmbeddingRequest(BaseModel):
    """One request. Fields that are not named here are passed on as they came."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)

    model: Annotated[str, Field(min_length=1, max_length=400)]
    input: str | list[str] | list[Token] | list[Annotated[list[Token], Field(min_length=1)]]
    """A text, several, or their tokens."""
    encoding_format: Encoding | None = None
    dimensions: Annotated[int, Field(ge=1)] | None = None
    user: str | None = None

    @property
    def count(self) -> int:
        """How many vectors answer it."""
        is_one = isinstance(self.input, str) or isinstance(self.input[0], int)
        return 1 if is_one else len(self.input)

    @property
    def encoding(self) -> Encoding:
        return self.encoding_format or "float"

    def body(self, model: str) -> dict[str, Json]:
        """What is sent to an endpoint at which the model goes by the name of `model`."""
        return {**self.model_dump(exclude_none=True), "model": model}


_READER = TypeAdapter(EmbeddingRequest)


def read(body: bytes) -> EmbeddingRequest:
    """The request in `body`. Raises `Refusal` that names a field that does not fit."""
    try:
        asked = _READER.validate_json(body)
    except ValidationError as error:
        raise misfit(error) from None
    check_finite(asked)
    if not asked.input and not isinstance(asked.input, str):
        raise Refusal(400, "input: there is nothing to embed", code="invalid_value", param="input")
    if asked.count > MOST_INPUTS:
        raise Refusal(400, f"input: at most {MOST_INPUTS} at once", code="invalid_value", param="input")
    return asked
