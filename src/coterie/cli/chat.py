"""``coterie chat``: a conversation with the committee."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from coterie.cli import screen
from coterie.cli.sources import ConfigOption, GemmaOption
from coterie.errors import NoAnswer
from coterie.types import Message

if TYPE_CHECKING:
    from coterie.committee import Committee


def chat(
    config: ConfigOption = None,
    method: Annotated[str, typer.Option("--method", "-m", help="The method that answers.")] = "default",
    accept_gemma_terms: GemmaOption = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show how each answer came about.")] = False,
) -> None:
    """Talk with the committee; the whole conversation goes along with every turn.

    An empty line or the end of input ends it; /new begins a new conversation.
    """
    from coterie.cli import sources
    from coterie.committee import Committee

    made = sources.ready(config, accept_gemma_terms, (method,))
    screen.run(_chat(Committee.from_config(made), method, verbose))


async def _chat(committee: Committee, method: str, verbose: bool) -> None:
    history: list[Message] = []
    async with committee:
        while (words := _read()) is not None:
            if words == "/new":
                history.clear()
                continue
            asked = [*history, Message("user", words)]
            try:
                answer = await _turn(committee, asked, method, verbose)
            except NoAnswer as error:
                screen.complain(error)
                continue
            history = [*asked, Message("assistant", answer)]


def _read() -> str | None:
    """The next thing said; ``None`` at the end."""
    if sys.stdin.isatty():
        typer.secho("> ", fg=typer.colors.CYAN, nl=False)
    with _interruptible():
        line = screen.typed(sys.stdin.readline).strip()
    return line or None


@contextmanager
def _interruptible() -> Iterator[None]:
    """An interrupt strikes at once. The event loop would only take note of it, and wait for the line."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


async def _turn(committee: Committee, conversation: list[Message], method: str, verbose: bool) -> str:
    """Answer one turn, in public."""
    from coterie.answer import Answer
    from coterie.cli.ask import print_answer
    from coterie.run import AnswerPiece, AnswerReset

    text = ""
    async for item in committee.astream(conversation, method):
        if isinstance(item, AnswerPiece) and not verbose:
            sys.stdout.write(screen.shown(item.text))
            sys.stdout.flush()
        elif isinstance(item, AnswerReset) and not verbose:
            typer.echo(f"\n[begun anew: {screen.shown(item.reason)}]")
        elif isinstance(item, Answer):
            text = item.text
            if verbose:
                print_answer(item)
    typer.echo("")
    return text
