"""Which end of a long text a ranker reads: a word of its own, so that naming it loads no ranker."""

from __future__ import annotations

from typing import Literal

Keep = Literal["start", "end"]
"""Which end of a text that is too long is kept. The published rankers were trained with its start."""
