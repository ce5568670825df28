"""The evaluation itself: every conversation, every turn, everybody who takes part; then what each answer is worth."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from coterie.answer import Answer
from coterie.committee import Committee
from coterie.config import Config
from coterie.dialogues import Dialogue, Interview
from coterie.errors import NoAnswer
from coterie.evaluation.blending.recording import Recorder
from coterie.evaluation.blending.rows import Question, Row, Variant
from coterie.evaluation.convqa.lineup import Entry
from coterie.evaluation.convqa.quality import Asked, Quality
from coterie.evaluation.convqa.reading_off import failed_row, oracle_row, reviews_each, row_of
from coterie.evaluation.convqa.unasked import Unasked
from coterie.judges.peer_review import PeerReview
from coterie.run import Cache
from coterie.types import BallotMode, FailureKind, Limits, Place, Request, Sampling

ENDLESS_S = 86_400.0
"""No deadline: what a method is worth must not depend on how busy the machine was."""


@dataclass(frozen=True)
class Evaluation:
    """What is asked, of whom, and how."""

    dialogues: tuple[Dialogue, ...]
    entries: tuple[Entry, ...]
    interview: Interview = Interview()  # noqa: RUF009 - it is frozen
    sampling: Sampling = Sampling()
    seed: int = 0
    memory: Mapping[str, int | None] = field(default_factory=dict, hash=False)
    """Bytes of the weights behind an entry, by its key."""

    @property
    def steps(self) -> int:
        """Answers that will be made."""
        return len(self.entries) * sum(len(dialogue.questions) for dialogue in self.dialogues)

    def committee(self, config: Config, responses: Cache | None, at_once: int | None, *, ask: bool = True) -> Committee:
        """The configuration's members, with everybody who takes part as a method; unless `ask`, nobody is asked."""
        methods = {entry.key: entry.method for entry in self.entries}
        members = [member if ask else Unasked(member) for member in config.members.values()]
        limits = Limits(deadline_s=ENDLESS_S)
        return Committee(members, methods, limits, responses=responses, at_once=at_once)

    async def run(
        self, committee: Committee, recorder: Recorder, quality: Quality, on_done: Callable[[], None] = lambda: None
    ) -> None:
        """Afterwards every row is in the file. Rows that were there before stand, unless they had failed.

        Conversations come one after another, since a policy may learn from one for the next. After an interruption
        all of it is gone through again, and whoever was recorded is not asked again.
        """
        there = {row.key for row in recorder.recorded.rows if not row.failed}
        asked_before = set(recorder.recorded.questions)
        modes = {name: seat.card.ballot for name, seat in (await committee.aopen()).items()}
        for dialogue in self.dialogues:
            questions = list(_questions(dialogue))
            for question in questions:
                if question.place not in asked_before:
                    recorder.add(question)
            rows = [row async for row in self._rows(committee, dialogue, questions, modes, on_done)]
            for row in self._scored(dialogue, questions, rows, quality):
                if row.key not in there:
                    recorder.add(row)

    async def _rows(
        self,
        committee: Committee,
        dialogue: Dialogue,
        questions: Sequence[Question],
        modes: dict[str, BallotMode | None],
        on_done: Callable[[], None],
    ) -> AsyncIterator[Row]:
        said: defaultdict[str, list[str]] = defaultdict(list)
        for question in questions:
            for entry in self.entries:
                request = self.interview.request(dialogue, question.turn, said[entry.key], self.sampling)
                row = await self._row(committee, entry, question, request, len(questions), modes)
                said[entry.key].append(row.text)
                on_done()
                yield row

    async def _row(
        self,
        committee: Committee,
        entry: Entry,
        question: Question,
        request: Request,
        turns: int,
        modes: dict[str, BallotMode | None],
    ) -> Row:
        # Everybody has conversations of its own: a gold history says nothing of who has led it.
        place = Place(_digest(entry.key, question.dataset, question.conversation), turns=turns)
        seed, of_row = _seed(self.seed, question), self.seed + entry.pool
        try:
            answer = await committee.aask(request, entry.key, seed=seed, conversation=place)
        except NoAnswer as error:
            return failed_row(entry.variant, question, of_row, str(error))
        if unrecorded := [f.member for f in answer.failures if f.kind is FailureKind.UNRECORDED]:
            return failed_row(entry.variant, question, of_row, f"not recorded of {', '.join(unrecorded)}")
        row = row_of(entry.variant, question, of_row, answer, _reviews_each(entry, answer, modes))
        return replace(row, memory_bytes=self.memory.get(entry.key))

    def _scored(
        self, dialogue: Dialogue, questions: Sequence[Question], rows: Sequence[Row], quality: Quality
    ) -> Iterator[Row]:
        """The rows with their quality, and the oracle's after them."""
        answered = [row for row in rows if not row.failed]
        asked = [Asked(questions[row.turn - 1].gold, dialogue.context(row.turn)) for row in answered]
        scores = quality.of([row.text for row in answered], asked)
        scored = [replace(row, quality=found) for row, found in zip(answered, scores, strict=True)]
        yield from scored
        yield from (row for row in rows if row.failed)
        for question in questions:
            singles = [row for row in scored if row.kind == "single" and row.turn == question.turn]
            if singles:
                yield self._oracle(singles)

    def _oracle(self, singles: list[Row]) -> Row:
        members = sum(entry.variant.kind == "single" for entry in self.entries)
        variant = Variant("oracle", "oracle", members, temperature=singles[0].temperature)
        return oracle_row(variant, singles, next(iter(singles[0].quality)))


def _questions(dialogue: Dialogue) -> Iterator[Question]:
    for turn, question in enumerate(dialogue.questions, 1):
        yield Question(dialogue.dataset, dialogue.id, turn, question.text, question.answers, dialogue.domain)


def _seed(seed: int, question: Question) -> int:
    """The same for everybody who takes part, so that what is asked alike is recorded once."""
    return int(_digest(seed, question.place)[:8], 16)


def _digest(*what: object) -> str:
    return hashlib.sha256(repr(what).encode("utf-8", "backslashreplace")).hexdigest()


def _reviews_each(entry: Entry, answer: Answer, modes: dict[str, BallotMode | None]) -> int | None:
    """k of a method in which members review, 0 of any other."""
    review = getattr(entry.method, "judge", None)
    if not isinstance(review, PeerReview):
        return 0
    reviewers = review.reviewers or tuple(judgement.judge for judgement in answer.judgements)
    if not reviewers:
        return 0
    used = {name: review.ballots.get(name) or review.ballot or modes.get(name) for name in reviewers}
    return reviews_each(used, len(answer.candidates), review.reviewers_each)
