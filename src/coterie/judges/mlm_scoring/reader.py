"""A masked language model, open: the pseudo-log-likelihood of texts, every word hidden once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from coterie.errors import ConfigError
from coterie.judges.engine import Engine, Row
from coterie.judges.placement import Placement
from coterie.judges.pretrained import Words, most_tokens

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Hidden:
    """A text's ids, the place of one that is hidden, and whether the text is said here to have been cut."""

    ids: tuple[int, ...]
    place: int
    cut: bool


class MaskedReader:
    """Texts of at most `text_tokens`, or as many as the model has places for. `close` stops its engine.

    Raises `ConfigError` where the model has no piece that masks.
    """

    def __init__(self, model: Any, words: Words, text_tokens: int, place: Placement, budget_tokens: int | None) -> None:
        if words.mask is None:
            raise ConfigError(f"the tokenizer of {model.name_or_path!r} has no piece that masks a word")
        self._words = words
        self._mask = words.mask
        self._frame = words.frame(1)
        most = most_tokens(model, place)
        self._most = text_tokens if most is None else min(text_tokens, most - len(self._frame))
        forward = MaskedForward(model, place.device)
        budget = budget_tokens or place.budget_tokens
        self.engine = Engine(self._row, forward, budget_tokens=budget, pad_to=place.pad_to)
        self.close = self.engine.close

    async def log_probabilities(self, texts: Sequence[str]) -> list[list[float]]:
        """Of each text, the log-probability (nats) of each of its tokens, all others known; none of an empty text."""
        hidden = await asyncio.to_thread(lambda: [self._hidden(text) for text in texts])
        found = await self.engine.ascore([one for of_text in hidden for one in of_text])
        ends = [0]
        for of_text in hidden:
            ends.append(ends[-1] + len(of_text))
        return [[said for (said,) in found[begin:end]] for begin, end in pairwise(ends)]

    def _hidden(self, text: str) -> list[Hidden]:
        ids, cut = self._words.ids(text, self._most)
        whole = self._frame.before + ids + self._frame.after
        first = len(self._frame.before)
        return [Hidden(whole, first + n, cut and n == 0) for n in range(len(ids))]

    def _row(self, hidden: Hidden) -> Row:
        ids, place = hidden.ids, hidden.place
        return Row((*ids[:place], self._mask, *ids[place + 1 :]), (place, ids[place]), hidden.cut)


class MaskedForward:
    """A masked language model as an engine's `Forward`: a row's marks are the hidden place and what stood there."""

    def __init__(self, model: Any, device: str) -> None:
        self._model = model
        self._device = device
        self._places = torch.zeros(0, dtype=torch.long)
        model.base_model.register_forward_hook(self._only_hidden)

    def __call__(
        self, ids: NDArray[np.int64], lengths: NDArray[np.int64], marks: NDArray[np.int64]
    ) -> Callable[[], list[list[float]]]:
        attended = torch.arange(ids.shape[1]) < torch.from_numpy(lengths)[:, None]
        with torch.inference_mode():
            self._places, true = torch.from_numpy(marks).to(self._device, non_blocking=True).T
            read = torch.from_numpy(ids).to(self._device, non_blocking=True)
            logits: Tensor = self._model(input_ids=read, attention_mask=attended.long().to(self._device)).logits
            found = logits[:, 0].float().log_softmax(-1).gather(1, true[:, None]).double()
        return found.tolist

    def _only_hidden(self, _encoder: Any, _read: Any, output: Any) -> Any:
        """The encoder's states at the hidden places: a vocabulary's logits at all the others would be thrown away."""
        rows = torch.arange(len(self._places), device=self._device)
        output.last_hidden_state = output.last_hidden_state[rows, self._places][:, None]
        return output
