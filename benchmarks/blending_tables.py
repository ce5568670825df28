"""The tables of the page about blending."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from asking import Sample
from mock_pool import Told
from saving import Costed, Saving, bound
from sides import (
    AS_PRINTED,
    LISTWISE,
    PREFILL,
    REFERENCE_BLENDER,
    SIDES,
    TOP_K,
    PeerBlending,
    Side,
    Turn,
    least_s,
)
from stage_times import (
    ANSWER_8B,
    ANSWER_TOKENS,
    FUSER,
    FUSER_TOKENS,
    RATES,
    ROWS,
    TIMES,
    all_8b,
    by_score,
    in_thesis,
    pool,
    score,
)

TARGET = 1.02
"""Highest median ratio of a turn's wall time to its floor."""
TARGET_SAVING = 0.95
"""Lowest share of its bound that a policy's speed-up reaches."""


@dataclass(frozen=True)
class Found:
    """What was measured."""

    samples: Sequence[Sample]
    savings: Sequence[Saving]
    policies: Mapping[str, Costed]
    told: Told

    @property
    def size(self) -> int:
        """The thesis' ten members, or the most that every side was asked with."""
        sizes = {sample.members for sample in self.samples if sample.side is REFERENCE_BLENDER}
        return 10 if 10 in sizes else max(sizes)

    def sample(self, side: Side, members: int | None = None) -> Sample:
        wanted = self.size if members is None else members
        return next(s for s in self.samples if s.side is side and s.members == wanted)

    def wall_s(self, side: Side) -> float:
        """The median wall time of `size` members, unscaled."""
        return statistics.median(self.sample(side).unscaled_s)

    def speed_up(self, side: Side) -> float:
        """Against LLM-Blender with the reference's ranking loop."""
        return self.wall_s(REFERENCE_BLENDER) / self.wall_s(side)


# ---- where the times come from ----------------------------------------------------------------


def member_rows() -> Iterator[str]:
    yield "| member | answers in | mean BERTScore | found at |"
    yield "|---|---:|---:|---:|"
    for row in sorted(ROWS, key=lambda row: -row.quality):
        yield f"| {row.name} | {1000 * row.answer_s:.0f} ms | {row.quality:.1f} | {score(row.name):.2f} |"


def stage_rows() -> Iterator[str]:
    yield "| stage | time | n | device | date | file |"
    yield "|---|---:|---:|---|---|---|"
    for one in TIMES:
        yield f"| {one.what} | {one.seconds:g} s | {one.n} | {one.device} | {one.date} | {one.where} |"
    for rate in RATES:
        what = f"ranker, DeBERTa-v3-large, pairs of about 205 tokens: {rate.what}"
        pairs = f"{rate.short:,.0f} pairs/s ({rate.long:,.0f} of about 608)"
        yield f"| {what} | {pairs} | {rate.n} | {rate.device} | {rate.date} | {rate.where} |"


# ---- walls and floors -------------------------------------------------------------------------


def floor_rows(samples: Iterable[Sample]) -> Iterator[str]:
    yield (
        "| members | side | n | floor | wall: p50 | min | max | above the floor: p50 | of it the mock | CPU: p50 "
        f"| wall / floor: p50 | max | <= {TARGET} |"
    )
    yield "|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|"
    for sample in samples:
        walls, ratios = sample.unscaled_s, unscaled_ratios(sample)
        cells = (
            str(sample.members),
            sample.side.name,
            str(len(walls)),
            *(
                f"{s:.3f} s"
                for s in (sample.floors_s[0] / sample.scale, statistics.median(walls), min(walls), max(walls))
            ),
            *(
                f"{1000 * statistics.median(took_s):.0f} ms"
                for took_s in (sample.above_s, sample.late_s, sample.busy_s)
            ),
            f"{statistics.median(ratios):.4f}",
            f"{max(ratios):.4f}",
            verdict(statistics.median(ratios) <= TARGET),
        )
        yield f"| {' | '.join(cells)} |"


def unscaled_ratios(sample: Sample) -> list[float]:
    """Wall over floor; what is above the floor was measured, and is taken to be the same for waits of full length."""
    return [wall * sample.scale / floor for wall, floor in zip(sample.unscaled_s, sample.floors_s, strict=True)]


def verdict(held: bool) -> str:
    return "held" if held else "missed"


def round_rows(samples: Sequence[Sample]) -> Iterator[str]:
    """From the slowest answer to the end of the last review: measured, and the floor in parentheses."""
    sizes = sorted({sample.members for sample in samples})
    yield f"| reviews | {' | '.join(f'N = {size}' for size in sizes)} |"
    yield f"|---|{'---:|' * len(sizes)}"
    for side in dict.fromkeys(sample.side for sample in samples):
        cells = [_round(next((s for s in samples if s.side is side and s.members == size), None)) for size in sizes]
        yield f"| {reviewing(side)} | {' | '.join(cells)} |"


def reviewing(side: Side) -> str:
    """How a side's members review."""
    assert isinstance(side, PeerBlending)
    k = "all others" if side.each is None else f"k = {side.each} others"
    what = "written, one for all answers" if side.ballot is LISTWISE else f"each answer on its own, by {k}"
    kind = "" if side.ballot is LISTWISE else "prefill, " if side.ballot is PREFILL else "written, "
    return f"{kind}{what}; " + ("any number at once" if side.at_once is None else f"{side.at_once} at a time")


def _round(sample: Sample | None) -> str:
    if sample is None:
        return ""
    return f"{1000 * round_s(sample):.0f} ms ({1000 * statistics.median(_least_rounds_s(sample)):.0f})"


def round_s(sample: Sample) -> float:
    """The median round of reviews, unscaled."""
    return statistics.median(map(sum, zip(_least_rounds_s(sample), sample.above_s, strict=True)))


def _least_rounds_s(sample: Sample) -> list[float]:
    return [(took - above) / sample.scale for took, above in zip(sample.rounds_s, sample.above_s, strict=True)]


# ---- what it costs ----------------------------------------------------------------------------


def cost_rows(samples: Iterable[Sample]) -> Iterator[str]:
    yield "| members | side | calls | tokens in | out | USD | card seconds | wall: p50 |"
    yield "|---:|---|---:|---:|---:|---:|---:|---:|"
    for sample in samples:
        made = sample.made[0]
        each = f"{made.total} = {made.answers} + {made.reviews} + {made.finals}"
        tokens = [[u.input_tokens or 0 for u in sample.usages], [u.output_tokens or 0 for u in sample.usages]]
        usd = [cost for cost in sample.usd if cost is not None]
        yield (
            f"| {sample.members} | {sample.side.name} | {each} | {statistics.median(tokens[0]):,.0f} "
            f"| {statistics.median(tokens[1]):,.0f} | {statistics.median(usd):.5f} "
            f"| {statistics.median(sample.cards_s):.2f} s | {statistics.median(sample.unscaled_s):.2f} s |"
        )


# ---- arithmetic alone -------------------------------------------------------------------------


def short_fuser_s(members: Sequence[str]) -> tuple[float, float]:
    """Tokens that the slowest member writes at the 8B member's speed; the fuser's time for as many."""
    tokens = max(in_thesis(members)[m]["generate"] for m in members) / ANSWER_8B.seconds * ANSWER_TOKENS
    return tokens, FUSER.seconds * tokens / FUSER_TOKENS


def arithmetic_rows(size: int) -> Iterator[str]:
    """Floors of all sides, with the thesis' members and with 8B members on the fuser's own kind of card."""
    members = pool(size)
    pools = (in_thesis(members), all_8b(members))
    yield "| side | the thesis' members | against LLM-Blender | 8B members | against LLM-Blender |"
    yield "|---|---:|---:|---:|---:|"
    slowest = [least_s(REFERENCE_BLENDER, Turn(members), told) for told in pools]
    for side in (*SIDES, AS_PRINTED):
        yield _arithmetic(side.name, [least_s(side, Turn(members), told) for told in pools], slowest)
    tokens, fuser_s = short_fuser_s(members)
    short_s = [slowest[0] - FUSER.seconds + fuser_s]
    yield _arithmetic(
        f"{REFERENCE_BLENDER.name}, {tokens:.0f} fused tokens instead of {FUSER_TOKENS}", short_s, slowest
    )


def _arithmetic(name: str, seconds: Sequence[float], slowest: Sequence[float]) -> str:
    cells = [cell for s, slow in zip(seconds, slowest, strict=False) for cell in (f"{s:.2f} s", f"{slow / s:.2f}x")]
    return f"| {name} | {' | '.join([*cells, '', ''][:4])} |"


# ---- policies ---------------------------------------------------------------------------------


def saving_rows(savings: Iterable[Saving]) -> Iterator[str]:
    yield (
        "| q | policy | n | calls a turn | above the floor: p50 | wall / floor, p50: scaled | unscaled "
        "| quicker: p50 | each interval | unscaled | bound for q | limit "
        f"| of the bound (>= {TARGET_SAVING:.0%}) | of what can be saved |"
    )
    yield "|---:|---|---:|---:|---:|---:|---:|---:|---|---:|---:|---:|---|---:|"
    for one in savings:
        yield f"| {one.turns} | `{one.name}` | {one.n} | {one.calls:.2f} | {_above(one)} | {_quicker(one)} |"


def _above(saving: Saving) -> str:
    """How far the turns lie above their floors."""
    above_s = statistics.median(above for sample in saving.held for above in sample.above_s)
    scaled = statistics.median(ratio for sample in saving.held for ratio in sample.ratios)
    unscaled = statistics.median(ratio for sample in saving.held for ratio in unscaled_ratios(sample))
    return f"{1000 * above_s:.0f} ms | {scaled:.4f} | {unscaled:.4f}"


def _quicker(saving: Saving) -> str:
    """How much quicker the turns are than under full ranking; nothing for full ranking itself."""
    if saving.held is saving.full:
        return " | ".join([""] * 7)
    quicker = saving.speed_ups
    share = "" if saving.of_the_time is None else f"{saving.of_the_time:.0%}"
    cells = (
        f"{statistics.median(quicker):.3f}x",
        ", ".join(f"{one:.3f}" for one in quicker),
        f"{saving.unscaled:.3f}x",
        f"{saving.bound:.3f}x",
        "" if saving.limit is None else f"{saving.limit:.3f}x",
        f"{saving.of_the_bound:.1%}, {verdict(saving.of_the_bound >= TARGET_SAVING)}",
        share,
    )
    return " | ".join(cells)


def bound_rows(policies: Mapping[str, Costed], sizes: Sequence[int] = (10, 30)) -> Iterator[str]:
    """The limits of what policies save, by side and number of members."""
    policies = {name: policy for name, policy in policies.items() if name != "full_ranking"}
    names = " | ".join(f"`{name}`" for name in policies)
    yield f"| members | side | {names} |"
    yield f"|---:|---|{'---:|' * len(policies)}"
    for size in sizes:
        told = in_thesis(pool(size))
        for side in SIDES:
            cells = " | ".join(f"{bound(policy, side, size, told):.2f}x" for policy in policies.values())
            yield f"| {size} | {side.name} | {cells} |"


def survivors(size: int) -> tuple[list[str], list[str]]:
    """The half that elimination leaves, and the K best."""
    best = by_score(pool(size))
    return best[: size - size // 2], best[:TOP_K]
