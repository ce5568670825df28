"""MetaLLM: a contextual bandit chooses the member, and learns from what is heard of its answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from coterie.encoders import from_plain
from coterie.prospects import Lesson, Prospects, Scale
from coterie.protocols import Encoder, Opens, Run
from coterie.routers.forecast import Forecast, Queries
from coterie.routers.foretold import prospects
from coterie.routers.learning import Fold, Unreadable, journal
from coterie.routers.linucb_terms import Terms
from coterie.routers.packing import packed, unpacked
from coterie.routers.rewards import rewards
from coterie.routers.starting import prices_of, started, with_spending
from coterie.types import Json, Request

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from coterie.routers.linucb import LinUCB

KIND = "metallm"

VERSION = 1
"""Of the entries in the journal."""


@dataclass(frozen=True)
class MetaLLM(Terms):
    """Expects of each member the reward that a ridge regression on the question's vector foretells (2407.10834).

    With the decision `optimistic` it is LinUCB. With `best` it explores nothing, as the reference does by default
    (alpha 0): then it should begin with a `start`. A member of whom nothing was learned is expected to earn 0, give
    or take 1 / sqrt(ridge). Costs: an encoding; beyond it, reading the journal and less than a tenth of a millisecond
    for 9 members and 384 dimensions.
    """

    encoder: Encoder = field(default_factory=partial(from_plain, "minilm"))
    start: str | None = None
    """The folder of a `metallm` artifact to begin with; left out, nothing is known at first."""
    name: str = ""
    """Learners of one name and encoder learn together, and keep what they know when another setting changes. Without a
    name equal ones do, and another setting begins anew."""
    fresh_s: float = 0.0
    """How old what it knows may be, in seconds; 0 reads the journal before each decision."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.fresh_s >= 0:
            raise ValueError(f"fresh_s is 0 or more, not {self.fresh_s!r}")

    @property
    def terms(self) -> Terms:
        """What a lesson weighs."""
        return Terms(**{term.name: getattr(self, term.name) for term in fields(Terms)})

    @property
    def opens(self) -> tuple[Opens[Any], ...]:
        """What is expensive in it, which a committee opens ahead."""
        return (self.encoder, Fold(self))

    @property
    def journal(self) -> str:
        facts = () if self.name else (self.start, self.terms)
        return journal(KIND, self.name, VERSION, self.encoder.identity, *facts)

    def begin(self) -> Bandit:
        """Raises `ConfigError` for a `start` that is no such router, or that reads another encoder's vectors."""
        if self.start is None:
            return Bandit(self.terms)
        from coterie.routers.linucb import LinUCB

        arms = started(self.start, LinUCB, self.encoder)
        arms.terms = self.terms
        return Bandit(self.terms, arms)

    async def forecast(self, request: Request, members: Sequence[str], run: Run) -> Prospects:
        encoder = await run.open(self.encoder)
        vectors = await encoder.encode([request.question])
        state = await (await run.open(Fold(self))).state(run)
        said = state.forecast(Queries((request.question,), vectors), members, self._prices(members, run))
        return await with_spending(prospects(KIND, Scale.SCORE, members, said), self.start, run)

    def _prices(self, members: Sequence[str], run: Run) -> Mapping[str, float]:
        """USD for a million tokens read and a million written, of the members whose price is known."""
        return {member: price.input_usd + price.output_usd for member, price in prices_of(members, run).items()}

    async def features(self, request: Request, run: Run) -> Json:
        """The question's vector."""
        encoder = await run.open(self.encoder)
        [vector] = await encoder.encode([request.question])
        return {"vector": packed(vector)}

    def entries(self, lesson: Lesson) -> Sequence[Json]:
        """One for each member that has earned something (`rewards`)."""
        features = lesson.routed.features
        vector = features.get("vector") if isinstance(features, Mapping) else None
        if vector is None:
            return []
        return [
            {"version": VERSION, "member": member, "reward": reward, "vector": vector}
            for member, reward in rewards(lesson).items()
        ]


class Bandit:
    """`Folding`: LinUCB that learns what a journal says."""

    def __init__(self, terms: Terms, arms: LinUCB | None = None) -> None:
        self._terms = terms
        self._arms = arms
        """``None`` until a vector says how many dimensions there are."""
        self._lessons = 0
        self._begun = arms is not None

    def apply(self, entry: Json) -> None:
        member, reward, vector = _read(entry)
        arms = self._of(len(vector))
        if arms.dimensions != len(vector):
            raise Unreadable(f"a vector of {len(vector)} numbers stands among vectors of {arms.dimensions}")
        arms.learn(member, vector, reward)
        self._lessons += 1

    def forecast(self, queries: Queries, members: Sequence[str], prices: Mapping[str, float] | None = None) -> Forecast:
        """What to expect after all lessons; an artifact's own prices go before `prices`.

        Raises `ConfigError` for vectors of another length.
        """
        assert queries.vectors is not None  # noqa: S101 - it reads vectors
        arms = self._of(queries.vectors.shape[1])
        said = arms.expect(queries, members, arms.prices or prices or {})
        return replace(said, basis=(self._basis(members, said),) * len(queries))

    def _of(self, dimensions: int) -> LinUCB:
        if self._arms is None:
            from coterie.routers.linucb import LinUCB

            self._arms = LinUCB(dimensions, self._terms)
        return self._arms

    def _basis(self, members: Sequence[str], said: Forecast) -> str:
        told = f"{self._lessons} lessons heard while serving{', after its training' if self._begun else ''}"
        unknown = (
            [member for n, member in enumerate(members) if math.isnan(said.quality[0, n])] if len(said.quality) else []
        )
        return f"{told}; without a known price: {', '.join(unknown)}" if unknown else told


def _read(entry: Json) -> tuple[str, float, NDArray[np.float32]]:
    """Member, reward and vector of an entry. Raises `Unreadable`."""
    if not isinstance(entry, Mapping) or entry.get("version") != VERSION:
        raise Unreadable(f"{entry!r:.80} is no lesson of this version")
    member, reward = entry.get("member"), entry.get("reward")
    if not isinstance(member, str) or isinstance(reward, bool) or not isinstance(reward, int | float):
        raise Unreadable(f"{entry!r:.80} does not say what a member has earned")
    if not math.isfinite(reward):
        raise Unreadable(f"{reward!r} is no reward")
    return member, float(reward), unpacked(entry.get("vector"))
