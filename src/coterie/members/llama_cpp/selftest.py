"""Does the library do what its names promise? Asked once for each model that is loaded.

A binding by hand that is a little wrong does not fail: it returns numbers. These few evaluations
(about a tenth of a second for a small model) compare the numbers with each other.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from coterie.errors import ConfigError, MemberError

if TYPE_CHECKING:
    from coterie.members.llama_cpp.context import Context, Row
    from coterie.members.llama_cpp.native import LoadedAdapter, NativeModel

SAMPLE = "Wörter, 日本語 🎉 and <|im_end|>."
KNOWN = "The sun rises in the east."
TOLERANCE_NATS = 0.02
"""A token, between a text evaluated at once and token by token; rounding differs with the shape of the batch."""


def check(model: NativeModel) -> None:
    """Return when the model behaves. Raises `ConfigError` saying what does not."""
    _round_trip(model)
    tokens = [*model.vocabulary.begin, *model.vocabulary.encode(KNOWN)]
    try:
        with model.context(tokens) as context:
            batched = _batched(context, tokens)
            stepwise = _stepwise(context, tokens)
            if model.adapter is not None:
                _adapted(context, tokens, model.adapter)
    except MemberError as error:
        raise ConfigError(f"self-test of the llama.cpp binding: {error}") from error
    if not abs(batched - stepwise) <= TOLERANCE_NATS * len(tokens):
        raise ConfigError(
            f"self-test of the llama.cpp binding: {KNOWN!r} has log-probability {batched:.3f} when evaluated at once "
            f"and {stepwise:.3f} token by token"
        )


def _round_trip(model: NativeModel) -> None:
    # Vocabularies of the older kind put a space in front of every text.
    found = model.vocabulary.decode(model.vocabulary.encode(SAMPLE)).decode(errors="replace").removeprefix(" ")
    if found != SAMPLE:
        raise ConfigError(f"self-test of the llama.cpp binding: {SAMPLE!r} came back from its tokens as {found!r}")


def _batched(context: Context, tokens: list[int]) -> float:
    import numpy as np

    context.resume(tokens[:1])
    if not np.isfinite(context.logits()).all():
        raise ConfigError("self-test of the llama.cpp binding: some logits are not finite")
    return context.score(tokens[1:])


def _adapted(context: Context, tokens: list[int], adapter: LoadedAdapter) -> None:
    """At scale 0 the adapter must leave every logit as it is without it, and at its own scale change some."""
    plain = _logits(context, tokens, None)
    if (_logits(context, tokens, adapter.handle, 0.0) != plain).any():
        raise ConfigError("self-test of the llama.cpp binding: the adapter changes the model at scale 0")
    if adapter.scale and (_logits(context, tokens, adapter.handle, adapter.scale) == plain).all():
        raise ConfigError(f"self-test of the llama.cpp binding: the adapter changes nothing at scale {adapter.scale!r}")


def _logits(context: Context, tokens: list[int], adapter: int | None, scale: float = 1.0) -> Row:
    """What follows `tokens`; the context stays with this adapter at this scale."""
    context.adapt(adapter, scale)
    context.resume(tokens)
    return context.logits()


def _stepwise(context: Context, tokens: list[int]) -> float:
    context.resume(tokens[:1])
    total = 0.0
    for token in tokens[1:]:
        total += float(context.logprobs()[token])
        context.feed([token])
    return total if math.isfinite(total) else math.nan
