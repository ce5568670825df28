"""``coterie chat``: a conversation with the committee."""

from __future__ import annotations

import signal
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from coterie.cli import screen
from coterie.cli.sources import ConfigOption, GemmaOption
from coterie.errors import ConfigError, NoAnswer
from coterie.types import Message

if TYPE_CHECKING:
    from coterie.committee import Committee
    from coterie.config import Config
    from coterie.run import StreamItem
    from coterie.trace import TurnPlanned

NEW = "/new"
"""What begins a new conversation."""


def chat(
    config: ConfigOption = None,
    method: Annotated[str, typer.Option("--method", "-m", help="The method that answers.")] = "default",
    policy: Annotated[
        str | None,
        typer.Option(
            help="Who writes and is ranked, turn by turn, instead of the method's own policy: "
            "full_ranking, alternate_ranking, dynamic_elimination, fixed_interval, first_k, random_k, random_pick."
        ),
    ] = None,
    accept_gemma_terms: GemmaOption = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show how each answer came about.")] = False,
) -> None:
    """Talk with the committee; the whole conversation goes along with every turn.

    An empty line or the end of input ends it; /new begins a new conversation.
    """
    from coterie.cli import sources
    from coterie.committee import Committee

    made = sources.ready(config, accept_gemma_terms, (method,))
    led = made if policy is None else _led_by(policy, made, method)
    screen.run(_chat(_Talk(Committee.from_config(led), method, verbose)))


def _led_by(policy: str, made: Config, method: str) -> Config:
    """`made`, its method led by the policy of that kind as it is by default. Raises `ConfigError`."""
    from coterie.specs import build

    chosen = made.methods.get(method)
    led = build("policies", policy, ("policy",))
    if chosen is None:  # whoever asks it says so
        return made
    if not hasattr(chosen, "policy"):
        raise ConfigError(f"the method {method!r} takes no policy: peer_blend and rank_and_fuse do")
    return replace(made, methods={**made.methods, method: replace(cast("Any", chosen), policy=led)})


@dataclass
class _Talk:
    """A conversation as far as it has come."""

    committee: Committee
    method: str
    verbose: bool
    history: list[Message] = field(default_factory=list)
    id: str = ""

    def begin(self) -> None:
        """Afterwards nothing was said yet."""
        self.history, self.id = [], f"chat-{uuid.uuid4().hex}"


async def _chat(talk: _Talk) -> None:
    talk.begin()
    async with talk.committee:
        while (words := _read()) is not None:
            if words == NEW:
                talk.begin()
                continue
            asked = [*talk.history, Message("user", words)]
            try:
                answer = await _turn(talk, asked)
            except NoAnswer as error:
                screen.complain(error)
                continue
            talk.history = [*asked, Message("assistant", answer)]


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


async def _turn(talk: _Talk, asked: Sequence[Message]) -> str:
    """Answer one turn, in public."""
    from coterie.answer import Answer
    from coterie.cli.ask import print_answer

    show = _show_plan if talk.verbose else _show_piece
    text = ""
    async for item in talk.committee.astream(asked, talk.method, conversation=talk.id):
        if isinstance(item, Answer):
            text = str(item)
            if item.refusal and not talk.verbose:
                sys.stdout.write(screen.shown(item.refusal))  # it came whole, and no piece before it
            if talk.verbose:
                print_answer(item)
        else:
            show(item, talk)
    typer.echo("")
    return text


def _show_piece(item: StreamItem, talk: _Talk) -> None:  # noqa: ARG001
    """The answer as it grows."""
    from coterie.run import AnswerPiece, AnswerReset

    if isinstance(item, AnswerPiece):
        sys.stdout.write(screen.shown(item.text))
        sys.stdout.flush()
    elif isinstance(item, AnswerReset):
        typer.echo(f"\n[begun anew: {screen.shown(item.reason)}]")


def _show_plan(item: StreamItem, talk: _Talk) -> None:
    """Who was chosen for this turn, and why."""
    from coterie.trace import TurnPlanned

    if isinstance(item, TurnPlanned):
        typer.secho(screen.shown(_plan_line(item, talk.committee.config.methods[talk.method])), fg=typer.colors.CYAN)


def _plan_line(planned: TurnPlanned, method: Any) -> str:
    """``conversation 1, turn 6, dynamic_elimination: a, b, d write and are ranked; c, e were eliminated``"""
    from coterie import registry

    plan = planned.plan
    kind = registry.name_of("policies", method.policy)
    write = "writes" if len(plan.members) == 1 else "write"
    ranked = "and are ranked" if plan.ranks else "and nobody is ranked"
    gone = [member for member in method.members if member not in planned.survivors]
    eliminated = f"; {', '.join(gone)} {'was' if len(gone) == 1 else 'were'} eliminated" if gone else ""
    where = kind if method.policy.memoryless else f"conversation {planned.conversation}, turn {planned.turn}, {kind}"
    return f"{where}: {', '.join(plan.members)} {write} {ranked}{eliminated}"
