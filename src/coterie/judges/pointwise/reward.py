"""Reward models in plain Hugging Face layout as pointwise rankers: a sequence classifier with one logit.

An encoder reads source and candidate as a text pair (OpenAssistant's reward-model-deberta-v3-large-v2). A decoder
reads both in a template, and its score is taken at the last token. Models with a head of their own code,
as Starling-RM's and UltraRM's, are no sequence classifiers and are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from coterie.errors import ConfigError
from coterie.judges.engine import Row
from coterie.judges.pointwise.encoding import Answer
from coterie.judges.pretrained import Words


@dataclass(frozen=True)
class Lengths:
    """Tokens of the longest source and candidate; in a text pair a candidate beside a shorter source may have more."""

    source: int
    candidate: int

    def within(self, room: int | None) -> Lengths:
        """These, or less where there is not `room` for both: at most half of it goes to the candidate."""
        if room is None or self.source + self.candidate <= room:
            return self
        candidate = min(self.candidate, room // 2)
        return Lengths(min(self.source, room - candidate), candidate)


class RewardNetwork(nn.Module):
    """A sequence classifier in the manner of a ranker's network."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.reads_on = hasattr(model, "score")
        """True for a decoder: what transformers puts on one is called `score`, and reads the last token."""
        self._typed = (getattr(model.config, "type_vocab_size", 0) or 0) > 1
        if model.config.num_labels != 1:
            raise ConfigError(f"{model.name_or_path!r} has {model.config.num_labels} logits; a reward model has one")

    def forward(self, ids: Tensor, attended: Tensor, marks: Tensor) -> Tensor:
        """Rewards, [rows, 1], of marks [rows, 1]: a decoder's last token, or where an encoder's second type begins."""
        if self.reads_on:
            rows = torch.arange(len(ids), device=ids.device)
            states = self.model.base_model(input_ids=ids, attention_mask=attended).last_hidden_state
            rewards: Tensor = self.model.score(states[rows, marks[:, 0]])
            return rewards
        types = {}
        if self._typed:
            types["token_type_ids"] = (torch.arange(ids.shape[1], device=ids.device) >= marks).long()
        logits: Tensor = self.model(input_ids=ids, attention_mask=attended, **types).logits
        return logits


class TextPair:
    """Source and candidate as the two texts of the tokenizer's own pair."""

    def __init__(self, words: Words, lengths: Lengths) -> None:
        self._words = words
        self._lengths = lengths
        self._frame = words.frame(2)

    def row(self, answer: Answer) -> Row:
        source, cut = self._words.ids(answer.source, self._lengths.source)
        room = self._lengths.candidate + self._lengths.source - len(source)
        candidate, cut_candidate = self._words.ids(answer.text, room)
        first = self._frame.before + source + self._frame.between
        ids = first + candidate + self._frame.after
        return Row(ids, (len(first) if self._frame.typed else len(ids),), cut or cut_candidate)


class Template:
    """Source and candidate in a text such as `Human: {source}\\n\\nAssistant: {candidate}`."""

    def __init__(self, words: Words, lengths: Lengths, template: str) -> None:
        before, source, rest = template.partition("{source}")
        between, candidate, after = rest.partition("{candidate}")
        if not source or not candidate:
            raise ConfigError(f"the template {template!r} needs {{source}}, and {{candidate}} behind it")
        self._words = words
        self._lengths = lengths
        self._parts = (before, between, after)
        self._framed = not (words.first and template.startswith(words.first))

    def row(self, answer: Answer) -> Row:
        before, between, after = self._parts
        source, cut = self._words.text(answer.source, self._lengths.source)
        candidate, cut_candidate = self._words.text(answer.text, self._lengths.candidate)
        ids = self._words.whole(before + source + between + candidate + after, framed=self._framed)
        return Row(ids, (len(ids) - 1,), cut or cut_candidate)


def encoder(network: RewardNetwork, words: Words, lengths: Lengths, template: str) -> TextPair | Template:
    """How texts reach the model. Raises `ConfigError` for a decoder without a template, or an encoder with one."""
    if network.reads_on == bool(template):
        return Template(words, lengths, template) if template else TextPair(words, lengths)
    why = "reads a text pair: leave out template" if template else "is a decoder: say its template"
    raise ConfigError(f"{network.model.name_or_path!r} {why}")
