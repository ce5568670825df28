"""What a learner begins with, where an artifact is named."""

from __future__ import annotations

from typing import TypeVar

from coterie.errors import ConfigError
from coterie.protocols import Encoder
from coterie.routers.forecast import Fitted

T = TypeVar("T", bound=Fitted)


def started(folder: str, kind: type[T], encoder: Encoder | None = None) -> T:
    """The router in `folder`, to learn on from.

    Raises `ConfigError` where it is of another class, or reads vectors of another encoder than `encoder`.
    """
    from coterie.routers.artifact import opened

    artifact = opened(folder)
    if not isinstance(artifact.fitted, kind):
        raise ConfigError(f"{folder!r} holds a router of the kind {artifact.fitted.kind!r}, not {kind.kind!r}")
    if encoder is not None and artifact.encoder_identity != encoder.identity:
        raise ConfigError(
            f"{folder!r} reads vectors of {artifact.encoder_identity!r}, and this router's encoder makes those of "
            f"{encoder.identity!r}: give it the same one"
        )
    return artifact.fitted
