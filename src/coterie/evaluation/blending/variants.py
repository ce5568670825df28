"""Variants in order and by name: what tables call them, and which of them stand in the main ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace

from coterie.evaluation.blending.rows import KINDS, Kind, Variant
from coterie.types import Json

KIND_NAMES: Mapping[Kind, str] = {
    "single": "single",
    "baseline": "baseline",
    "oracle": "oracle",
    "selection": "selection",
    "blend": "blend",
}


def in_order(variants: Iterable[Variant]) -> tuple[Variant, ...]:
    """Each once, kinds together; within a kind as they come, those of one method together, larger pools first."""
    each = list(dict.fromkeys(variants))
    methods = list(dict.fromkeys(variant.method for variant in each))
    return tuple(sorted(each, key=lambda v: (KINDS.index(v.kind), methods.index(v.method), -v.n)))


def is_whole(variant: Variant, variants: Iterable[Variant]) -> bool:
    """True where no other variant differs in a larger pool alone: such are the main tables made of."""
    return not any(other.n > variant.n and replace(other, n=variant.n) == variant for other in variants)


def names_of(variants: Sequence[Variant]) -> dict[Variant, str]:
    """A name for each that no other has: the method's, and whatever tells it from others of that name.

    N is told of smaller pools only, unless methods of one name have different ones.
    """
    names: dict[Variant, str] = {}
    for variant in variants:
        name = plain = _name(variant, [v for v in variants if v.method == variant.method])
        number = 2
        while name in names.values():
            name, number = f"{plain} [{number}]", number + 1
        names[variant] = name
    return names


def _name(variant: Variant, namesakes: Sequence[Variant]) -> str:
    sizes = {variant.n} | {other.n for other in namesakes if is_whole(other, namesakes)}
    said = [f"N={variant.n}"] if len(sizes) > 1 else []
    said += [
        told
        for field, told in (
            ("top_k", "no K" if variant.top_k is None else f"K={variant.top_k}"),
            ("judge", words(variant.judge) or "no judge"),
            ("rule", words(variant.rule) or "no rule"),
            ("policy", words(variant.policy) or "no policy"),
            ("temperature", "no temperature" if variant.temperature is None else f"T={variant.temperature:g}"),
        )
        if any(getattr(other, field) != getattr(variant, field) for other in namesakes)
    ]
    if any(other != variant and replace(other, kind=variant.kind) == variant for other in namesakes):
        said.append(KIND_NAMES[variant.kind])
    return f"{variant.method} ({', '.join(said)})" if said else variant.method


def words(name: str) -> str:
    """A part's name as it is read."""
    return name.replace("_", " ")


def matching(fields: Mapping[str, Json], variants: Iterable[Variant]) -> Variant | None:
    """The first variant whose fields are these; ``None`` where there is none, or nothing is asked for."""
    if not fields:
        return None
    return next((v for v in variants if fields.items() <= asdict(v).items()), None)
