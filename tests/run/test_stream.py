"""The answer stream: order kept, pieces merged, nothing lost, nobody blocked."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from coterie.run.stream import AnswerPiece, AnswerReset, Channel, Piece, StreamItem
from coterie.trace import Noted


def drained(channel: Channel) -> list[StreamItem]:
    async def main() -> list[StreamItem]:
        return [item async for item in channel]

    channel.close()
    return asyncio.run(main())


def test_a_million_pieces_that_nobody_reads_are_one_item() -> None:
    channel = Channel()
    for _ in range(100_000):
        channel.put(Piece("k1", "m", "generate", "x"))
    assert drained(channel) == [Piece("k1", "m", "generate", "x" * 100_000)]


@given(st.lists(st.tuples(st.sampled_from(["k1", "k2", ""]), st.text(max_size=5)), max_size=50))
def test_every_text_arrives_whole_and_in_order(pieces: list[tuple[str, str]]) -> None:
    channel = Channel()
    for call, text in pieces:
        channel.put(Piece(call, "m", "generate", text) if call else AnswerPiece(text))
    items = drained(channel)
    for call in ("k1", "k2"):
        got = "".join(i.text for i in items if isinstance(i, Piece) and i.call == call)
        assert got == "".join(text for c, text in pieces if c == call)
    assert "".join(i.text for i in items if isinstance(i, AnswerPiece)) == "".join(t for c, t in pieces if not c)


def test_a_piece_never_overtakes_an_event_that_came_before_its_text() -> None:
    channel = Channel()
    channel.put(Noted(0.0, "first"))
    channel.put(AnswerPiece("a"))
    channel.put(Noted(0.1, "second"))
    channel.put(AnswerPiece("b"))
    assert drained(channel) == [Noted(0.0, "first"), AnswerPiece("ab"), Noted(0.1, "second")]


def test_nothing_is_merged_across_a_reset() -> None:
    channel = Channel()
    channel.put(AnswerPiece("wrong"))
    channel.put(AnswerReset("broke off"))
    channel.put(AnswerPiece("right"))
    assert drained(channel) == [AnswerPiece("wrong"), AnswerReset("broke off"), AnswerPiece("right")]


def test_a_reader_gets_items_while_they_come() -> None:
    async def main() -> list[StreamItem]:
        channel = Channel()
        seen: list[StreamItem] = []

        async def read() -> None:
            seen.extend([item async for item in channel])

        reading = asyncio.ensure_future(read())
        for text in "abc":
            channel.put(AnswerPiece(text))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        channel.close()
        channel.put(AnswerPiece("too late"))
        await reading
        return seen

    assert asyncio.run(main()) == [AnswerPiece("a"), AnswerPiece("b"), AnswerPiece("c")]
