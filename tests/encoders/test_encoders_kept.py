"""Vectors of many texts, kept on disk."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from coterie.encoders import kept, vectors_of
from coterie.encoders.serving import Served
from coterie.errors import ConfigError, RouterError


@dataclass(frozen=True)
class Lengths:
    """The vector of a text is (its length, 1); fails at a text of `bad` characters."""

    identity: str = "lengths"
    bad: int = -1
    seen: list[str] = field(default_factory=list, hash=False)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Served]:
        served = Served(self._rows, 2)
        try:
            yield served
        finally:
            await served.close()

    async def _rows(self, texts: Sequence[str]) -> NDArray[np.float64]:
        self.seen.extend(texts)
        if any(len(text) == self.bad for text in texts):
            raise RouterError("away")
        return np.array([[len(text), 1.0] for text in texts])


def expected(texts: Sequence[str]) -> NDArray[np.float64]:
    rows = np.array([[len(text), 1.0] for text in texts])
    rows[[not text.strip() for text in texts]] = 0
    found: NDArray[np.float64] = rows / np.maximum(1, np.linalg.norm(rows, axis=1, keepdims=True))
    return found


def test_what_was_encoded_once_is_read_from_disk(tmp_path: Path) -> None:
    texts = ["a", "bb", "a", "", "dddd \ud800"]
    first = Lengths()
    rows = vectors_of(first, texts, tmp_path)
    assert rows.dtype == np.float32
    assert rows == pytest.approx(expected(texts), abs=1e-7)
    assert sorted(first.seen) == ["a", "bb", "dddd \ufffd"]
    second = Lengths()
    assert (vectors_of(second, texts, tmp_path) == rows).all()
    assert second.seen == []
    vectors_of(second, [*texts, "new"], tmp_path)
    assert second.seen == ["new"]
    other = Lengths("other")
    vectors_of(other, ["a"], tmp_path)
    assert other.seen == ["a"]


def test_no_text_is_on_the_disk(tmp_path: Path) -> None:
    vectors_of(Lengths(), ["a very private text"], tmp_path)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert [file.suffix for file in files] == [".npz"]
    assert b"private" not in files[0].read_bytes()


def test_progress_is_told_step_by_step(tmp_path: Path) -> None:
    texts = ["a" * n for n in range(1, 2 * kept.STEP_TEXTS + 11)]
    told: list[tuple[str, int, int]] = []
    vectors_of(Lengths(), texts, tmp_path, lambda *step: told.append(step))
    assert told == [("encoding", done, len(texts)) for done in (kept.STEP_TEXTS, 2 * kept.STEP_TEXTS, len(texts))]


def test_what_was_done_before_a_failure_is_kept(tmp_path: Path) -> None:
    texts = ["a" * n for n in range(1, 2 * kept.STEP_TEXTS + 1)]
    with pytest.raises(RouterError, match="away"):
        vectors_of(Lengths(bad=len(texts)), texts, tmp_path)
    again = Lengths()
    vectors_of(again, texts, tmp_path)
    assert again.seen == texts[kept.STEP_TEXTS :]


def test_a_damaged_file_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    vectors_of(Lengths(), ["a"], tmp_path)
    [file] = tmp_path.rglob("*.npz")
    file.write_bytes(file.read_bytes()[:-30])
    (file.parent / "text.npz").write_text("no archive")
    np.save(file.parent / "array", np.zeros(3))
    (file.parent / "array.npy").rename(file.parent / "array.npz")
    np.savez(file.parent / "other.npz", identity=np.array("other"), digests=np.zeros((1, 16), np.uint8), vectors=[[1]])
    odd = np.full((1, 2), np.nan, dtype=np.float32)
    np.savez(file.parent / "nan.npz", identity=np.array("lengths"), digests=np.zeros((1, 16), np.uint8), vectors=odd)
    with caplog.at_level(logging.WARNING):
        assert vectors_of(Lengths(), ["a"], tmp_path) == pytest.approx(expected(["a"]))
    assert caplog.text.count("passed over") == 5
    assert "they are of 'other'" in caplog.text
    assert "they are damaged" in caplog.text


def test_a_folder_that_takes_nothing_costs_only_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        assert vectors_of(Lengths(), ["a"], tmp_path / "file") == pytest.approx(expected(["a"]))
    assert "COTERIE_VECTORS names another" in caplog.text


def test_it_works_within_an_event_loop_too(tmp_path: Path) -> None:
    async def go() -> None:
        assert vectors_of(Lengths(), ["a"], tmp_path) == pytest.approx(expected(["a"]))

    asyncio.run(go())


def test_no_text_has_no_row_and_one_text_is_no_list(tmp_path: Path) -> None:
    assert vectors_of(Lengths(), [], tmp_path).shape == (0, 2)
    with pytest.raises(ConfigError, match="a list of texts"):
        vectors_of(Lengths(), "abc", tmp_path)


def test_the_folder_is_the_users_cache_unless_said_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COTERIE_VECTORS", raising=False)
    assert kept.default_folder().parts[-2:] == ("coterie", "vectors")
    monkeypatch.setenv("COTERIE_VECTORS", str(tmp_path / "own"))
    vectors_of(Lengths(), ["a"])
    assert os.listdir(tmp_path / "own")[0].startswith("lengths-")
