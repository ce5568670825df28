"""Cutting a byte stream into payloads, however the bytes arrive."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coterie.errors import MemberError
from coterie.members.sse import DataLines
from coterie.types import FailureKind

PAYLOADS = (
    st.binary(min_size=1, max_size=40)
    .map(lambda raw: raw.replace(b"\n", b".").replace(b"\r", b".").strip())
    .filter(lambda raw: raw and not raw.startswith(b"\xef\xbb\xbf"))
)
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
    newline=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    mark=st.sampled_from([b"", b"\xef\xbb\xbf"]),
    space=st.sampled_from([b" ", b""]),
    noise=st.sampled_from([b"", b": still here\n", b"event: message\nid: 7\n", b"\n"]),
)
@example(payloads=["é".encode()], places=[7], newline=b"\n", mark=b"", space=b" ", noise=b"")
def test_any_cut_of_the_bytes_gives_the_same_payloads(
    payloads: list[bytes], places: list[int], newline: bytes, mark: bytes, space: bytes, noise: bytes
) -> None:
    raw = mark + b"".join(noise + b"data:" + space + payload + newline * 2 for payload in payloads)
    assert read(*cut(raw, places)) == payloads
    assert read(*(raw[n : n + 1] for n in range(len(raw)))) == payloads


@given(st.lists(st.binary(max_size=60), max_size=10))
def test_any_bytes_at_all_are_read_as_if_they_came_at_once(chunks: list[bytes]) -> None:
    assert read(*chunks) == read(b"".join(chunks))


@given(
    payloads=st.lists(st.sampled_from([b'{"a":1}', b"{}", b'{"a":\ndata: 1}', b"[DONE]", b"x"]), max_size=6),
    ends=st.lists(st.sampled_from([b"\n", b"\n\n", b"\r\n\r\n", b"\r", b"\r\r"]), min_size=6, max_size=6),
    places=st.lists(st.integers(0, 10_000), max_size=12),
)
def test_events_of_any_form_do_not_depend_on_how_they_arrive(
    payloads: list[bytes], ends: list[bytes], places: list[int]
) -> None:
    raw = b"".join(b"data: " + payload + end for payload, end in zip(payloads, ends, strict=False))
    assert read(*cut(raw, places)) == read(raw)


def test_an_object_comes_as_soon_as_its_line_is_whole() -> None:
    lines = DataLines()
    assert list(lines.feed(b'data: {"n"')) == []
    assert list(lines.feed(b': 1}\ndata: {"n": 2}\nda')) == [b'{"n": 1}', b'{"n": 2}']
    assert list(lines.feed(b'ta: {"n": 3}\n')) == [b'{"n": 3}']
    assert list(lines.feed(b"data: [DONE]\n")) == [b"[DONE]"]


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_the_data_lines_of_one_event_are_one_payload(newline: bytes) -> None:
    raw = newline.join([b'data: {"a": {},', b'data: "b": 2}', b"", b"data: [DONE]", b"", b""])
    assert read(raw) == [b'{"a": {},\n"b": 2}', b"[DONE]"]
    assert read(*(raw[n : n + 1] for n in range(len(raw)))) == read(raw)


@pytest.mark.parametrize(
    "data", [b'{"message": "overloaded", "code": 529}', b'{"error": {"message": "overloaded"}}', b"overloaded"]
)
def test_an_event_that_calls_itself_an_error_is_one(data: bytes) -> None:
    lines = DataLines()
    payloads = lines.feed(b'data: {"a": 1}\n\nevent: error\ndata: ' + data + b"\n\ndata: [DONE]\n\n")
    assert next(payloads) == b'{"a": 1}'
    with pytest.raises(MemberError, match=r"error in the stream: .*overloaded") as caught:
        next(payloads)
    assert caught.value.kind is FailureKind.HTTP
    assert read(b'event: error\n\ndata: {"a": 1}\n\n') == [b'{"a": 1}'], "an event without data is none"


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
