"""In which order members are asked, by what is known of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from coterie.errors import ConfigError
from coterie.prospects import Choice, Prospect, Prospects


def best_first(prospects: Prospects, score: Mapping[str, float]) -> tuple[str, ...]:
    """All members: those with a score, highest first, then the others. The pool's order breaks ties."""
    names = [prospect.member for prospect in prospects.members]
    return tuple(sorted(names, key=lambda name: (name not in score, -score.get(name, 0.0))))


def qualities(prospects: Prospects) -> dict[str, float]:
    """Expected quality of the members that the router knows."""
    return {prospect.member: prospect.quality for prospect in prospects.members if prospect.quality is not None}


def costs(prospects: Iterable[Prospect]) -> dict[str, float]:
    """Expected USD of the members for which that is known."""
    return {prospect.member: prospect.cost_usd for prospect in prospects if prospect.cost_usd is not None}


def in_the_dark(prospects: Prospects) -> Choice | None:
    """The pool's order where nothing is known of any member, as when a router is away: that costs no answer."""
    if prospects.known:
        return None
    names = tuple(prospect.member for prospect in prospects.members)
    return Choice(names, "nothing is known of any member, so the pool's order decides")


def priced(prospects: Prospects) -> tuple[Prospect, ...]:
    """The members of whom both quality and cost are known. Raises `ConfigError` where there is none."""
    found = tuple(prospect for prospect in prospects.known if prospect.cost_usd is not None)
    if not found:
        names = [prospect.member for prospect in prospects.members]
        raise ConfigError(
            f"this decision weighs cost against quality, and of none of {names!r} both are known: give the members "
            "a price, use a router that expects output tokens, or take a decision that needs no cost"
        )
    return found


def without(left_out: Iterable[str]) -> str:
    """What a reason says of members that could not be weighed."""
    names = ", ".join(left_out)
    return f"; not weighed, for quality or cost is unknown: {names}" if names else ""
