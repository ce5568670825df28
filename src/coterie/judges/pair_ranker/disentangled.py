"""Disentangled attention as one kernel for a GPU: scores, positions, softmax and the weighted sum in one pass.

Of the whole L x L table of a row nothing is ever written to memory. What is, are the products of queries and
keys with the projected positions, one column a bucket, out of which the kernel picks while it goes along
a row. Distances beyond the longest row have no column.
"""

# mypy: disable-error-code="no-untyped-def, unused-ignore"

from __future__ import annotations

import math
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from coterie.judges.pair_ranker.packed import Distances, Lines, Positions, attend_by_row

BLOCK_QUERIES = 64
BLOCK_KEYS = 64
WARPS = 4
STAGES = 2


def attend(joined: Tensor, positions: Positions, lines: Lines, distances: Distances) -> Tensor:
    """The context of each token, as `packed.Attend` says; heads whose width is no power of 2 go row by row."""
    tokens, _, heads, width = joined.shape
    if width < 16 or width & (width - 1):
        return attend_by_row(joined, positions, lines, distances)
    reach = slice(distances.low, distances.high)
    query, key = (joined[:, n].transpose(0, 1) for n in (0, 1))
    of_query = torch.bmm(query, positions.keys[:, reach].transpose(1, 2))
    of_key = torch.bmm(key, positions.queries[:, reach].transpose(1, 2))
    context = torch.empty((tokens, heads * width), dtype=joined.dtype, device=joined.device)
    grid = (triton.cdiv(lines.longest, BLOCK_QUERIES), heads, len(lines.lengths))
    kernel: Any = _attend
    kernel[grid](
        joined, of_query, of_key, distances.buckets, lines.starts, context,
        heads, tokens, distances.high - distances.low, distances.low, len(distances.buckets) // 2,
        1 / math.sqrt(3 * width) / math.log(2),
        WIDTH=width, QUERIES=BLOCK_QUERIES, KEYS=BLOCK_KEYS,
        PRECISION="ieee" if joined.dtype is torch.float32 else "tf32",
        num_warps=WARPS, num_stages=STAGES,
    )  # fmt: skip
    return context


@triton.jit  # type: ignore[untyped-decorator, misc]
def _attend(
    joined, of_query, of_key, buckets, starts, context,
    heads, tokens, columns, low, middle, scale,
    WIDTH: tl.constexpr, QUERIES: tl.constexpr, KEYS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """One block of queries of one head of one row. `scale` is for powers of 2 instead of e."""
    first = tl.program_id(0) * QUERIES
    head = tl.program_id(1)
    start = tl.load(starts + tl.program_id(2)).to(tl.int64)
    length = (tl.load(starts + tl.program_id(2) + 1) - start).to(tl.int32)
    if first >= length:
        return
    i = first + tl.arange(0, QUERIES)
    d = tl.arange(0, WIDTH)
    is_query = i < length
    stride = 3 * heads * WIDTH
    of_head = joined + head * WIDTH
    query = tl.load(of_head + (start + i)[:, None] * stride + d[None, :], mask=is_query[:, None], other=0.0)
    query_biases = of_query + (head * tokens + start + i)[:, None] * columns - low

    best = tl.full((QUERIES,), -float("inf"), tl.float32)
    total = tl.zeros((QUERIES,), tl.float32)
    mixed = tl.zeros((QUERIES, WIDTH), tl.float32)
    for begin in range(0, length, KEYS):
        j = begin + tl.arange(0, KEYS)
        is_key = j < length
        at_key = (start + j) * stride
        key = tl.load(of_head + heads * WIDTH + at_key[None, :] + d[:, None], mask=is_key[None, :], other=0.0)
        scores = tl.dot(query, key, input_precision=PRECISION)
        is_pair = is_query[:, None] & is_key[None, :]
        bucket = tl.load(buckets + (i[:, None] - j[None, :] + middle), mask=is_pair, other=low)
        scores += tl.load(query_biases + bucket, mask=is_pair, other=0.0).to(tl.float32)
        key_biases = of_key + (head * tokens + start + j)[None, :] * columns - low
        scores += tl.load(key_biases + bucket, mask=is_pair, other=0.0).to(tl.float32)
        scores = tl.where(is_key[None, :], scores * scale, -float("inf"))
        higher = tl.maximum(best, tl.max(scores, 1))
        weights = tl.exp2(scores - higher[:, None])
        shrink = tl.exp2(best - higher)
        total = total * shrink + tl.sum(weights, 1)
        value = tl.load(of_head + 2 * heads * WIDTH + at_key[:, None] + d[None, :], mask=is_key[:, None], other=0.0)
        mixed = mixed * shrink[:, None]
        mixed += tl.dot(weights.to(value.dtype), value, input_precision=PRECISION)
        best = higher
    out = context + (start + i)[:, None] * (heads * WIDTH) + head * WIDTH + d[None, :]
    tl.store(out, (mixed / total[:, None]).to(context.dtype.element_ty), mask=is_query[:, None])
