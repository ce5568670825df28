"""How a training went: its losses and measurements, as a file and as a picture."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from coterie.training.watching import Watch


@dataclass(frozen=True)
class History:
    """By update."""

    losses: tuple[tuple[int, float], ...]
    """(update, mean loss since the one before)."""
    learning_rates: tuple[tuple[int, float], ...]
    measurements: Mapping[str, tuple[tuple[int, float], ...]]
    """By name."""

    def leave(self, folder: Path, watch: Watch) -> None:
        """Afterwards `folder` holds `history.json` and, where matplotlib is installed, `history.png`."""
        self.save(folder)
        if not self.draw(folder):
            watch.say("matplotlib is not installed, so history.json was not drawn")

    def save(self, folder: Path) -> None:
        """Afterwards `folder` holds `history.json`."""
        (folder / "history.json").write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    def draw(self, folder: Path) -> bool:
        """Afterwards `folder` holds `history.png`; false where matplotlib is not installed, and nothing was drawn."""
        try:
            from matplotlib.figure import Figure
        except ImportError:
            return False
        curves = {"loss": self.losses, **self.measurements}
        figure = Figure(figsize=(7, 1.6 * len(curves)), layout="constrained")
        rows = figure.subplots(len(curves), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (name, points) in zip(rows, curves.items(), strict=True):
            axes.plot([step for step, _ in points], [value for _, value in points], marker="o", markersize=2)
            axes.set_ylabel(name.replace("_", "\n"), fontsize="small")
            axes.grid(alpha=0.3)
        rows[-1].set_xlabel("updates")
        figure.savefig(folder / "history.png", dpi=120)
        return True


def of_log(log: Iterable[Mapping[str, float]]) -> History:
    """The history in a Trainer's log."""
    entries = list(log)
    names = sorted({name for entry in entries for name in entry if name.startswith("eval_")})
    return History(
        _points(entries, "loss"),
        _points(entries, "learning_rate"),
        {name.removeprefix("eval_"): _points(entries, name) for name in names},
    )


def _points(entries: Sequence[Mapping[str, float]], name: str) -> tuple[tuple[int, float], ...]:
    return tuple((int(entry["step"]), float(entry[name])) for entry in entries if name in entry)
