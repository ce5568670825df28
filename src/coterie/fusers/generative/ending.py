"""Where a fused text ends: before the first string that stops it. Nothing of that string is shown, streamed or kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

UNFINISHED = "\N{REPLACEMENT CHARACTER}"
"""How the first bytes of a character are read."""


def before(text: str, stops: Sequence[str]) -> str:
    """The text up to the first of `stops` in it; an empty one stops nothing."""
    found = [place for stop in stops if stop and (place := text.find(stop)) >= 0]
    return text[: min(found)] if found else text


def settled(text: str, stops: Sequence[str]) -> str:
    """As much of a text that is being written as stays whatever follows: neither bytes nor a stop may be under way.

    Space at its end waits too, because some tokenizers take it back before a sign.
    """
    ended = before(text, stops)
    if ended != text:
        return ended
    whole = text.rstrip(UNFINISHED)
    begun = max((_begun(whole, stop) for stop in stops), default=0)
    return whole[: len(whole) - begun].rstrip()


def _begun(text: str, stop: str) -> int:
    """How many characters at the end of `text` are the beginning of `stop`, but not all of it."""
    return next((n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0)


class Showing:
    """A streamer of transformers: `emit` gets what is settled of one text as it is written, and the rest at its end."""

    def __init__(self, read: Callable[[Sequence[int]], str], stops: Sequence[str], emit: Callable[[str], None]) -> None:
        self._read = read
        self._stops = stops
        self._emit = emit
        self._ids: list[int] = []
        self._prompted = False
        self._shown = 0

    def put(self, ids: Any) -> None:
        """The prompt's ids, which come first, or those that were written since."""
        if not self._prompted:
            self._prompted = True
            return
        self._ids += ids.flatten().tolist()
        self._show(settled(self._read(self._ids), self._stops))

    def end(self) -> None:
        self._show(before(self._read(self._ids), self._stops))

    def _show(self, text: str) -> None:
        if len(text) > self._shown:
            self._emit(text[self._shown :])
            self._shown = len(text)


def until_set(stop: threading.Event) -> Callable[..., Any]:
    """A criterion of transformers: every row is done once `stop` is set."""
    import torch

    def done(ids: Any, scores: Any, **_: Any) -> Any:
        del scores
        return torch.full((len(ids),), stop.is_set(), dtype=torch.bool, device=ids.device)

    return done


def until_said(read: Callable[[Sequence[int]], str], stops: Sequence[str], prompt: int) -> Callable[..., Any]:
    """A criterion of transformers: a row is done once one of `stops` stands behind its first `prompt` ids."""
    import torch

    def done(ids: Any, scores: Any, **_: Any) -> Any:
        del scores
        texts = map(read, ids[:, prompt:].tolist())
        return torch.tensor([before(text, stops) != text for text in texts], dtype=torch.bool, device=ids.device)

    return done
