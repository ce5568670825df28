"""DeBERTa for a pair ranker's rows, as an engine's `Forward`: no padding, and nothing computed twice.

What stock modelling does for every batch is done here once, or not at all: projections of the relative
positions, which depend on the weights alone, are kept; query, key and value are one product; the tokens
of all rows stand in one line, so that padding is never computed; and the last layer goes on from the
three marked places only. The attention itself is exchangeable: `attend_by_row` in plain PyTorch, for any
device, or the fused kernel of `disentangled.py` for a GPU.

Disentangled attention: 2006.03654, section 3.1. A score is q_i k_j + q_i pk_t + k_j pq_t over sqrt(3 d), with t the
bucket of the distance i - j.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as fn
from torch import Tensor, nn

from coterie.judges.pair_ranker.network import PairNetwork

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from transformers import PretrainedConfig


def packs(config: PretrainedConfig) -> bool:
    """True for encoders that `PackedDeberta` computes: DeBERTa v2 and v3 without extras (all published rankers)."""
    return (
        config.model_type == "deberta-v2"
        and bool(getattr(config, "relative_attention", False))
        and not getattr(config, "position_biased_input", True)
        and not getattr(config, "conv_kernel_size", 0)
        and not config.type_vocab_size
        and getattr(config, "embedding_size", config.hidden_size) == config.hidden_size
        and getattr(config, "hidden_act", None) == "gelu"
        and set(getattr(config, "pos_att_type", None) or ()) == {"c2p", "p2c"}
    )


@dataclass(frozen=True)
class Positions:
    """Relative positions as one layer projects them, by bucket: keys and queries, [heads, buckets, width of a head]."""

    keys: Tensor
    queries: Tensor


@dataclass(frozen=True)
class Lines:
    """Where the rows of a batch lie among its tokens."""

    lengths: tuple[int, ...]
    starts: Tensor
    """[rows + 1], int32, on the device."""
    longest: int


@dataclass(frozen=True)
class Distances:
    """Which bucket a distance falls into, for all distances in a batch."""

    buckets: Tensor
    """Of the distances i - j from -(longest - 1) to longest - 1, int32, on the device."""
    low: int
    high: int
    """Buckets from `low` up to `high`, this one excluded, are all that occur, and perhaps some more."""


Attend = Callable[[Tensor, Positions, Lines, Distances], Tensor]
"""Of queries, keys and values, [tokens, 3, heads, width of a head], projected positions, lines and distances: the
context of each token, [tokens, heads * width of a head]."""


@dataclass(frozen=True)
class _Layer:
    projection: tuple[Tensor, Tensor]
    positions: Positions
    output: Any
    intermediate: Any
    last: Any


class PackedDeberta:
    """A pair network's scores of rows without padding. Its weights are those of the network it is made of."""

    def __init__(self, network: PairNetwork, device: str, attend: Attend | None = None) -> None:
        deberta = network.pretrained_model
        self._config = deberta.config
        self._device = torch.device(device)
        self._embeddings = deberta.embeddings
        self._head = network.head_layer
        self._attend = attend or fastest(self._device)
        span = self._config.position_buckets
        self._span = span if span > 0 else self._furthest
        self._distances: dict[int, Distances] = {}
        with torch.inference_mode():
            positions = deberta.encoder.get_rel_embedding()[: 2 * self._span]
            self._layers = [self._layer(layer, positions) for layer in deberta.encoder.layer]

    def __call__(
        self, ids: NDArray[np.int64], lengths: NDArray[np.int64], marks: NDArray[np.int64]
    ) -> Callable[[], list[list[float]]]:
        """Starts the forward of rows [rows, width]; what is returned waits for the scores, [rows, 2]."""
        import numpy as np

        starts = np.concatenate(([0], np.cumsum(lengths)))
        in_line = ids[np.arange(ids.shape[1]) < lengths[:, None]]
        made = (in_line, starts.astype(np.int32), marks + starts[:-1, None])
        with torch.inference_mode():
            tokens, begins, marked = (torch.from_numpy(array).to(self._device, non_blocking=True) for array in made)
            lines = Lines(tuple(lengths.tolist()), begins, int(lengths.max()))
            scores = self._scores(tokens, lines, marked).double().mean(-1)
        return scores.tolist

    # ---- the network --------------------------------------------------------------------------

    def _scores(self, tokens: Tensor, lines: Lines, marked: Tensor) -> Tensor:
        """Scores by task, [rows, 2, tasks]."""
        states = self._embeddings.LayerNorm(self._embeddings.word_embeddings(tokens))
        distances = self._distances_of(lines.longest)
        for layer in self._layers[:-1]:
            states = _fed(layer, self._context(layer, states, lines, distances), states)
        last = self._layers[-1]
        at_marks = marked.flatten()
        context = self._context(last, states, lines, distances)[at_marks]
        states = _fed(last, context, states[at_marks]).view(*marked.shape, -1)
        read = torch.cat((states[:, :1].expand(-1, 2, -1), states[:, 1:]), dim=-1)
        scores: Tensor = self._head(read.to(next(self._head.parameters()).dtype))
        return scores

    def _context(self, layer: _Layer, states: Tensor, lines: Lines, distances: Distances) -> Tensor:
        heads = self._config.num_attention_heads
        joined = fn.linear(states, *layer.projection).view(len(states), 3, heads, -1)
        return self._attend(joined, layer.positions, lines, distances)

    def _layer(self, layer: Any, positions: Tensor) -> _Layer:
        attention = layer.attention.self
        linears = (attention.query_proj, attention.key_proj, attention.value_proj)
        weight, bias = (torch.cat([getattr(linear, name) for linear in linears]) for name in ("weight", "bias"))
        shared = attention.share_att_key
        keys = (attention.key_proj if shared else attention.pos_key_proj)(positions)
        queries = (attention.query_proj if shared else attention.pos_query_proj)(positions)
        projected = Positions(self._by_head(keys), self._by_head(queries))
        return _Layer((weight, bias), projected, layer.attention.output, layer.intermediate, layer.output)

    def _by_head(self, projected: Tensor) -> Tensor:
        return projected.view(len(projected), self._config.num_attention_heads, -1).transpose(0, 1).contiguous()

    # ---- distances ----------------------------------------------------------------------------

    @property
    def _furthest(self) -> int:
        """How far apart two tokens may be for their distance to be told from a greater one."""
        said = int(getattr(self._config, "max_relative_positions", -1))
        return said if said > 0 else int(self._config.max_position_embeddings)

    def _distances_of(self, length: int) -> Distances:
        if length not in self._distances:
            buckets = self._bucketed(length)
            low = int(buckets[0]) // 8 * 8  # products of matrices want widths of 8
            high = min(2 * self._span, -(-(int(buckets[-1]) + 1) // 8) * 8)
            self._distances[length] = Distances(buckets.to(self._device), low, high)
        return self._distances[length]

    def _bucketed(self, length: int) -> Tensor:
        from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

        distances = torch.arange(1 - length, length)
        if self._config.position_buckets > 0:
            bucketed: Any = make_log_bucket_position
            distances = bucketed(distances, self._config.position_buckets, self._furthest)
        return (distances.long() + self._span).clamp(0, 2 * self._span - 1).int()


def _fed(layer: _Layer, context: Tensor, before: Tensor) -> Tensor:
    """What the layer makes of its attention's context: projected, added, normalised, and through the feed-forward."""
    output, last = layer.output, layer.last
    attended = _normed(output.LayerNorm, output.dense(context).add_(before))
    return _normed(last.LayerNorm, last.dense(layer.intermediate(attended)).add_(attended))


def _normed(norm: nn.Module, states: Tensor) -> Tensor:
    normed: Tensor = norm(states)
    return normed


def fastest(device: torch.device) -> Attend:
    """The quickest attention that runs there."""
    if device.type == "cuda":
        try:
            from coterie.judges.pair_ranker.disentangled import attend
        except ImportError:  # no Triton in this build of PyTorch
            return attend_by_row
        return attend
    return attend_by_row


def attend_by_row(joined: Tensor, positions: Positions, lines: Lines, distances: Distances) -> Tensor:
    """Attention row after row, each as long as it is.

    With positions laid out by distance instead of by bucket, a row's bias is a diagonal view of one product: place
    (i, j) of the row's L x L lies at distance j - i, which one step down moves back by one. Of long rows, which
    have more distances than there are buckets, the biases are picked by bucket.
    """
    scale = 1 / math.sqrt(3 * joined.shape[-1])
    scaled = Positions(positions.keys * scale, positions.queries * scale)
    by_distance = _by_distance(scaled, distances)
    pieces = []
    start = 0
    for length in lines.lengths:
        row = joined[start : start + length].permute(1, 2, 0, 3)
        if 2 * length - 1 <= scaled.keys.shape[1]:
            context = _attended(row, *_along_diagonals(row, by_distance), scale)
        else:  # head by head, so that no table outgrows the caches
            places = _places(distances, length)
            heads = enumerate(torch.split(row, 1, dim=1))
            each = [_attended(one, *_picked(one, scaled, n, places), scale) for n, one in heads]
            context = torch.cat(each)
        pieces.append(context.transpose(0, 1))
        start += length
    return torch.cat(pieces).flatten(1)


def _attended(row: Tensor, of_query: Tensor, of_key: Tensor, scale: float) -> Tensor:
    """Context of a row, [heads, L, width], of its queries, keys and values and what positions add, [heads, L, L]."""
    query, key, value = row.unbind()
    scores = torch.baddbmm(of_query, query, key.transpose(1, 2), alpha=scale).add_(of_key)
    return scores.softmax(-1) @ value


def _by_distance(positions: Positions, distances: Distances) -> Positions:
    """Positions laid out by distance: keys by j - i, queries by i - j."""
    return Positions(positions.keys[:, distances.buckets.flip(0)], positions.queries[:, distances.buckets])


def _along_diagonals(row: Tensor, by_distance: Positions) -> tuple[Tensor, Tensor]:
    query, key, _ = row.unbind()
    length, middle = query.shape[1], by_distance.keys.shape[1] // 2
    reach = slice(middle - length + 1, middle + length)
    of_query = _diagonal(query @ by_distance.keys[:, reach].transpose(1, 2))
    of_key = _diagonal(key @ by_distance.queries[:, reach].transpose(1, 2))
    return of_query, of_key.transpose(1, 2)


def _picked(row: Tensor, positions: Positions, head: int, places: Tensor) -> tuple[Tensor, Tensor]:
    query, key, _ = row.unbind()
    of_query = (query @ positions.keys[head].T).gather(-1, places[None])
    of_key = (key @ positions.queries[head].T).gather(-1, places.T[None])
    return of_query, of_key.transpose(1, 2)


def _places(distances: Distances, length: int) -> Tensor:
    """The bucket of i - j for every place (i, j) of a row, [L, L]."""
    middle = len(distances.buckets) // 2
    backwards = distances.buckets[middle - length + 1 : middle + length].flip(0).long()
    windows: Tensor = backwards.unfold(0, length, 1)
    return windows.flip(0)


def _diagonal(by_distance: Tensor) -> Tensor:
    """Of [heads, L, 2 L - 1], whose columns are distances from 1 - L to L - 1: place (i, j) is row i's at j - i."""
    heads, length, distances = by_distance.shape
    return by_distance.as_strided(
        (heads, length, length), (length * distances, distances - 1, 1), by_distance.storage_offset() + length - 1
    )
