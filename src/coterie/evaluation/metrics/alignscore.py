"""AlignScore (2305.16739): how far a claim is consistent with a context, by a network trained for that alone.

The authors' package, ``alignscore``, wants PyTorch Lightning, spaCy, NLTK and a transformers of its time; the network
is RoBERTa with three linear heads, so the inference is our own. Sentences are split by our own rules.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from coterie.evaluation.metrics.chunks import chunks
from coterie.evaluation.metrics.loading import Weights, in_batches
from coterie.evaluation.metrics.metric import OpenMetric, Pair, opened
from coterie.evaluation.metrics.sentences import sentences

log = logging.getLogger("coterie")

Mode = Literal["nli_sp", "nli", "bin_sp", "bin", "reg_sp", "reg"]

KEPT_CONTEXTS = 1_000
"""Contexts whose chunks are remembered."""


@dataclass(frozen=True)
class AlignScore(Weights):
    """The hypothesis' consistency with the reference: the claim is the hypothesis, the context the reference.

    The context is cut into chunks, the claim into sentences. Each sentence counts as much as the chunk that supports
    it most, and the score is the mean over the sentences: 0 to 1 by the heads `nli` and `bin`, unbounded by `reg`. An
    empty claim says nothing that could be supported, and has the score 0 rather than what the network makes of it.

    A chunk is read with one sentence. Where the two are too long, the chunk is cut at its end; where the sentence
    alone is, both are, as the authors' tokenizer does.

    The published weights were trained on English.
    """

    model: str = "yzha/AlignScore"
    """A folder or a hub name. A folder holds one of the published checkpoints, or `model.safetensors` of the same
    layout; where it holds `config.json` and a tokenizer too, nothing is fetched."""
    name: str = "alignscore"
    file: str | None = None
    """The file of weights. Left out, the first there is of `model.safetensors`, `AlignScore-large.ckpt` and
    `AlignScore-base.ckpt`, or the folder's only ``.ckpt``; from the hub, `AlignScore-large.ckpt`."""
    encoder: str | None = None
    """A folder or a hub name with the encoder's configuration and tokenizer; its weights are never fetched. Left out,
    the folder of the model, or else `roberta-base` or `roberta-large`, by the width of the weights."""
    mode: Mode = "nli_sp"
    """The head (`nli`: the probability of "aligned" out of three classes; `bin`: of two; `reg`: a number), and with
    `_sp` chunks and sentences, without it both texts whole. The names and the default are the authors'."""
    chunk_words: int = 350

    def __post_init__(self) -> None:
        if self.chunk_words < 1:
            raise ValueError(f"chunk_words is at least 1, not {self.chunk_words!r}")

    def open(self) -> AbstractContextManager[OpenMetric]:
        return opened(self.name, lambda: _AlignScore(self))


@dataclass(frozen=True)
class Row:
    """A chunk and a sentence, as ids."""

    chunk: tuple[int, ...]
    sentence: tuple[int, ...]


class _AlignScore:
    def __init__(self, spec: AlignScore) -> None:
        place = spec.place()
        from coterie.evaluation.metrics.aligner import Aligner, load

        self.cut = 0
        self._spec = spec
        self._budget_tokens = place.budget_tokens
        self._aligner: Aligner = load(spec, place.device)
        self._chunks = lru_cache(KEPT_CONTEXTS)(self._parts_of_context)

    def __call__(self, pairs: Sequence[Pair]) -> list[float]:
        plans = [(self._chunks(pair.reference), self._parts_of_claim(pair.hypothesis)) for pair in pairs]
        read = self._read(list(dict.fromkeys((c, s) for of, said in plans for c in of for s in said)))
        return [
            math.fsum(max(read[chunk, sentence] for chunk in of) for sentence in said) / len(said) if said else 0.0
            for of, said in plans
        ]

    def _read(self, texts: Sequence[tuple[str, str]]) -> dict[tuple[str, str], float]:
        """What the head says of each chunk and sentence."""
        rows = [self._row(*pair) for pair in texts]
        return dict(zip(texts, in_batches(rows, self._aligner.width, self._budget_tokens, self._aligner), strict=True))

    def _row(self, chunk: str, sentence: str) -> Row:
        """The ids of both, as many as there is room for."""
        room = self._aligner.room
        of_chunk, chunk_cut = self._aligner.words.ids(chunk, room)
        of_sentence, sentence_cut = self._aligner.words.ids(sentence, room)
        left = room - len(of_sentence)
        kept = min(len(of_chunk), left or room // 2)
        if chunk_cut or sentence_cut or kept < len(of_chunk) or kept + len(of_sentence) > room:
            self._note_cut()
        return Row(of_chunk[:kept], of_sentence[: room - kept])

    def _note_cut(self) -> None:
        if not self.cut:
            log.warning("%s reads %d tokens at once, and some texts have more", self._spec.name, self._aligner.longest)
        self.cut += 1

    def _parts_of_context(self, context: str) -> tuple[str, ...]:
        return tuple(chunks(context, self._spec.chunk_words)) if self._spec.mode.endswith("_sp") else (context,)

    def _parts_of_claim(self, claim: str) -> tuple[str, ...]:
        if self._spec.mode.endswith("_sp"):
            return tuple(sentences(claim))
        return (claim,) if claim.strip() else ()
