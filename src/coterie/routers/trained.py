"""A trained router at work: the part that serves an artifact of any kind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from coterie.encoders.reading import whole
from coterie.prospects import Prospect, Prospects
from coterie.protocols import Encoder, Run
from coterie.routers.artifact import Artifact, opened
from coterie.routers.forecast import Queries
from coterie.routers.foretold import prospects
from coterie.routers.starting import prices_of
from coterie.types import Request


@dataclass(frozen=True, eq=False)
class Opened:
    """An artifact, and what makes the vectors it reads; ``None`` where it reads none."""

    artifact: Artifact
    encoder: Encoder | None


@dataclass(frozen=True)
class ArtifactFolder:
    """Opens an artifact, once for all that route by it."""

    path: str
    encoder: Encoder | None = None
    """Instead of the one that the artifact names."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Opened]:
        """Raises `ConfigError` for a folder that is wrong, and for an encoder that makes other vectors."""
        yield await asyncio.to_thread(self._opened)

    def _opened(self) -> Opened:
        artifact = opened(self.path)
        if artifact.encoder_part is None:
            return Opened(artifact, None)
        return Opened(artifact, artifact.encoder if self.encoder is None else artifact.checked(self.encoder))


@dataclass(frozen=True)
class Trained:
    """What a trained router expects of each member; `coterie train router` makes one.

    It reads the words of the request's last user turn, as RouteLLM does, and of a conversation nothing else. A member
    it was not trained on has no quality. Costs: one encoding where the router reads vectors, and the router's own time.
    """

    path: str
    """Folder of the artifact."""
    encoder: Encoder | None = None
    """What makes the vectors, instead of the encoder that the artifact names; it must make the same ones."""

    @property
    def opens(self) -> tuple[ArtifactFolder, ...]:
        """What is expensive in it, which a committee opens ahead."""
        return (ArtifactFolder(self.path, self.encoder),)

    async def forecast(self, request: Request, members: Sequence[str], run: Run) -> Prospects:
        """Raises `RouterError` where the encoder is out of reach, `ConfigError` for a folder or encoder that is wrong.

        Costs are left to the run where a member's price tells them; else they are the recorded mean.
        """
        ready = await run.open(*self.opens)
        fitted, text = ready.artifact.fitted, whole(request.question)
        vectors = None if ready.encoder is None else await (await run.open(ready.encoder)).encode([text])
        queries = Queries((text,), vectors)
        slow = fitted.reads in ("texts", "both")
        said = await asyncio.to_thread(fitted.forecast, queries) if slow else fitted.forecast(queries)
        told = prospects(fitted.kind, fitted.scale, fitted.members, said)
        spending, prices = ready.artifact.spending, prices_of(members, run)
        known = {said.member: spending.on(said, prices.get(said.member)) for said in told.members}
        found = tuple(known.get(member) or Prospect(member, None) for member in members)
        return replace(told, members=found, basis=_basis(told.basis, [name for name in members if name not in known]))


def _basis(own: str, strange: Sequence[str]) -> str:
    missing = f"not trained on {', '.join(strange)}" if strange else ""
    return "; ".join(part for part in (own, missing) if part)
