"""The run: the only door to members."""

from coterie.run.cache import ResponseCache
from coterie.run.calls import Seat
from coterie.run.live import LiveRun
from coterie.run.stream import AnswerPiece, AnswerReset, Channel, Piece, StreamItem

__all__ = ["AnswerPiece", "AnswerReset", "Channel", "LiveRun", "Piece", "ResponseCache", "Seat", "StreamItem"]
