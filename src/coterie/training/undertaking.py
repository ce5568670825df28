"""A training's folder while it lasts: what is being trained there, so that nothing else is resumed, and how far."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from coterie.errors import ConfigError
from coterie.types import Json

CHECKPOINTS = "checkpoints"
"""The folder inside the artifact's in which training keeps what it needs to go on; gone when it is done."""

UNDERTAKEN = "training.json"
"""In there: what is being trained."""


@dataclass(frozen=True)
class Undertaking:
    """A training that begins, or goes on, in a folder."""

    out: Path
    resume: bool = False

    @property
    def folder(self) -> Path:
        """Where the artifact will lie, whatever the working folder becomes."""
        return self.out.expanduser().absolute()

    @property
    def checkpoints(self) -> Path:
        return self.folder / CHECKPOINTS

    def check(self) -> None:
        """Raises `ConfigError` for a folder that is taken, or holds nothing to resume."""
        undertaken = (self.checkpoints / UNDERTAKEN).is_file()
        if self.resume and not undertaken:
            raise ConfigError(f"{str(self.out)!r} holds no training to resume")
        if self.resume or not self.folder.exists():
            return
        if not self.folder.is_dir() or any(self.folder.iterdir()):
            hint = "; --resume goes on with the training in there" if undertaken else ""
            raise ConfigError(f"{str(self.out)!r} is there already, and not empty{hint}")

    def begin(self, settings: Mapping[str, Json], fingerprint: str) -> None:
        """Writes down what is being trained, on data with this fingerprint; where it is resumed, checks that instead.

        Raises `ConfigError` where what was begun has other settings or other data.
        """
        file = self.checkpoints / UNDERTAKEN
        now = json.loads(json.dumps({"settings": dict(settings), "data": fingerprint}))
        if not self.resume:
            self.checkpoints.mkdir(parents=True)
            file.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")
            return
        before = json.loads(file.read_text(encoding="utf-8"))
        changed = [name for name, value in now["settings"].items() if before["settings"].get(name) != value]
        if changed:
            raise ConfigError(f"the training in {str(self.out)!r} began with other values of {', '.join(changed)}")
        if before["data"] != now["data"]:
            raise ConfigError(f"the training in {str(self.out)!r} began with other data")

    def last(self) -> str | None:
        """The furthest checkpoint that was written to its end; ``None`` where there is none, or nothing is resumed."""
        whole = [place.parent for place in self.checkpoints.glob("checkpoint-*/trainer_state.json")]
        if not (self.resume and whole):
            return None
        return max(map(str, whole), key=update_of)

    def abandon(self) -> None:
        """Afterwards nothing is left of a training that could not begin; one that is resumed is left as it was."""
        if not self.resume:
            shutil.rmtree(self.folder, ignore_errors=True)

    def end(self) -> None:
        """Afterwards nothing is left of the checkpoints."""
        shutil.rmtree(self.checkpoints)


def update_of(checkpoint: str) -> int:
    """The update after which a checkpoint was written, by its name."""
    return int(checkpoint.rpartition("-")[2])
