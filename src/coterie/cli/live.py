"""The live view of a run: members writing side by side, then ballots, the ranking, the answer growing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from coterie.answer import Answer
from coterie.cli import report
from coterie.cli.screen import console, shown
from coterie.run import AnswerPiece, AnswerReset, Piece, StreamItem
from coterie.trace import (
    CallFailed,
    CallFinished,
    CallRetried,
    CallScored,
    CallStarted,
    CandidateOffered,
    JudgementMade,
    RankingMade,
)
from coterie.types import Judgement, Ranking

if TYPE_CHECKING:
    from rich.console import RenderableType

KEPT = 2000
"""Characters of a text that is being written which the view keeps; it shows the last lines of them."""

LINES = 4


@dataclass
class _Writer:
    member: str
    stage: str
    text: str = ""
    state: str = "thinking"


@dataclass
class View:
    """What has been seen of a run so far."""

    writers: dict[str, _Writer] = field(default_factory=dict)
    authors: dict[str, str] = field(default_factory=dict)
    judgements: list[Judgement] = field(default_factory=list)
    ranking: Ranking | None = None
    answer: str = ""

    def see(self, item: StreamItem) -> None:
        """Take in one item of the stream."""
        match item:
            case CandidateOffered():
                self.authors[item.candidate.id] = item.candidate.author
            case JudgementMade():
                self.judgements.append(item.judgement)
            case RankingMade():
                self.ranking = item.ranking
            case AnswerPiece():
                self.answer = (self.answer + item.text)[-KEPT:]
            case AnswerReset():
                self.answer = ""
            case _:
                self._see_call(item)

    def _see_call(self, item: StreamItem) -> None:
        match item:
            case CallStarted():
                self.writers[item.call] = _Writer(item.member, item.stage)
            case Piece():
                writer = self.writers[item.call]
                writer.text, writer.state = (writer.text + item.text)[-KEPT:], "writing"
            case CallFinished():
                self._settle(item.call, f"done in {item.completion.latency_s:.1f} s", item.completion.text)
            case CallScored():
                self._settle(item.call, f"done in {item.scores.latency_s:.1f} s")
            case CallFailed():
                self._settle(item.call, f"{item.failure.kind.value}: {item.failure.error}")
            case CallRetried():
                self.writers[item.call].state = f"again in {item.wait_s:.1f} s: {item.error}"

    def _settle(self, call: str, state: str, text: str | None = None) -> None:
        writer = self.writers.get(call)
        if writer is not None:
            writer.state = state
            writer.text = writer.text if text is None else text[-KEPT:]

    def __rich__(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        if not self.writers:
            return Text("opening the members …", style="dim")
        parts: list[RenderableType] = [self._panel(w) for w in self.writers.values() if w.stage == "generate"]
        reviews = [w for w in self.writers.values() if w.stage == "review"]
        if self.judgements:
            parts += report.section("ballots", report.ballots(self.judgements, self.authors))
        elif reviews:
            done = sum(w.state.startswith("done") for w in reviews)
            parts.append(Text(f"reviewing: {done} of {len(reviews)} calls done", style="dim"))
        if self.ranking:
            parts += report.section("ranking", Text(report.ranking_line(self.ranking, self.authors)))
        if self.answer:
            parts += report.section("answer", Text(shown(_tail(self.answer, 20)), style="bold"))
        return Group(*parts)

    @staticmethod
    def _panel(writer: _Writer) -> RenderableType:
        from rich.panel import Panel
        from rich.text import Text

        title = Text(f"{writer.member} · {shown(writer.state[:80])}")
        return Panel(Text(shown(_tail(writer.text, LINES))), title=title, title_align="left", border_style="dim")


async def watch(items: AsyncIterator[StreamItem | Answer]) -> Answer:
    """Show a run while it happens; its answer. The view goes away when the run ends."""
    from rich.live import Live

    view = View()
    with Live(view, console=console(), transient=True, refresh_per_second=12, vertical_overflow="crop"):
        async for item in items:
            if isinstance(item, Answer):
                return item
            view.see(item)
    raise RuntimeError("the stream ended without an answer")


def _tail(text: str, lines: int) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])
