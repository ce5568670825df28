"""The live view: what it makes of a run's stream, and how it looks in a real terminal."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from coterie.cli.live import KEPT, View
from coterie.run import AnswerPiece, AnswerReset, Piece, StreamItem
from coterie.trace import (
    AnswerGiven,
    CallFailed,
    CallFinished,
    CallRetried,
    CallScored,
    CallStarted,
    CandidateOffered,
    JudgementMade,
    Noted,
    RankingMade,
    RunFinished,
    Trace,
)
from coterie.types import Candidate, Completion, Failure, FailureKind, Judgement, Ranking, Scores, TextScore
from http_faults import FAULTS, Body, FaultServer, Reply, Script

Json = Any

# ---- the view alone ---------------------------------------------------------------------------


def seeing(*items: StreamItem) -> View:
    view = View()
    for item in items:
        view.see(item)
    return view


def drawn(view: View, width: int = 80, height: int = 40) -> str:
    """What a terminal of that size would show."""
    out = io.StringIO()
    Console(file=out, width=width, height=height, markup=False, highlight=False, color_system=None).print(view)
    return out.getvalue()


def wrote(call: str, member: str, *pieces: str, stage: str = "generate") -> list[StreamItem]:
    return [CallStarted(0.0, call, member, stage), *(Piece(call, member, stage, piece) for piece in pieces)]


def finished(call: str, member: str, text: str) -> CallFinished:
    return CallFinished(1.0, call, Completion(member, text, latency_s=1.25))


REVIEWED: tuple[StreamItem, ...] = (
    CandidateOffered(1.0, Candidate("c1", "ann", "Lima")),
    CandidateOffered(1.0, Candidate("c2", "bob", "Quito")),
    JudgementMade(2.0, "j1", Judgement("bob", ("c1",), (4.5,), "well put")),
    JudgementMade(2.0, "j2", Judgement.abstain("ann", "it cannot review")),
    RankingMade(2.0, "r1", Ranking(("c1", "c2"), {"c1": 4.5, "c2": None}, "mean")),
)


def test_members_write_side_by_side() -> None:
    view = seeing(*wrote("k1", "ann", "It ", "is "), *wrote("k2", "bob", "Qui"), Piece("k1", "ann", "generate", "Lima"))
    assert {writer.member: writer.text for writer in view.writers.values()} == {"ann": "It is Lima", "bob": "Qui"}
    shown = drawn(view)
    assert shown.index("ann · writing") < shown.index("It is Lima") < shown.index("bob · writing") < shown.index("Qui")


def test_a_member_thinks_writes_and_is_done() -> None:
    started, piece = wrote("k1", "ann", "Li")
    view = seeing(started)
    assert "ann · thinking" in drawn(view)
    view.see(piece)
    assert "ann · writing" in drawn(view)
    view.see(finished("k1", "ann", "Lima"))
    assert "ann · done in 1.2 s" in drawn(view)
    assert "Lima" in drawn(view)


def test_a_member_that_fails_or_tries_again_says_so() -> None:
    view = seeing(*wrote("k1", "ann", "Li"), CallRetried(0.5, "k1", 1, "HTTP 429: busy", 2.0))
    assert "again in 2.0 s: HTTP 429: busy" in drawn(view)
    view.see(CallFailed(1.0, "k1", Failure("ann", "no answer within timeout_s=3", FailureKind.TIMEOUT, call="k1")))
    assert "timeout: no answer within timeout_s=3" in drawn(view)
    assert "Li" in drawn(view)


def test_ballots_then_the_ranking_then_the_answer() -> None:
    view = seeing(
        *wrote("k1", "ann", "Lima"), *wrote("k2", "bob", "Quito"), *REVIEWED, AnswerPiece("So "), AnswerPiece("it is")
    )
    shown = drawn(view)
    places = [
        shown.index(words) for words in ("ann · ", "ballots", "ann 4.50", "abstains", "mean: ann > bob", "So it is")
    ]
    assert places == sorted(places)


def test_reviews_are_counted_until_there_are_ballots() -> None:
    view = seeing(*wrote("k1", "ann", stage="review"), *wrote("k2", "bob", '{"sc', stage="review"))
    assert "reviewing: 0 of 2 calls done" in drawn(view)
    view.see(finished("k2", "bob", '{"scores": {}}'))
    view.see(CallScored(1.0, "k1", Scores("ann", (TextScore(-1.0, 2),))))
    assert "reviewing: 2 of 2 calls done" in drawn(view)
    assert '{"sc' not in drawn(view), "a reviewer's text is no candidate"
    for item in REVIEWED:
        view.see(item)
    assert "reviewing" not in drawn(view)


def test_an_answer_that_begins_anew() -> None:
    view = seeing(AnswerPiece("It is Par"), AnswerReset("broke off"), AnswerPiece("Lima"))
    assert view.answer == "Lima"


def test_what_it_does_not_show_does_not_trouble_it() -> None:
    view = seeing(Noted(0.0, "a note"), AnswerGiven(1.0, "c1", "only"), RunFinished(1.0, "answered"))
    assert view == View()
    drawn(view)


def test_it_keeps_no_more_than_it_shows() -> None:
    text = "0123456789abcdef" * 2**19
    view = seeing(*wrote("k1", "ann", *[text[n : n + 65536] for n in range(0, len(text), 65536)]), AnswerPiece(text))
    view.see(AnswerPiece(text))
    assert len(view.writers["k1"].text) <= KEPT
    assert len(view.answer) <= KEPT
    view.see(finished("k1", "ann", text))
    assert len(view.writers["k1"].text) <= KEPT
    began = time.monotonic()
    drawn(view)
    assert time.monotonic() - began < 1.0


def test_the_last_lines_of_a_text_are_shown() -> None:
    view = seeing(*wrote("k1", "ann", "".join(f"line {n}\n" for n in range(100))))
    assert "line 99" in drawn(view)
    assert "line 10\n" not in drawn(view)


HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m[bold]red[/bold]\x00"


def test_a_models_words_do_not_drive_the_terminal() -> None:
    failure = Failure("ann", HOSTILE, FailureKind.HTTP, call="k3")
    view = seeing(
        *wrote("k1", "ann", HOSTILE),
        *wrote("k2", "ann", HOSTILE),
        CallRetried(0.5, "k2", 1, HOSTILE, 2.0),
        *wrote("k3", "ann", HOSTILE),
        CallFailed(1.0, "k3", failure),
        CandidateOffered(1.0, Candidate("c1", "ann", HOSTILE)),
        JudgementMade(2.0, "j1", Judgement("bob", ("c1",), (4.5,), HOSTILE)),
        JudgementMade(2.0, "j2", Judgement.abstain("ann", HOSTILE)),
        AnswerPiece(HOSTILE),
    )
    shown = drawn(view, width=200)
    assert "[bold]red[/bold]" in shown, "a model's words were taken for markup"
    assert re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", shown) is None


@pytest.mark.parametrize("width", [1, 2, 5, 12, 20, 300])
def test_any_width_will_do(width: int) -> None:
    items = (*wrote("k1", "a-member-of-a-very-long-name", "東京 " * 50, "x" * 500), *REVIEWED, AnswerPiece("😀" * 300))
    assert drawn(seeing(*items), width=width, height=5).strip()


# ---- in a terminal ----------------------------------------------------------------------------

QUESTION = "Which city?"
GOOD = {"ann": "Lima, says ann", "bob": "Quito, says bob", "cyd": "Oslo, says cyd"}
FUSED = "Fused out of the very best of them."


def member(text: str) -> Script:
    """Writes for a while, so that it can be watched."""

    def script(body: Body, nth: int) -> Reply:
        if body["messages"][-1]["content"].endswith("The final answer:"):
            return Reply(FUSED, pieces=8, piece_delay_s=0.1)
        if "response_format" in body:
            labels = body["response_format"]["json_schema"]["schema"]["properties"]["scores"]["required"]
            return Reply(json.dumps({"scores": dict.fromkeys(labels, 4), "reason": "sound"}), delay_s=0.2)
        return Reply(text, pieces=6, piece_delay_s=0.08)

    return script


@dataclass
class Terminal:
    """A pseudo-terminal with ``coterie`` in it."""

    pid: int
    handle: int
    shown: bytes = b""
    status: int | None = field(default=None)

    @property
    def text(self) -> str:
        return self.shown.decode(errors="replace")

    def until(self, true: Callable[[], bool], timeout_s: float) -> bool:
        """Read what it shows until something is true or nothing more comes."""
        ends = time.monotonic() + timeout_s
        while not true() and time.monotonic() < ends:
            if not select.select([self.handle], [], [], 0.05)[0]:
                continue
            try:
                chunk = os.read(self.handle, 1 << 16)
            except OSError:  # the other end is closed
                break
            if not chunk:
                break
            self.shown += chunk
        return true()

    def end(self, timeout_s: float = 20) -> int:
        """Its exit status, when it has ended by itself."""
        self.until(lambda: False, timeout_s)
        ends = time.monotonic() + 5
        while self.status is None and time.monotonic() < ends:
            done, code = os.waitpid(self.pid, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(code) if done else None
            time.sleep(0.01)
        assert self.status is not None, "it did not end"
        return self.status


@contextmanager
def terminal(folder: Path, *arguments: str, columns: int = 100, lines: int = 50) -> Iterator[Terminal]:
    """``coterie`` in a terminal of that size."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("COTERIE_") and k not in ("COLUMNS", "LINES")}
    pid, handle = pty.fork()
    if pid == 0:  # pragma: no cover - the child
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.chdir(folder)
        time.sleep(0.1)  # until the terminal has its size
        command = [sys.executable, "-m", "coterie.cli.app", *arguments]
        os.execve(sys.executable, command, {**kept, "TERM": "xterm-256color"})
    fcntl.ioctl(handle, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    opened = Terminal(pid, handle)
    try:
        yield opened
    finally:
        if opened.status is None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(handle)


def config(folder: Path, server: FaultServer, names: Sequence[str], **settings: Json) -> str:
    members = {
        name: {"engine": "openai", "base_url": server.base_url, "model": name, "timeout_s": 20} for name in names
    }
    method = {"kind": "peer_blend", "members": list(names), "aggregator": "ann", "top_k": 2, **settings}
    file = folder / "c.json"
    file.write_text(json.dumps({"members": members, "methods": {"default": method}}), encoding="utf-8")
    return str(file)


def serving(**more: Script) -> FaultServer:
    return FaultServer({**{name: member(text) for name, text in GOOD.items()}, **more})


def plain(text: str) -> str:
    """`text` without what moves the cursor and colours it."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_panels_then_ballots_then_the_answer_and_the_whole_story_at_the_end(tmp_path: Path) -> None:
    with (
        serving() as server,
        terminal(tmp_path, "ask", "--config", config(tmp_path, server, list(GOOD)), QUESTION) as tty,
    ):
        assert tty.end() == 0
        assert all(seen.streamed for seen in server.requests), "nobody watched the members write"
    shown = plain(tty.text)
    first = [shown.find(words) for words in ("ann · writing", "ann · done", "ballots", "Fused out", "candidates")]
    assert -1 not in first, shown[-3000:]
    assert first == sorted(first)
    assert "reviewing: " in shown
    story = shown[shown.rindex("candidates") :]
    for words in (*GOOD.values(), "ballots", "ranking", FUSED, "7 calls"):
        assert words in story
    assert "\x1b[?25h" in tty.text, "the cursor was not given back"
    assert tty.text.rindex("\x1b[?25h") > tty.text.rindex("\x1b[?25l")


def test_the_answer_grows_token_by_token(tmp_path: Path) -> None:
    with (
        serving() as server,
        terminal(tmp_path, "ask", "--config", config(tmp_path, server, list(GOOD)), QUESTION) as tty,
    ):
        tty.end()
    frames = re.findall(r"Fused[\w .]*", plain(tty.text))
    assert len({frame.strip() for frame in frames}) >= 3


def test_a_failing_member_is_shown_and_the_others_go_on(tmp_path: Path) -> None:
    with serving(odd=FAULTS["dies"]) as server:
        made = config(tmp_path, server, [*GOOD, "odd"])
        with terminal(tmp_path, "ask", "--config", made, QUESTION) as tty:
            assert tty.end() == 0
        assert server.count("odd") == 1
    assert "odd · truncated: " in plain(tty.text)
    assert FUSED in plain(tty.text)


def test_nobody_answers_in_a_terminal(tmp_path: Path) -> None:
    with (
        FaultServer({"ann": Reply("")}) as server,
        terminal(tmp_path, "ask", "--config", config(tmp_path, server, ["ann"]), QUESTION) as tty,
    ):
        assert tty.end() == 1
    assert "coterie: none of 1 members answered" in plain(tty.text)
    assert "Traceback" not in tty.text


@pytest.mark.parametrize(("columns", "lines"), [(20, 6), (10, 3), (200, 5)])
def test_a_small_terminal_crashes_nothing(tmp_path: Path, columns: int, lines: int) -> None:
    with serving() as server:
        made = config(tmp_path, server, list(GOOD))
        with terminal(tmp_path, "ask", "--config", made, QUESTION, columns=columns, lines=lines) as tty:
            assert tty.end() == 0
    assert "Traceback" not in tty.text


@pytest.mark.parametrize("fault", ["huge", "huge_line"])
def test_eight_mebibytes_in_a_narrow_terminal(tmp_path: Path, fault: str) -> None:
    with serving(odd=FAULTS[fault]) as server:
        made = config(tmp_path, server, ["ann", "bob", "odd"])
        with terminal(tmp_path, "ask", "--config", made, QUESTION, columns=40) as tty:
            assert tty.end(30) == 0
    assert FUSED in " ".join(plain(tty.text).split())
    assert "Traceback" not in tty.text


def test_an_interrupt_while_it_is_watched(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    with serving(odd=FAULTS["hang_midway"]) as server:
        made = config(tmp_path, server, ["ann", "odd"])
        with terminal(tmp_path, "ask", "--config", made, "--trace", str(file), QUESTION) as tty:
            assert tty.until(lambda: "odd · writing" in plain(tty.text), 15)
            os.write(tty.handle, b"\x03")
            assert tty.end() == 130
        assert server.idle_within(1), "a request was left running"
    assert "coterie: interrupted" in plain(tty.text)
    assert "Traceback" not in tty.text
    assert tty.text.rindex("\x1b[?25h") > tty.text.rindex("\x1b[?25l"), "the cursor was not given back"
    trace = Trace.load(file)
    assert trace.finished is not None
    assert trace.finished.status == "cancelled"


def test_json_and_a_pipe_have_no_live_view(tmp_path: Path) -> None:
    with serving() as server:
        made = config(tmp_path, server, list(GOOD))
        with terminal(tmp_path, "ask", "--json", "--config", made, QUESTION) as tty:
            assert tty.end() == 0
    assert json.loads(tty.text)["answer"] == FUSED
    assert "\x1b" not in tty.text
