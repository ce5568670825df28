"""Answers from a file of earlier outputs, so that models nobody can run any more sit in a committee for free.

A recorded member can be judged but cannot review: it has nothing to say beyond the file.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from coterie.errors import ConfigError, MemberError
from coterie.protocols import Emit, House
from coterie.types import Card, Completion, FailureKind, Json, Price, Request, Usage, encodable

Recording = Mapping[str, Json]
"""``{text, latency_s?, input_tokens?, output_tokens?, cost_usd?}``"""


@dataclass(frozen=True)
class RecordingFile:
    """Recorded answers in JSON Lines, plain or gzip.

    A line is one answer, ``{question, model, text, latency_s?, input_tokens?, output_tokens?, cost_usd?}``,
    or all models' answers to one question, ``{instruction, candidates: [{model, text, ...}]}``.
    ``question``, ``instruction`` and ``prompt`` mean the same.
    """

    path: str

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Mapping[tuple[str, str], Recording]]:
        """Every answer by model and question."""
        yield await asyncio.to_thread(lambda: dict(self._answers()))

    def _answers(self) -> Iterator[tuple[tuple[str, str], Recording]]:
        for number, line in enumerate(self._lines(), 1):
            try:
                record = json.loads(line)
                question = _key(record.get("question") or record.get("instruction") or record["prompt"])
                for answer in record.get("candidates", [record]):
                    text = "" if answer["text"] is None else str(answer["text"])
                    yield (str(answer["model"]), question), {**answer, "text": text}
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise ConfigError(
                    f"{self.path}:{number} is no recorded answer ({error!r}); a line needs a question "
                    "(or instruction, prompt) with model and text, or a list of candidates"
                ) from error

    def _lines(self) -> Iterator[str]:
        opener = gzip.open if self.path.endswith(".gz") else open
        try:
            with opener(os.path.expanduser(self.path), "rt", encoding="utf-8") as file:
                yield from (line for line in file if line.strip())
        except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read the recorded answers {self.path!r}: {error}") from error


@dataclass(frozen=True)
class RecordedMember:
    """A model whose answers were written down earlier."""

    name: str
    path: str
    """JSON Lines, or gzip of it; see `RecordingFile`."""
    model: str
    """Whose answers of the file these are."""
    price: Price | None = None
    """What its tokens cost, where the file has counts but no cost."""
    replay_latency: bool = False
    """Wait as long as the answer took when it was recorded."""
    timeout_s: float = 60.0
    max_concurrency: int | None = None
    retries: int = 0

    async def open(self, house: House) -> RecordedModel:
        answers = await house.once(RecordingFile(str(Path(self.path))))
        if not any(model == self.model for model, _ in answers):
            known = ", ".join(sorted({model for model, _ in answers})[:30])
            raise ConfigError(f"{self.path!r} has no answers of model {self.model!r}; it has {known}")
        return RecordedModel(self, answers)

    @property
    def card(self) -> Card:
        return Card(self.name, self.model, self.price, timeout_s=self.timeout_s, max_concurrency=self.max_concurrency)


class RecordedModel:
    """An open `RecordedMember`."""

    def __init__(self, spec: RecordedMember, answers: Mapping[tuple[str, str], Recording]) -> None:
        self._spec = spec
        self._answers = answers
        self.card = spec.card

    async def generate(self, request: Request, emit: Emit | None) -> Completion:
        recording = self._answers.get((self._spec.model, _key(request.question)))
        if recording is None:
            raise MemberError(
                f"no recorded answer of {self._spec.model!r} to {request.question[:80]!r}",
                FailureKind.UNRECORDED,
                usage=Usage(),
            )
        if self._spec.replay_latency:
            await asyncio.sleep(recording.get("latency_s") or 0.0)
        text = recording["text"]
        if not text.strip():
            raise MemberError("an empty answer was recorded", FailureKind.EMPTY, usage=self._usage(recording))
        if not encodable(text):
            raise MemberError("text with half a character was recorded", FailureKind.MALFORMED, usage=Usage())
        if emit is not None:
            emit(text)
        return Completion(self._spec.name, text, usage=self._usage(recording))

    def _usage(self, recording: Recording) -> Usage:
        read, written = recording.get("input_tokens"), recording.get("output_tokens")
        cost_usd = recording.get("cost_usd")
        if cost_usd is None and self._spec.price is not None:
            cost_usd = self._spec.price.cost_usd(read, written)
        return Usage(1, read, written, cost_usd)


def _key(question: object) -> str:
    """A question up to surrounding and repeated white space."""
    return " ".join(str(question).split())
