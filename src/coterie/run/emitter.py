"""Where the pieces of one text go while it is written: to the answer, or to whoever watches its author."""

from __future__ import annotations

from coterie.run.ledger import Ledger
from coterie.run.stream import AnswerPiece, AnswerReset, Piece
from coterie.types import Completion, Failure


class Emitter:
    """Publishes the pieces of one call: as the answer, or as what a member is writing."""

    def __init__(self, ledger: Ledger, call: str, member: str, stage: str, *, answers: bool) -> None:
        self._ledger, self._call, self._member, self._stage = ledger, call, member, stage
        self._answers = answers
        self.used = False
        self.chars = 0
        """Of what was shown."""

    def __call__(self, text: str) -> None:
        self.used = True
        self.chars += len(text)
        self._ledger.shown |= self._answers
        self._ledger.publish(AnswerPiece(text) if self._answers else Piece(self._call, self._member, self._stage, text))

    def end(self, outcome: Completion | Failure) -> None:
        """Publish a text that came whole; take back what was shown of an answer that came to nothing."""
        if isinstance(outcome, Completion) and not self.used:
            self(outcome.text)
        if isinstance(outcome, Failure) and self._answers and self.used:
            self._ledger.shown = False
            self._ledger.publish(AnswerReset(outcome.error))
