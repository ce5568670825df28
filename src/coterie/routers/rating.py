"""A causal language model that foretells a rating from 1 to 5 by one of five tokens of its own, loaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coterie.errors import ConfigError
from coterie.routers.classifier import BUDGET_TOKENS, device, load_model, load_tokenizer, padded, save_model
from coterie.routers.reading import Ids, batches

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

RATINGS = ("[[1]]", "[[2]]", "[[3]]", "[[4]]", "[[5]]")
"""Tokens that are added to the model's vocabulary."""

MOST_WRITTEN = 6
"""Tokens that the model may write until a rating comes."""


class RatingModel:
    """A language model with the five tokens, on the GPU where there is one: bfloat16 there, float32 elsewhere."""

    def __init__(self, model: Any, tokenizer: Any, max_tokens: int) -> None:
        import torch

        self.labels = labels_of(tokenizer)
        place = device()
        dtype = torch.bfloat16 if place.type == "cuda" else torch.float32
        self.model = model.to(place, dtype).eval()
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens

    @classmethod
    def load(cls, name: str, max_tokens: int) -> RatingModel:
        """The model in a folder or under a hub name. Raises `ConfigError`, `MissingExtra`."""
        model, report = load_model(name, "CausalLM")
        if report["missing_keys"]:
            raise ConfigError(f"{name!r} is no language model: its weights lack {sorted(report['missing_keys'])[:5]!r}")
        return cls(model, load_tokenizer(name), max_tokens)

    def rows(self, prompts: Sequence[str]) -> list[Ids]:
        """The ids of whole prompts."""
        return rows_of(self.tokenizer, prompts, self.max_tokens)

    def ratings(self, rows: Sequence[Ids]) -> NDArray[np.float64]:
        """How likely each rating is, (rows, 5): softmax over their logits where the first of them is written.

        NaN where greedy decoding writes none within `MOST_WRITTEN` tokens, or ends before.
        """
        import numpy as np

        said = np.full((len(rows), len(RATINGS)), np.nan)
        budget = BUDGET_TOKENS.get(self.model.device.type, BUDGET_TOKENS["cpu"])
        for batch in batches([len(row) for row in rows], budget):
            said[batch] = self._batch([rows[n] for n in batch])
        return said

    def save(self, folder: Path) -> None:
        """Afterwards `folder` holds the configuration, the weights as safetensors, and the tokenizer's files."""
        save_model(self.model, self.tokenizer, folder)

    def _batch(self, rows: Sequence[Ids]) -> NDArray[np.float64]:
        import torch

        pad = pad_of(self.tokenizer)
        read = {name: tensor.to(self.model.device) for name, tensor in padded(rows, pad, left=True).items()}
        said = torch.full((len(rows), len(RATINGS)), torch.nan, dtype=torch.float64, device=self.model.device)
        waiting = torch.ones(len(rows), dtype=torch.bool, device=self.model.device)
        ids, attended, cache = read["input_ids"], read["attention_mask"], None
        with torch.inference_mode():
            for _ in range(MOST_WRITTEN):
                logits, cache = next_logits(self.model, ids, attended, cache)
                chosen = logits.argmax(-1)
                labels = torch.tensor(self.labels, device=chosen.device)
                rated = waiting & torch.isin(chosen, labels)
                said[rated] = logits[rated][:, labels].double().softmax(-1)
                waiting &= ~rated & ~self._ends(chosen)
                if not waiting.any():
                    break
                ids = chosen[:, None]
                attended = torch.cat((attended, torch.ones_like(ids)), dim=1)
        found: NDArray[np.float64] = said.cpu().numpy()
        return found

    def _ends(self, chosen: torch.Tensor) -> torch.Tensor:
        import torch

        ends = self.model.generation_config.eos_token_id if self.model.generation_config else None
        ends = self.tokenizer.eos_token_id if ends is None else ends
        ends = [] if ends is None else [ends] if isinstance(ends, int) else list(ends)
        return torch.isin(chosen, torch.tensor(ends, device=chosen.device, dtype=chosen.dtype))


def rows_of(tokenizer: Any, prompts: Sequence[str], max_tokens: int) -> list[Ids]:
    """The ids of whole prompts, cut before where they are too long: the question's end and "Prediction:" stay.

    What the tokenizer begins every text with stands first; nothing stands behind, so that the model goes on.
    """
    begun = tokenizer.encode("")[:1]
    first = begun if begun and begun[0] == tokenizer.bos_token_id else []
    found = []
    for prompt in prompts:
        ids = tokenizer.encode(prompt, add_special_tokens=False)
        own = first if ids[:1] != first else []
        found.append((*own, *ids[max(0, len(ids) - max_tokens + len(own)) :]))
    return found


def next_logits(model: Any, ids: torch.Tensor, attended: torch.Tensor, cache: Any) -> tuple[torch.Tensor, Any]:
    """Logits (rows, vocabulary) of the token behind each row, padded before; and the cache to go on with."""
    places = (attended.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
    out = model(
        input_ids=ids,
        attention_mask=attended,
        position_ids=places,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    return out.logits[:, -1].float(), out.past_key_values


def labels_of(tokenizer: Any) -> list[int]:
    """The ids of the five ratings. Raises `ConfigError` where they are not tokens of their own."""
    vocabulary = tokenizer.get_vocab()
    if absent := [rating for rating in RATINGS if rating not in vocabulary]:
        raise ConfigError(f"the tokenizer has no token for {absent!r}, so no rating can be read off its model")
    return [vocabulary[rating] for rating in RATINGS]


def pad_of(tokenizer: Any) -> int:
    """Something to pad with; it is not attended to."""
    for known in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if known is not None:
            return int(known)
    return 0
