"""The run: the only door to members."""

from coterie.run.breaker import Breaker
from coterie.run.cache import Cache, ResponseCache
from coterie.run.calls import Seat
from coterie.run.live import LiveRun
from coterie.run.stream import AnswerPiece, AnswerReset, Channel, Piece, StreamItem
from coterie.run.thread import Alone, KeptThread, Lost, PlannedThread, Thread

__all__ = [
    "Alone",
    "AnswerPiece",
    "AnswerReset",
    "Breaker",
    "Cache",
    "Channel",
    "KeptThread",
    "LiveRun",
    "Lost",
    "Piece",
    "PlannedThread",
    "ResponseCache",
    "Seat",
    "StreamItem",
    "Thread",
]
