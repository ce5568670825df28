"""Cutting a byte stream into payloads, however the bytes arrive."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coterie.members.sse import DataLines

PAYLOADS = st.binary(min_size=1, max_size=40).map(lambda raw: raw.replace(b"\n", b".").strip()).filter(bool)
"""What an event may carry: any bytes on one line, without white space around them."""


def read(*chunks: bytes) -> list[bytes]:
    """Every payload of the stream that `chunks` make."""
    lines = DataLines()
    payloads = [payload for chunk in chunks for payload in lines.feed(chunk)]
    return [*payloads, *lines.rest()]


def cut(raw: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(raw) + 1) for place in places), len(raw)]
    return [raw[a:b] for a, b in itertools.pairwise(bounds)]


@given(
    payloads=st.lists(PAYLOADS, max_size=8),
    places=st.lists(st.integers(0, 10_000), max_size=12),
    newline=st.sampled_from([b"\n", b"\r\n"]),
    space=st.sampled_from([b" ", b""]),
    noise=st.sampled_from([b"", b": still here\n", b"event: message\nid: 7\n", b"\n"]),
)
@example(payloads=["é".encode()], places=[7], newline=b"\n", space=b" ", noise=b"")
def test_any_cut_of_the_bytes_gives_the_same_payloads(
    payloads: list[bytes], places: list[int], newline: bytes, space: bytes, noise: bytes
) -> None:
    raw = b"".join(noise + b"data:" + space + payload + newline * 2 for payload in payloads)
    assert read(*cut(raw, places)) == payloads
    assert read(*(raw[n : n + 1] for n in range(len(raw)))) == payloads


@given(st.lists(st.binary(max_size=60), max_size=10))
def test_any_bytes_at_all_are_read_as_if_they_came_at_once(chunks: list[bytes]) -> None:
    assert read(*chunks) == read(b"".join(chunks))


def test_a_payload_comes_as_soon_as_its_line_is_whole() -> None:
    lines = DataLines()
    assert list(lines.feed(b"data: on")) == []
    assert list(lines.feed(b"e\ndata: two\nda")) == [b"one", b"two"]
    assert list(lines.feed(b"ta: three\n")) == [b"three"]


def test_comments_fields_and_empty_lines_are_passed_over() -> None:
    assert read(b": ping\n\nevent: x\nid: 1\nretry: 5\ndata\ndata:\ndata: \nmetadata: no\ndata: yes\n\n") == [b"yes"]


def test_a_last_line_without_its_newline_is_not_lost() -> None:
    assert read(b"data: one\n\ndata: [DONE]") == [b"one", b"[DONE]"]
    lines = DataLines()
    assert list(lines.feed(b"data: [DONE]")) == []
    assert list(lines.rest()) == [b"[DONE]"]


@pytest.mark.parametrize("size", [1 << 10, 1 << 16])
def test_eight_mebibytes_in_one_line(size: int) -> None:
    payload = b"x" * 2**23
    raw = b"data: " + payload + b"\n"
    assert read(*(raw[n : n + size] for n in range(0, len(raw), size))) == [payload]


def _seconds(length: int) -> float:
    """For one line of `length` bytes that comes in small chunks, the best of three."""
    raw = b"data: " + b"x" * length + b"\n"
    chunks = [raw[n : n + 16] for n in range(0, len(raw), 16)]

    def once() -> float:
        began = time.process_time()
        assert len(read(*chunks)) == 1
        return time.process_time() - began

    return min(once() for _ in range(3))


def test_a_long_line_costs_time_in_proportion_to_its_length() -> None:
    short, long = _seconds(1 << 17), _seconds(1 << 20)
    assert long < 8 * short * 3 + 0.05, "eight times the length took far more than eight times the time"
