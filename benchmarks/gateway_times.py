"""What a gateway adds to one request at a time: whole answers, large bodies, streams, and its own start."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from figures import progress, spread
from gateway_load import Client, Reply, one_by_one
from gateway_page import Part, Target
from gateway_plan import Plan
from gateway_sides import DIRECT, LITELLM, OURS, Command, Side

WARM = 20
"""Requests of a side that come before everything else."""

Quantiles = tuple[float, float, float]
"""p50, p90 and p99, in ms."""

Rounds = dict[str, list[Quantiles]]
"""Of each side, round by round."""

QUESTION = "What is the capital of France, and how large is it? " * 20
"""About a kilobyte."""


def quantiles(values_ms: Sequence[float]) -> Quantiles:
    cut = statistics.quantiles(values_ms, n=100, method="inclusive")
    return cut[49], cut[89], cut[98]


@dataclass
class Turns:
    """Rounds in which every side is asked equally often, one request at a time."""

    sides: Sequence[Side]
    clients: dict[str, Client] = field(default_factory=dict)

    async def rounds(
        self, name: str, rounds: int, times: int, request: Callable[[Side], bytes]
    ) -> dict[str, list[list[Reply]]]:
        """Replies of each side, round by round; a first round is not counted. Raises `RuntimeError` for failures."""
        found: dict[str, list[list[Reply]]] = {side.name: [] for side in self.sides}
        for n in range(rounds + 1):
            progress(f"{name}, {n}/{rounds}")
            turn = [*self.sides[n % len(self.sides) :], *self.sides[: n % len(self.sides)]]
            for side in turn:
                replies = await self._asked(side, request(side), times)
                if n:
                    found[side.name].append(replies)
        return found

    async def _asked(self, side: Side, request: bytes, times: int) -> list[Reply]:
        client = self.clients.setdefault(side.name, Client())
        await client.ask(side.port, request)  # not counted: it opens a connection that was closed meanwhile
        replies = await one_by_one(side.port, request, times, client)
        if wrong := [reply for reply in replies if reply.status != 200]:
            raise RuntimeError(f"{side.name} answered {len(wrong)} of {times} otherwise: {bytes(wrong[0].data)!r:.500}")
        return replies


async def warm(sides: Sequence[Side]) -> None:
    """Afterwards every side has loaded what it loads with its first requests."""
    turns = Turns(sides)
    await turns.rounds("warming up", 0, WARM, lambda side: side.request(QUESTION))
    await turns.rounds("warming up", 0, 1, lambda side: side.request(QUESTION, stream=True))


def added(rounds: Rounds) -> dict[str, list[tuple[float, ...]]]:
    """What each side took longer than the endpoint itself in the same round."""
    return {
        name: [
            tuple(a - b for a, b in zip(of, direct, strict=True))
            for of, direct in zip(own, rounds[DIRECT], strict=True)
        ]
        for name, own in rounds.items()
    }


def added_rows(rounds: Rounds, times: int) -> Iterator[str]:
    yield "| side | n | p50 | p90 | p99 | added: p50 | IQR | p90 | IQR | p99 | IQR |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    more = added(rounds)
    for name, own in rounds.items():
        took = " | ".join(f"{statistics.median(values):.3f} ms" for values in zip(*own, strict=True))
        cells = []
        for values in zip(*more[name], strict=True):
            median, _, iqr = spread(values)
            cells.append(f"{median:.3f} ms | {iqr:.3f}" if name != DIRECT else "|")
        yield f"| {name} | {len(own)} x {times} | {took} | {' | '.join(cells)} |"


def median_added(rounds: Rounds, name: str) -> float:
    """ms, in the median of rounds and of each round's requests."""
    return statistics.median(values[0] for values in added(rounds)[name])


def took_ms(replies: Mapping[str, Sequence[Sequence[Reply]]]) -> Rounds:
    return {
        name: [quantiles([1000 * reply.took_s for reply in one]) for one in rounds] for name, rounds in replies.items()
    }


async def overhead(sides: Sequence[Side], plan: Plan) -> Part:
    """One request at a time."""
    turns = Turns(sides)
    replies = await turns.rounds("one at a time", plan.rounds, plan.times, lambda side: side.request(QUESTION))
    rounds = took_ms(replies)
    words = """One client asks one question of a kilobyte at a time, over a connection that stays open. What is added
    is the difference to *direct* of the same round; medians over the rounds, with their interquartile range."""
    targets = [Target("coterie adds, p50", median_added(rounds, OURS), most=1.2)] if OURS in rounds else []
    return Part("One request at a time", words, list(added_rows(rounds, plan.times)), targets)


async def large_bodies(sides: Sequence[Side], plan: Plan) -> Part:
    """One large request at a time."""
    content = (QUESTION * (plan.body_bytes // len(QUESTION) + 1))[: plan.body_bytes]
    replies = await Turns(sides).rounds("large", plan.body_rounds, plan.bodies, lambda side: side.request(content))
    words = f"The same with a question of {plan.body_bytes // 1000} KB."
    return Part("A large body", words, list(added_rows(took_ms(replies), plan.bodies)))


async def streaming(sides: Sequence[Side], plan: Plan) -> Part:
    """One stream at a time."""
    replies = await Turns(sides).rounds(
        "streams", plan.stream_rounds, plan.streams, lambda side: side.request(QUESTION, stream=True)
    )
    first, chunk = _first_ms(replies), _chunks_ms(replies)
    words = """One stream of 64 chunks at a time, sent 2 ms apart. Each chunk holds the clock's time at which the
    endpoint sent it, so that how long it was on its way is known. The first byte is the first byte of the answer's
    text: a gateway that sends headers or comments earlier gains nothing by it."""
    rows = [
        "To the first byte of text, from the request:",
        "",
        *added_rows(first, plan.streams),
        "",
        "Each further chunk, from the endpoint:",
        "",
        *added_rows(chunk, plan.streams * 63),
    ]
    targets = []
    if OURS in replies:
        targets = [
            Target("coterie adds to the first byte, p50", median_added(first, OURS), most=2.0),
            Target("coterie adds to a chunk, p50", median_added(chunk, OURS), most=0.2),
        ]
    return Part("Streams", words, rows, targets)


def _first_ms(replies: Mapping[str, Sequence[Sequence[Reply]]]) -> Rounds:
    return {
        name: [quantiles([1000 * (reply.words()[0][0] - reply.began_s) for reply in one]) for one in rounds]
        for name, rounds in replies.items()
    }


def _chunks_ms(replies: Mapping[str, Sequence[Sequence[Reply]]]) -> Rounds:
    return {
        name: [quantiles([1000 * way_s for reply in one for _, way_s in reply.words()[1:]]) for one in rounds]
        for name, rounds in replies.items()
    }


def cold_starts(commands: Sequence[Command], plan: Plan) -> Part:
    """From nothing to ready."""
    rows = ["| side | n | p50 | p90 | IQR | memory once ready |", "|---|---:|---:|---:|---:|---:|"]
    targets = []
    for command in commands:
        times_s, sizes_mib = [], []
        count = plan.slow_starts if command.name == LITELLM else plan.starts
        for n in range(count + 1):
            progress(f"starts, {command.name}, {n}/{count}")
            with command.started() as side:
                if n:  # the first one compiles
                    times_s.append(side.cold_s)
                    sizes_mib.append(side.rss_mib)
        median, p90, iqr = spread(times_s)
        memory = f"{statistics.median(sizes_mib):.0f} MiB"
        rows.append(f"| {command.name} | {count} | {median:.2f} s | {p90:.2f} s | {iqr:.2f} | {memory} |")
        if command.name == OURS:
            targets.append(Target("coterie is ready after, p50", median, most=1.5, unit="s"))
    words = """From the start of the process to the first 200 that says it is ready. Modules are compiled before, as
    where a package was installed."""
    return Part("Cold start", words, rows, targets)
