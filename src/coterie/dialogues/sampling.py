"""Choosing dialogues: whole ones, of every domain, the same every time."""

from __future__ import annotations

import hashlib
from collections import defaultdict, deque
from collections.abc import Iterable
from fractions import Fraction

from coterie.dialogues.dialogue import Dialogue
from coterie.dialogues.layout import fingerprint
from coterie.errors import ConfigError


def sample(dialogues: Iterable[Dialogue], turns: int, seed: int = 0) -> tuple[Dialogue, ...]:
    """Whole dialogues until they have `turns` turns together, in the order they were drawn; all, where all have fewer.

    The last one may go beyond. None is cut short: policies count a conversation's turns, and an early end would
    change what they do. Each dialogue is drawn from the data set and domain of whose turns the smallest share was
    drawn so far, so each gives its share, and each gives one before any gives a second.

    What is drawn depends on the dialogues' content and `seed` alone, not on their order, and a smaller sample is the
    beginning of a larger one. Raises `ConfigError` unless `turns` is at least 1.
    """
    if turns < 1:
        raise ConfigError(f"a sample has at least 1 turn, not {turns!r}")
    strata = _strata(dialogues, seed)
    of_all = {name: sum(len(dialogue.questions) for dialogue in waiting) for name, waiting in strata.items()}
    drawn = dict.fromkeys(strata, 0)
    chosen: list[Dialogue] = []
    while any(strata.values()) and sum(drawn.values()) < turns:
        name = min((name for name in strata if strata[name]), key=lambda name: Fraction(drawn[name], of_all[name]))
        chosen.append(strata[name].popleft())
        drawn[name] += len(chosen[-1].questions)
    return tuple(chosen)


Stratum = tuple[str, str]
"""A data set and a domain."""


def _strata(dialogues: Iterable[Dialogue], seed: int) -> dict[Stratum, deque[Dialogue]]:
    """The dialogues by data set and domain; both the strata and what is in each in an order drawn by lot."""
    found: defaultdict[Stratum, list[Dialogue]] = defaultdict(list)
    for dialogue in dialogues:
        found[dialogue.dataset, dialogue.domain].append(dialogue)
    return {
        name: deque(sorted(found[name], key=lambda dialogue: _lot(fingerprint([dialogue]), seed)))
        for name in sorted(found, key=lambda name: _lot("\0".join(name), seed))
    }


def _lot(what: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\0{what}".encode("utf-8", "surrogatepass")).digest()
