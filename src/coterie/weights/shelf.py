"""The folder that holds fetched model files: what stands there, checked, and who agreed to which terms.

Beside each ``NAME.gguf`` or folder ``NAME`` stands ``NAME.json``, written after the file's checksum was found right, so
that nobody hashes hundreds of megabytes at every start. ``NAME.consent`` outlives the model file.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from coterie.errors import ModelFilesError
from coterie.weights.catalogue import CATALOGUE, Weights, find

BLOCK_BYTES = 1 << 20


def folder() -> Path:
    """Where model files are kept: ``COTERIE_MODELS``, else ``models`` in the user's cache. It may not exist yet."""
    chosen = os.environ.get("COTERIE_MODELS")
    if chosen:
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("coterie", appauthor=False)) / "models"


def made_folder() -> Path:
    """`folder`, which exists afterwards. Raises `ModelFilesError`."""
    place = folder()
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelFilesError(
            f"cannot make the folder {str(place)!r} for model files ({error}): point COTERIE_MODELS at another"
        ) from error
    return place


def file_of(entry: Weights) -> Path:
    """Where the finished file or folder of `entry` belongs, whether or not it is there."""
    return folder() / (entry.name if entry.folder else f"{entry.name}.gguf")


def record_of(entry: Weights) -> Path:
    """The note that the file was checked."""
    return folder() / f"{entry.name}.json"


def notice_of(entry: Weights) -> Path:
    """The published terms, kept beside the file."""
    return folder() / f"{entry.name}.terms.html"


def standing(entry: Weights) -> Path | None:
    """The finished, checked file or folder of `entry`, or ``None``. Without a note of an earlier check it is hashed."""
    target = file_of(entry)
    try:
        found = _fingerprint(entry)
    except OSError:
        return None
    if found["size_bytes"] != entry.size_bytes:
        return None
    if _recorded(entry) == found:
        return target
    if checksum(entry, target) != entry.sha256:
        return None
    record_check(entry)
    return target


def checksum(entry: Weights, target: Path) -> str:
    """Of what stands at `target` for `entry`. Raises `OSError`."""
    if not entry.folder:
        return _sha256(target)
    lines = [f"{_sha256(target / part.name)}  {part.name}\n" for part in entry.parts]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def record_check(entry: Weights) -> None:
    """Note that the file of `entry` was found right. A folder that takes no note costs a hash at the next start."""
    try:
        write_whole(record_of(entry), json.dumps(_fingerprint(entry)))
    except OSError:
        return


def path(name_or_path: str | os.PathLike[str]) -> Path:
    """The absolute path of a model: a pulled one of the catalogue, or a .gguf file of the user's own.

    Raises `ModelFilesError` when there is none, with what to do about it.
    """
    name = os.fspath(name_or_path)
    if name in CATALOGUE:
        found = standing(find(name))
        if found is None:
            raise ModelFilesError(f"the model {name!r} is not on this machine: coterie models pull {name}")
        return found
    own = Path(name).expanduser().absolute()
    if own.is_file():
        return own
    raise ModelFilesError(
        f"{name!r} is neither an existing .gguf file nor a model of the catalogue ({', '.join(CATALOGUE)})"
    )


def has_consent(name: str) -> bool:
    """True when `name` may be fetched: its licence asks for no consent, or somebody gave it here earlier.

    Raises `ModelFilesError` for a name that is not in the catalogue.
    """
    entry = find(name)
    return not entry.needs_consent or _consent_of(entry).is_file()


def remember_consent(entry: Weights) -> None:
    """Afterwards nobody is asked again for `entry` on this machine. Raises `ModelFilesError`."""
    made_folder()
    given = {"model": entry.name, "licence": entry.licence, "at": datetime.now(UTC).isoformat(timespec="seconds")}
    try:
        write_whole(_consent_of(entry), json.dumps(given))
    except OSError as error:
        raise ModelFilesError(f"cannot note the consent in {str(folder())!r}: {error}") from error


def write_whole(target: Path, text: str) -> None:
    """Afterwards `target` holds `text`, or what it held before. Raises `OSError`."""
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _consent_of(entry: Weights) -> Path:
    return folder() / f"{entry.name}.consent"


def _fingerprint(entry: Weights) -> dict[str, str | int]:
    """What the note of a check says of the files as they stand. Raises `OSError` where one is not there."""
    target = file_of(entry)
    states = [file.stat() for file in ([target / part.name for part in entry.parts] if entry.folder else [target])]
    return {
        "sha256": entry.sha256,
        "size_bytes": sum(state.st_size for state in states),
        "mtime_ns": max(state.st_mtime_ns for state in states),
    }


def _recorded(entry: Weights) -> object:
    try:
        return json.loads(record_of(entry).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
