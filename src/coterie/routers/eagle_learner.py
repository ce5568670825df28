"""Eagle while it serves: each preference that is heard is a battle more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from coterie.encoders import default_encoder
from coterie.errors import ConfigError
from coterie.prospects import Lesson, Prospects, Scale
from coterie.protocols import Encoder, Opens, Run
from coterie.routers.eagle_rules import EagleRules
from coterie.routers.forecast import Forecast, Queries
from coterie.routers.foretold import prospects
from coterie.routers.learning import Fold, Unreadable, journal
from coterie.routers.packing import packed, unpacked
from coterie.routers.starting import with_spending
from coterie.types import Json, Request

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from coterie.routers.eagle import EagleRouter

KIND = "eagle"

VERSION = 1
"""Of the entries in the journal."""


@dataclass(frozen=True)
class Eagle(EagleRules):
    """Expects of each member its Elo rating, half over all battles and half over those on like questions (2409.15518).

    It learns from preferences alone: somebody says which of two members' answers was better, or that they were equally
    good. One rating compares nobody, so nothing is learned from it. A member that was in no battle has no quality.
    Costs: an encoding; beyond it, reading the journal, a search among the questions heard of, and a microsecond for
    four battles over the nearest of them.
    """

    encoder: Encoder = field(default_factory=default_encoder)
    start: str | None = None
    """The folder of an `eagle` artifact to begin with; left out, nothing is known at first."""
    name: str = ""
    """Learners of one name and encoder learn together, and keep what they know when another setting changes. Without a
    name equal ones do, and another setting begins anew."""
    fresh_s: float = 0.0
    """How old what it knows may be, in seconds; 0 reads the journal before each decision."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.fresh_s >= 0:
            raise ConfigError(f"fresh_s is 0 or more, not {self.fresh_s!r}")

    @property
    def rules(self) -> EagleRules:
        """What it forecasts by. A `start` is continued by them, whatever it was fitted by."""
        return EagleRules(self.p, self.neighbours, self.k, self.ratings)

    @property
    def opens(self) -> tuple[Opens[Any], ...]:
        """What is expensive in it, which a committee opens ahead."""
        return (self.encoder, Fold(self))

    @property
    def journal(self) -> str:
        facts = () if self.name else (self.start, self.rules)
        return journal(KIND, self.name, VERSION, self.encoder.identity, *facts)

    def begin(self) -> HeardBattles:
        """Raises `ConfigError` for a `start` that is no such router, or that reads another encoder's vectors."""
        if self.start is None:
            return HeardBattles(self.rules)
        from coterie.routers.eagle import EagleRouter
        from coterie.routers.starting import started

        router = started(self.start, EagleRouter, self.encoder)
        router.go_by(self.rules)
        return HeardBattles(self.rules, router)

    async def forecast(self, request: Request, members: Sequence[str], run: Run) -> Prospects:
        encoder = await run.open(self.encoder)
        vectors = await encoder.encode([request.question])
        state = await (await run.open(Fold(self))).state(run)
        said = state.forecast(Queries((request.question,), vectors), members)
        return await with_spending(prospects(KIND, Scale.ELO, members, said), self.start, run)

    async def features(self, request: Request, run: Run) -> Json:
        """The question's vector."""
        encoder = await run.open(self.encoder)
        [vector] = await encoder.encode([request.question])
        return {"vector": packed(vector)}

    def entries(self, lesson: Lesson) -> Sequence[Json]:
        """One for a preference; none for a rating."""
        features, said = lesson.routed.features, lesson.feedback
        vector = features.get("vector") if isinstance(features, Mapping) else None
        if vector is None or said.preferred is None:
            return []
        battle = {"first": said.preferred, "second": said.over, "result": 0.5 if said.tie else 1.0}
        return [{"version": VERSION, **battle, "vector": vector}]


class HeardBattles:
    """`Folding`: Eagle's ratings after what a journal says."""

    def __init__(self, rules: EagleRules, router: EagleRouter | None = None) -> None:
        self._rules = rules
        self._router = router
        """``None`` until a vector says how many dimensions there are."""

    def apply(self, entry: Json) -> None:
        first, second, result, vector = _read(entry)
        router = self._of(len(vector))
        if router.dimensions != len(vector):
            raise Unreadable(f"a vector of {len(vector)} numbers stands among vectors of {router.dimensions}")
        router.learn(vector[None], [[(router.place(first), router.place(second), result)]])

    def forecast(self, queries: Queries, members: Sequence[str]) -> Forecast:
        """Raises `RouterError` for vectors of another length."""
        import numpy as np

        assert queries.vectors is not None  # noqa: S101 - it reads vectors
        router = self._of(queries.vectors.shape[1])
        said = router.forecast(queries)
        place = {member: column for column, member in enumerate(router.members)}
        known = [n for n, member in enumerate(members) if member in place]
        quality = np.full((len(queries), len(members)), np.nan)
        quality[:, known] = said.quality[:, [place[members[n]] for n in known]]
        return Forecast(quality, basis=said.basis)

    def _of(self, dimensions: int) -> EagleRouter:
        if self._router is None:
            from coterie.routers.eagle import EagleRouter
            from coterie.routers.neighbours import Neighbours

            self._router = EagleRouter(self._rules, Neighbours(dimensions))
        return self._router


def _read(entry: Json) -> tuple[str, str, float, NDArray[np.float32]]:
    """Both members, the result and the vector of an entry. Raises `Unreadable`."""
    if not isinstance(entry, Mapping) or entry.get("version") != VERSION:
        raise Unreadable(f"{entry!r:.80} is no battle of this version")
    first, second, result = entry.get("first"), entry.get("second"), entry.get("result")
    if not isinstance(first, str) or not isinstance(second, str) or first == second:
        raise Unreadable(f"{entry!r:.80} does not say who fought whom")
    if isinstance(result, bool) or result not in (0, 0.5, 1):
        raise Unreadable(f"{result!r} is no result of a battle")
    return first, second, float(result), unpacked(entry.get("vector"))
