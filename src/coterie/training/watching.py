"""Who looks on while something is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Watch(Protocol):
    """What training tells whoever looks on, and the one thing it asks."""

    def say(self, line: str) -> None:
        """Something worth a line happened."""
        ...

    def began(self, done: int, steps: int) -> None:
        """Updates begin: so many are done already, so many there will be."""
        ...

    def stepped(self, step: int) -> None:
        """An update is done."""
        ...

    def learned(self, step: int, loss: float) -> None:
        """The mean loss since this was last told, now and then."""
        ...

    def measured(self, step: int, measurements: Mapping[str, float]) -> None:
        """Held-out prompts were measured."""
        ...

    def stopping(self) -> bool:
        """True when training should leave a checkpoint and stop; asked after every update."""
        ...


class Unwatched:
    """Nobody looks on."""

    def say(self, line: str) -> None:
        pass

    def began(self, done: int, steps: int) -> None:
        pass

    def stepped(self, step: int) -> None:
        pass

    def learned(self, step: int, loss: float) -> None:
        pass

    def measured(self, step: int, measurements: Mapping[str, float]) -> None:
        pass

    def stopping(self) -> bool:
        return False
