"""What fusing is worth: the fused text beside the best candidate, against the reference, prompt by prompt.

Fusing costs a generation, so it has to beat what was there for nothing. Where a fuser fails, the best candidate
stands in for its text, as it would in an answer, and the failure is counted.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from coterie.committee import Committee
from coterie.evaluation.asking import AT_ONCE, PATIENCE, request_of
from coterie.evaluation.fusing_choice import Ranks
from coterie.evaluation.metrics import OpenMetric
from coterie.examples import Example
from coterie.fusers.generative import Generative
from coterie.methods.steps import everyone
from coterie.protocols import Fuser, Judge, MemberSpec, Run
from coterie.types import Candidate, Failure, Request, Result, Standing

VOTE = "vote of"
LENGTH = "characters"

LEVEL = 0.5
"""What a vote is worth that cannot decide."""


@dataclass(frozen=True)
class Shown:
    """A prompt as a fuser is shown it."""

    example: Example
    best: tuple[str, ...]
    """Texts of the candidates it is shown, best first; two at least."""

    @property
    def request(self) -> Request:
        return request_of(self.example)


@dataclass(frozen=True)
class Fused:
    """What a fuser made of a prompt."""

    text: str
    """The best candidate's where it failed."""
    error: str = ""


@dataclass(frozen=True)
class Measure:
    """One measurement of both texts, prompt by prompt; ``None`` where there is none."""

    name: str
    best: tuple[float | None, ...]
    fused: tuple[float | None, ...]
    judges: bool = True
    """True where more is better, so that it says whether fusing gains."""


def shown(examples: Sequence[Example], ranks: Sequence[Ranks], top_k: int, left_out: Counter[str]) -> list[Shown]:
    """The prompts on which fusing can be measured, each once; `left_out` counts the other examples by the reason."""
    seen: set[str] = set()
    found: list[Shown] = []
    for example, of in zip(examples, ranks, strict=True):
        places = [place for place, text in enumerate(example.candidates) if text.text.strip()]
        best = sorted(places, key=lambda place: of[place])[: top_k or len(places)]
        prompt = " ".join(example.source.casefold().split())
        why = _unfit(example, best) or ("examples of a prompt that was there before" if prompt in seen else "")
        if why:
            left_out[why] += 1
            continue
        seen.add(prompt)
        found.append(Shown(example, tuple(example.candidates[place].text for place in best)))
    return found


def _unfit(example: Example, best: Sequence[int]) -> str:
    if not example.output.strip():
        return "examples without a reference"
    if not example.source.strip():
        return "examples without a question"
    return "examples with fewer than two candidates" if len(best) < 2 else ""


# ---- fusing -----------------------------------------------------------------------------------


async def fuse_all(
    fuser: Fuser,
    prompts: Sequence[Shown],
    members: Sequence[MemberSpec] = (),
    *,
    batch: int = 16,
    on_done: Callable[[], None] = lambda: None,
) -> list[Fused]:
    """What `fuser` makes of each prompt. Weights of its own write `batch` prompts at a time."""
    if isinstance(fuser, Generative) and not fuser.member:
        return await asyncio.to_thread(_by_weights, fuser, prompts, batch, on_done)
    methods = {str(n): _FuseGiven(fuser, prompt.best) for n, prompt in enumerate(prompts)}
    async with Committee(members, methods) as committee:
        room = asyncio.Semaphore(_at_once(fuser, members))

        async def one(n: int, prompt: Shown) -> Fused:
            async with room:
                answer = await committee.aask(prompt.request, str(n), limits=PATIENCE, seed=n)
            on_done()
            failed = answer.failures[0].error if answer.how != "fused" and answer.failures else ""
            return Fused(answer.text, failed)

        return await asyncio.gather(*(one(n, prompt) for n, prompt in enumerate(prompts)))


def _at_once(fuser: Fuser, members: Sequence[MemberSpec]) -> int:
    """As many prompts as the members it asks take side by side: a wait for a slot counts against a member's timeout."""
    asked = getattr(fuser, "asks", ())
    most = (member.card.max_concurrency for member in members if member.name in asked)
    return min((n for n in most if n), default=AT_ONCE)


def _by_weights(fuser: Generative, prompts: Sequence[Shown], batch: int, on_done: Callable[[], None]) -> list[Fused]:
    engine = fuser.weights.load()
    order = sorted(range(len(prompts)), key=lambda n: -sum(map(len, prompts[n].best)))
    texts: dict[int, str] = {}
    for begin in range(0, len(order), batch):
        places = order[begin : begin + batch]
        made = fuser.write(engine, [(prompts[n].request, prompts[n].best) for n in places])
        texts.update(zip(places, made, strict=True))
        for _ in places:
            on_done()
    return [
        Fused(texts[n]) if texts[n].strip() else Fused(prompt.best[0], "an empty text")
        for n, prompt in enumerate(prompts)
    ]


@dataclass(frozen=True)
class _FuseGiven:
    """The method that fuses texts which are there already; where the fuser fails, the first of them."""

    fuser: Fuser
    given: tuple[str, ...] = field(repr=False)

    @property
    def asks(self) -> tuple[str, ...]:
        return everyone((), self.fuser)

    async def __call__(self, request: Request, run: Run) -> Result:
        candidates = [Candidate(f"given{n}", "", text) for n, text in enumerate(self.given)]
        fused = await run.fuse(self.fuser, request, [Standing(candidate) for candidate in candidates])
        return Result(candidates[0], "ranked") if isinstance(fused, Failure) else Result(fused, "fused")


# ---- measuring --------------------------------------------------------------------------------


def by_metric(metric: OpenMetric, prompts: Sequence[Shown], fused: Sequence[Fused]) -> Measure:
    """Both texts' scores against the reference."""
    references = [prompt.example.output for prompt in prompts]
    sources = [prompt.example.source for prompt in prompts]
    of_best = metric.score([prompt.best[0] for prompt in prompts], references, sources)
    return Measure(metric.name, tuple(of_best), tuple(metric.score([made.text for made in fused], references, sources)))


def lengths(prompts: Sequence[Shown], fused: Sequence[Fused]) -> Measure:
    """Both texts' lengths: the longer text often wins a judge's favour for nothing else."""
    best = tuple(float(len(prompt.best[0])) for prompt in prompts)
    return Measure(LENGTH, best, tuple(float(len(made.text)) for made in fused), judges=False)


async def by_vote(
    committee: Committee,
    judge: tuple[str, Judge],
    prompts: Sequence[Shown],
    fused: Sequence[Fused],
    *,
    rule: str = "max_logits",
    on_done: Callable[[], None] = lambda: None,
) -> Measure:
    """Which of the two a judge (with its name) puts first: 1 in both orders, 0 in neither, else a half.

    Equal texts are a tie and are not asked about; a judge that says nothing has no vote.
    """
    room = asyncio.Semaphore(AT_ONCE)

    async def one(n: int) -> float | None:
        prompt, text = prompts[n], fused[n].text
        if text == prompt.best[0]:
            on_done()
            return LEVEL
        async with room:
            votes = [
                await _vote(committee, judge[1], rule, prompt.request, pair, 2 * n + turned)
                for turned, pair in enumerate(((prompt.best[0], text), (text, prompt.best[0])))
            ]
        on_done()
        forward, backward = votes
        return None if forward is None or backward is None else (forward + 1 - backward) / 2

    won = await asyncio.gather(*map(one, range(len(prompts))))
    return Measure(f"{VOTE} {judge[0]}", tuple(None if vote is None else 1 - vote for vote in won), tuple(won))


async def _vote(
    committee: Committee, judge: Judge, rule: str, request: Request, pair: tuple[str, str], seed: int
) -> float | None:
    """1 where the second of two is put first, 0 where the first is."""
    ranked = await committee.arank(request, pair, judge=judge, rule=rule, limits=PATIENCE, seed=seed)
    if not any(judgement.about for judgement in ranked.judgements):
        return None
    first, second = ranked.ranks
    return LEVEL if first == second else float(second < first)
