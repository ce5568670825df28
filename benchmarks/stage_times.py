"""How long the stages of blending take: the thesis' own times of its members, and what was measured on one GPU."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

DATASETS = ("ConvQuestions", "Atlas-Converse", "CoQA", "QuAC", "DoQA")


@dataclass(frozen=True)
class Row:
    """A member in the thesis' tables 6.2 and 6.3, data set by data set."""

    name: str
    scores: tuple[float, ...]
    """BERTScore F1, 0 to 100."""
    times_ms: tuple[int, ...]
    """A question."""

    @property
    def answer_s(self) -> float:
        return statistics.mean(self.times_ms) / 1000

    @property
    def quality(self) -> float:
        return statistics.mean(self.scores)


ROWS = (
    Row("mistral", (78.5, 81.0, 83.0, 73.0, 68.0), (401, 428, 454, 480, 506)),
    Row("llama-3.1", (81.2, 83.5, 85.5, 75.0, 71.0), (601, 658, 703, 748, 793)),
    Row("gemma-2b", (73.0, 76.0, 78.0, 68.0, 63.0), (224, 231, 249, 267, 285)),
    Row("phi3", (75.5, 78.0, 80.0, 70.0, 65.0), (285, 302, 318, 334, 350)),
    Row("qwen-4b", (76.0, 79.0, 81.0, 71.0, 66.0), (304, 327, 341, 355, 369)),
    Row("tinydolphin", (68.0, 71.0, 73.0, 63.0, 58.0), (307, 322, 343, 364, 385)),
    Row("deepseek-llm", (77.0, 80.0, 82.0, 72.0, 67.0), (427, 441, 474, 507, 540)),
    Row("stablelm2", (71.0, 74.0, 75.0, 65.0, 61.0), (421, 445, 478, 511, 544)),
    Row("openchat", (79.0, 81.5, 83.5, 73.5, 68.5), (423, 447, 471, 495, 519)),
    Row("mistrallite", (73.5, 76.5, 78.5, 68.5, 63.5), (256, 273, 292, 311, 330)),
)

LLM_BLENDER_MS = (38720, 41055, 41732, 41891, 41948)
"""Table 6.3, K = 3."""
PEER_FULL_MS = (3254, 3641, 3281, 3549, 3795)
PEER_REDUCED_MS = (2595, 2623, 2531, 2734, 2918)

POLICIES_CLAIMED = (1.35, 1.74)
"""Section 6.2: against full ranking, the lowest and the highest of three policies."""


def claimed(times_ms: Sequence[int]) -> tuple[float, float]:
    """The least and the greatest speed-up against LLM-Blender, data set by data set, by the table's own times."""
    ratios = [slow / quick for slow, quick in zip(LLM_BLENDER_MS, times_ms, strict=True)]
    return min(ratios), max(ratios)


# ---- measured ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    """A time with where it comes from."""

    what: str
    seconds: float
    n: int
    """Runs of which it is the median."""
    device: str
    date: str
    where: str
    """The file in which it stands."""


H200 = "one NVIDIA H200, torch 2.11, random weights in the published shape"
WHERE = "benchmarks/stage_times_gpu.py, docs/benchmarks/stage_times.md"


def _on_h200(what: str, seconds: float) -> Measured:
    return Measured(what, seconds, 5, H200, "2026-11-22", WHERE)


FUSER = _on_h200("fuser, T5-XL, 1024 tokens in, 128 out, 4 beams", 5.03)
FUSER_GREEDY = _on_h200("the same, greedy", 4.29)
ANSWER_8B = _on_h200("an 8B member answers: 300 tokens in, 128 out", 4.27)
REVIEW_8B = _on_h200("an 8B member writes a review: 600 in, 100 out", 3.03)
PREFILL_8B = _on_h200("an 8B member reviews in one prefill of 600 tokens", 0.023)
PREFILL_8B_NINE = _on_h200("nine such prefills in one batch", 0.145)

FUSER_TOKENS, ANSWER_TOKENS = 128, 128
"""Written in `FUSER` and in `ANSWER_8B`."""


@dataclass(frozen=True)
class RankerRate:
    """Ordered pairs a second, of DeBERTa-v3-large."""

    what: str
    short: float
    """Of pairs of about 205 tokens."""
    long: float
    """Of about 608."""
    n: int
    device: str
    date: str
    where: str

    def rank_s(self, members: int) -> float:
        """Seconds for all ordered pairs of so many short candidates."""
        return members * (members - 1) / self.short


REFERENCE = RankerRate(
    "the reference's loop on one question: a forward for each ordered pair, fp16",
    90 / 3.15,
    90 / 2.23,
    5,
    H200,
    "2026-11-22",
    WHERE,
)
STOCK = RankerRate(
    "one question on stock modelling, flattened and sorted by length, fp16",
    90 / 0.151,
    90 / 0.527,
    5,
    H200,
    "2026-11-22",
    WHERE,
)
OURS = RankerRate(
    "one question on our own forward, through the engine, fp16", 90 / 0.037, 90 / 0.133, 5, H200, "2026-11-22", WHERE
)

TIMES = (FUSER, FUSER_GREEDY, ANSWER_8B, REVIEW_8B, PREFILL_8B, PREFILL_8B_NINE)
RATES = (REFERENCE, STOCK, OURS)


# ---- pools ------------------------------------------------------------------------------------


def pool(members: int) -> list[str]:
    """The first so many rows of the tables; above ten the same ten again, under other names."""
    copies = [(ROWS[n % len(ROWS)].name, n // len(ROWS) + 1) for n in range(members)]
    return [name if copy == 1 else f"{name}:{copy}" for name, copy in copies]


def row(member: str) -> Row:
    """The row behind a member of a pool."""
    return next(row for row in ROWS if row.name == member.partition(":")[0])


@cache
def score(member: str) -> float:
    """What reviewers give a member's answers: its mean BERTScore, laid from 1 to 5 over those of the ten rows."""
    found = [row.quality for row in ROWS]
    return round(1 + 4 * (row(member).quality - min(found)) / (max(found) - min(found)), 3)


def by_score(members: Sequence[str]) -> list[str]:
    """Best first; equal ones as they stand."""
    return sorted(members, key=lambda member: -score(member))


def in_thesis(members: Sequence[str]) -> dict[str, dict[str, float]]:
    """Members answer at the mean of their row; a written review, and the final answer, takes as long as an answer."""
    return {m: _told(row(m).answer_s, row(m).answer_s, score(m)) for m in members}


def all_8b(members: Sequence[str]) -> dict[str, dict[str, float]]:
    """Every member takes what an 8B model takes on one H200, as the fuser and the ranker do."""
    return {m: _told(ANSWER_8B.seconds, REVIEW_8B.seconds, score(m)) for m in members}


def _told(answer_s: float, review_s: float, found: float) -> dict[str, float]:
    return {
        "generate": answer_s,
        "review": review_s,
        "prefill": PREFILL_8B.seconds,
        "fuse": answer_s,
        "score": found,
    }
