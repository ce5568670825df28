"""Which prompts a router was trained on, kept beside it, so that nobody measures it on them by mistake.

Kept are salted digests and no text: whoever has a prompt can ask for it, and nobody can read prompts out of them.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from coterie.errors import ConfigError
from coterie.examples.split import text_key
from coterie.routers import npz

if TYPE_CHECKING:
    from coterie.outcomes.outcome import Outcomes

FILE = "learned_prompts.npz"

NAMED_ROWS = 5
"""How many rows an error names."""


@dataclass(frozen=True)
class Seen:
    """Prompts that a router has learned from."""

    salt: str
    digests: frozenset[int]

    def has(self, prompt: str) -> bool:
        """True where it has learned from this prompt, or from one that differs in case and white space alone."""
        return _digest(prompt, self.salt) in self.digests


def keep(folder: Path, prompts: Iterable[str]) -> None:
    """Afterwards the artifact in `folder` says that it has learned from `prompts`. Forecasts do not depend on it."""
    import numpy as np

    salt = secrets.token_hex(8)
    digests = sorted({_digest(prompt, salt) for prompt in prompts})
    npz.save(folder / FILE, {"salt": np.array(salt), "digests": np.array(digests, dtype=np.uint64)})


def seen(folder: Path) -> Seen | None:
    """What the artifact in `folder` has learned from; ``None`` where it does not say. Raises `ConfigError`."""
    file = folder / FILE
    if not file.is_file():
        return None
    arrays = npz.load(file)
    try:
        return Seen(str(arrays["salt"]), frozenset(int(digest) for digest in arrays["digests"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{str(file)!r} does not say what was learned from: {error!r}") from error


def refuse(name: str, known: Seen, measured: Outcomes) -> None:
    """Raises `ConfigError` naming the rows, where a router has learned from prompts that it is to be measured on."""
    rows = [row for row, prompt in enumerate(measured.prompts) if known.has(prompt)]
    if not rows:
        return
    named = ", ".join(measured.places[row] if measured.places else f"row {row + 1}" for row in rows[:NAMED_ROWS])
    more = f", and {len(rows) - NAMED_ROWS} more" if len(rows) > NAMED_ROWS else ""
    raise ConfigError(
        f"the router {name!r} was trained on {len(rows)} of the {len(measured)} prompts: {named}{more}. Measure it on "
        "others: on another file, or on the share that its training held out (--held-out)"
    )


def _digest(prompt: str, salt: str) -> int:
    text = f"{salt}\0{text_key(prompt)}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
