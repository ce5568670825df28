"""FORC's meta-model: one classifier that is told a member's name and the query, for all members (2308.06077)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from coterie.errors import ConfigError
from coterie.prospects import Scale
from coterie.routers.classifier import WEIGHTS, TextClassifier, opened
from coterie.routers.forecast import Forecast, Kept, Queries, Reads
from coterie.types import Json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Heads = Literal["shared", "each"]
"""One output that reads whose name stands before the query (the paper's), or one output for each member."""


def prefix(member: str) -> str:
    """What stands before the query where the one output is asked about `member`: plain text, no special piece."""
    return f"<{member}>"


@dataclass(frozen=True, eq=False)
class ForcRouter:
    """How likely each member answers correctly, each told on its own: the sigmoid of the classifier's logit.

    With `shared` heads it costs one forward of a short text for each member, all in one batch; with heads for
    `each` it costs one forward. Of several networks it is the mean, and how far they disagree is the uncertainty.
    """

    kind: ClassVar[str] = "forc"
    scale: ClassVar[Scale] = Scale.SCORE
    reads: ClassVar[Reads] = "texts"

    members: tuple[str, ...]
    classifier: TextClassifier
    heads: Heads = "shared"
    others: tuple[TextClassifier, ...] = ()
    """Further networks, fitted to the same lessons from other seeds."""

    def forecast(self, queries: Queries) -> Forecast:
        import numpy as np

        ask = self._shared if self.heads == "shared" else self._each
        likely = np.stack([1.0 / (1.0 + np.exp(-ask(network, queries))) for network in self._networks])
        if not self.others:
            return Forecast(likely[0])
        return Forecast(likely.mean(axis=0), likely.std(axis=0))

    @property
    def _networks(self) -> tuple[TextClassifier, ...]:
        return (self.classifier, *self.others)

    def settings(self) -> Mapping[str, Json]:
        return {"heads": self.heads, "networks": len(self._networks), **self.classifier.settings()}

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        return {}

    def save(self, folder: Path) -> None:
        """Afterwards the artifact's `folder` holds the weights."""
        for place, network in zip(_places(len(self._networks)), self._networks, strict=True):
            network.save(folder / place)

    @classmethod
    def load(cls, kept: Kept) -> ForcRouter:
        """The router that was saved. Raises `ConfigError`, `MissingExtra`."""
        heads: Heads = "shared" if kept.settings.get("heads") == "shared" else "each"
        if kept.settings.get("heads") != heads:
            raise ConfigError(
                f"heads of the router in {str(kept.folder)!r} are 'shared' or for 'each', "
                f"not {kept.settings.get('heads')!r}"
            )
        networks = kept.settings.get("networks", 1)
        if not isinstance(networks, int) or networks < 1:
            raise ConfigError(f"networks of the router in {str(kept.folder)!r} are 1 or more, not {networks!r}")
        labels = 1 if heads == "shared" else len(kept.members)
        first, *others = (opened(kept, labels, place) for place in _places(networks))
        return cls(kept.members, first, heads, tuple(others))

    def _shared(self, network: TextClassifier, queries: Queries) -> NDArray[np.float64]:
        reader = network.reader
        rows = [row for member in self.members for row in reader.rows(queries.texts, prefix(member))]
        return network.logits(rows).reshape(len(self.members), len(queries)).T

    def _each(self, network: TextClassifier, queries: Queries) -> NDArray[np.float64]:
        return network.logits(network.reader.rows(queries.texts))


def _places(networks: int) -> list[str]:
    """The folders of the networks, inside an artifact."""
    return [WEIGHTS, *(f"{WEIGHTS}-{number}" for number in range(2, networks + 1))]
