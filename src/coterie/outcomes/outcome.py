"""What members achieved on prompts, as tables: one row a prompt, one column a member."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from coterie.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Scores and costs of members on prompts. What is unknown is NaN, and never 0."""

    members: tuple[str, ...]
    prompts: tuple[str, ...]
    scores: NDArray[np.float64]
    """(prompts, members); NaN where the member was not asked, or nobody said how good its answer was."""
    costs_usd: NDArray[np.float64]
    """(prompts, members), USD for the answer; NaN where it is unknown."""
    output_tokens: NDArray[np.float64]
    """(prompts, members); NaN where it is unknown."""
    groups: tuple[str, ...] = ()
    """Where each prompt is from (a benchmark); empty strings where nobody said."""
    places: tuple[str, ...] = ()
    """``file:line`` of each prompt, for errors."""
    samples: tuple[tuple[tuple[float, ...], ...], ...] = ()
    """Scores of several answers to one prompt, (prompts, members, answers): empty where there was one answer each."""
    splits: tuple[str, ...] = ()
    """The side that each prompt's file itself puts it on (its ``source_split``); empty strings where nobody said."""

    def __post_init__(self) -> None:
        shape = (len(self.prompts), len(self.members))
        for name in ("scores", "costs_usd", "output_tokens"):
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has the shape {getattr(self, name).shape!r}, and not {shape!r}")
        for name in ("groups", "places", "samples", "splits"):
            if getattr(self, name) and len(getattr(self, name)) != len(self.prompts):
                raise ValueError(f"{name} has {len(getattr(self, name))} rows for {len(self.prompts)} prompts")

    def __len__(self) -> int:
        return len(self.prompts)

    def rows(self, chosen: Sequence[int] | NDArray[np.int64]) -> Outcomes:
        """The prompts at those places, in that order."""
        import numpy as np

        at = np.asarray(chosen, dtype=np.int64)
        return replace(
            self,
            prompts=tuple(self.prompts[n] for n in at),
            scores=self.scores[at],
            costs_usd=self.costs_usd[at],
            output_tokens=self.output_tokens[at],
            groups=tuple(self.groups[n] for n in at) if self.groups else (),
            places=tuple(self.places[n] for n in at) if self.places else (),
            samples=tuple(self.samples[n] for n in at) if self.samples else (),
            splits=tuple(self.splits[n] for n in at) if self.splits else (),
        )

    def of(self, members: Sequence[str]) -> Outcomes:
        """The columns of those members, in that order. Raises `ConfigError` for one that is not there."""
        if absent := [member for member in members if member not in self.members]:
            raise ConfigError(f"{absent!r} are not among the members of these outcomes: {list(self.members)!r}")
        at = [self.members.index(member) for member in members]
        return replace(
            self,
            members=tuple(members),
            scores=self.scores[:, at],
            costs_usd=self.costs_usd[:, at],
            output_tokens=self.output_tokens[:, at],
            samples=tuple(tuple(row[n] for n in at) for row in self.samples),
        )


@dataclass(frozen=True, eq=False)
class Battles:
    """Pairwise outcomes: of two members' answers to one prompt, which was better."""

    members: tuple[str, ...]
    prompts: tuple[str, ...]
    first: NDArray[np.int64]
    """(battles,), places in `members`."""
    second: NDArray[np.int64]
    result: NDArray[np.float64]
    """(battles,): 1 where the first was better, 0 where the second was, 1/2 for a tie."""
    places: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.prompts)

    def rows(self, chosen: Sequence[int] | NDArray[np.int64]) -> Battles:
        """The battles at those places, in that order."""
        import numpy as np

        at = np.asarray(chosen, dtype=np.int64)
        return replace(
            self,
            prompts=tuple(self.prompts[n] for n in at),
            first=self.first[at],
            second=self.second[at],
            result=self.result[at],
            places=tuple(self.places[n] for n in at) if self.places else (),
        )

    def of(self, members: Sequence[str]) -> Battles:
        """The battles between those members, known by their places in `members`.

        Raises `ConfigError` for one that is not there.
        """
        import numpy as np

        if absent := [member for member in members if member not in self.members]:
            raise ConfigError(f"{absent!r} are not among the members of these battles: {list(self.members)!r}")
        place = np.full(len(self.members), -1, dtype=np.int64)
        place[[self.members.index(member) for member in members]] = np.arange(len(members))
        kept = self.rows(np.flatnonzero((place[self.first] >= 0) & (place[self.second] >= 0)))
        return replace(kept, members=tuple(members), first=place[kept.first], second=place[kept.second])


@dataclass(frozen=True, eq=False)
class Lessons:
    """What a router is trained on: outcomes, battles, or both."""

    outcomes: Outcomes | None = None
    battles: Battles | None = None

    @property
    def members(self) -> tuple[str, ...]:
        """All members that something is known of: those of the outcomes first."""
        named = (*(self.outcomes.members if self.outcomes else ()), *(self.battles.members if self.battles else ()))
        return tuple(dict.fromkeys(named))

    def of(self, members: Sequence[str]) -> Lessons:
        """What they say of those members; battles with others are left out.

        Raises `ConfigError` for a member that they say nothing of.
        """
        if absent := [member for member in members if member not in self.members]:
            raise ConfigError(f"nothing is known of {absent!r}: the members are {list(self.members)!r}")
        outcomes, battles = self.outcomes, self.battles
        if outcomes is not None:
            outcomes = outcomes.of([member for member in members if member in outcomes.members])
        if battles is not None:
            battles = battles.of([member for member in members if member in battles.members])
        return Lessons(outcomes, battles if battles is not None and len(battles) else None)
