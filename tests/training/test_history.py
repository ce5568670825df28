"""How a training went, in a file and in a picture."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from coterie.training.history import of_log
from coterie.training.watching import Unwatched

LOG = [
    {"step": 1, "loss": 0.7, "learning_rate": 1e-3},
    {"step": 2, "loss": 0.5, "learning_rate": 5e-4},
    {"step": 2, "eval_pairwise_accuracy": 0.8, "eval_chosen_quality": 0.6},
    {"step": 2, "train_runtime": 3.0},
]


class Telling(Unwatched):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def test_what_was_logged_stands_in_the_file(tmp_path: Path) -> None:
    of_log(LOG).save(tmp_path)
    assert json.loads((tmp_path / "history.json").read_text(encoding="utf-8")) == {
        "losses": [[1, 0.7], [2, 0.5]],
        "learning_rates": [[1, 1e-3], [2, 5e-4]],
        "measurements": {"chosen_quality": [[2, 0.6]], "pairwise_accuracy": [[2, 0.8]]},
    }


@pytest.mark.parametrize("log", [LOG, LOG[:1], []])
def test_it_is_drawn_where_matplotlib_is(tmp_path: Path, log: list[dict[str, float]]) -> None:
    pytest.importorskip("matplotlib", reason="charts need the extra train")
    watch = Telling()
    of_log(log).leave(tmp_path, watch)
    assert (tmp_path / "history.png").read_bytes().startswith(b"\x89PNG")
    assert not watch.lines


def test_where_it_is_not_the_file_alone_is_left_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    watch = Telling()
    of_log(LOG).leave(tmp_path, watch)
    assert [place.name for place in tmp_path.iterdir()] == ["history.json"]
    assert watch.lines == ["matplotlib is not installed, so history.json was not drawn"]
