"""``coterie ask``: one question, one answer, and how it came about."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coterie.cli import screen
from coterie.cli.sources import ConfigOption, GemmaOption, JsonOption
from coterie.errors import NoAnswer

if TYPE_CHECKING:
    from coterie.answer import Answer
    from coterie.committee import Committee
    from coterie.trace import Trace


def ask(
    question: Annotated[str, typer.Argument(help="The question; - reads it from standard input.")],
    config: ConfigOption = None,
    method: Annotated[str, typer.Option("--method", "-m", help="The method that answers.")] = "default",
    trace: Annotated[Path | None, typer.Option("--trace", help="Write the run's trace to this file.")] = None,
    json: JsonOption = False,
    accept_gemma_terms: GemmaOption = None,
    seed: Annotated[int | None, typer.Option(help="Fixes the order of ballots; drawn by default.")] = None,
) -> None:
    """Ask the committee a question."""
    from coterie.cli import sources
    from coterie.committee import Committee

    words = screen.typed(sys.stdin.read) if question == "-" else screen.as_text(question)
    screen.check_trace(trace)
    made = sources.ready(config, accept_gemma_terms, (method,))
    screen.run(_ask(Committee.from_config(made), words, method, seed, trace, json))


async def _ask(
    committee: Committee, question: str, method: str, seed: int | None, trace_file: Path | None, as_json: bool
) -> None:
    traces: list[Trace] = []

    def keep(trace: Trace) -> None:
        traces.append(trace)
        if trace_file is not None:
            screen.write_trace(trace, trace_file)

    async with committee:
        try:
            answer = await _answer(committee, question, method, seed, keep, live=screen.is_terminal() and not as_json)
        except NoAnswer as error:
            if as_json:
                screen.print_json(no_answer(error, method, traces[-1]))
            screen.stop(str(error), 1)
        if as_json:
            screen.print_json(answer.to_json())
        else:
            print_answer(answer)


async def _answer(
    committee: Committee,
    question: str,
    method: str,
    seed: int | None,
    keep: Callable[[Trace], None],
    *,
    live: bool,
) -> Answer:
    if not live:
        return await committee.aask(question, method, seed=seed, on_trace=keep)
    from coterie.cli.live import watch

    return await watch(committee.astream(question, method, seed=seed, on_trace=keep))


def print_answer(answer: Answer) -> None:
    """An answer and its history, for people."""
    from coterie.cli import report

    screen.show(report.of_answer(answer))


def no_answer(error: NoAnswer, method: str, trace: Trace) -> dict[str, object]:
    """What ``--json`` prints when there is no answer."""
    from dataclasses import asdict

    from coterie.answer import Timing, failures_json, usage_json

    finished = trace.finished
    timing = Timing(trace.wall_s, trace.critical_path.seconds)
    return {
        "answer": None,
        "error": str(error),
        "method": method,
        "partial": True,
        "candidates": [],
        "failures": failures_json(error.failures),
        "usage": usage_json(trace, finished.usage) if finished else None,
        "timing": asdict(timing) | {"ratio": timing.ratio},
    }
