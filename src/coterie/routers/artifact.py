"""A trained router as a folder: what it is in ``router.json``, numbers in ``arrays.npz``, weights in files of theirs.

A folder is whole or not there: it is written beside its place and moved there in one step. ``router.json`` names every
other file that forecasts depend on, with its digest, so a folder that was damaged or put together from two is refused.
Nothing in a folder is executed or unpickled. A card (``card.json``, ``README.md``) may lie beside.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from coterie.encoders import from_plain, to_plain
from coterie.errors import ConfigError, MissingExtra
from coterie.protocols import Encoder
from coterie.routers import npz
from coterie.routers.forecast import Fitted, Kept
from coterie.routers.kinds import loads
from coterie.routers.spending import Spending
from coterie.types import Json, Price

FORMAT = 1
"""Version of the folder's layout."""

ROUTER, ARRAYS = "router.json", "arrays.npz"

NO_PART = ("card.json", "README.md")
"""Files that forecasts do not depend on."""

MAX_JSON_BYTES = 64 * 2**20


@dataclass(frozen=True)
class About:
    """What an artifact says beside what its router keeps."""

    encoder: Encoder | None = None
    """What made the vectors that it was fitted to; ``None`` for a router that reads none."""
    prices: Mapping[str, Price] = field(default_factory=dict)
    """As they were, by member; who is not in it had no known price."""
    spending: Spending = field(default_factory=Spending)
    decision: Json = None
    """The decision it was made for, as a configuration writes it; ``None`` where it was made for any."""


@dataclass(frozen=True, eq=False)
class Artifact:
    """An opened folder."""

    fitted: Fitted
    prices: Mapping[str, Price]
    spending: Spending
    decision: Json
    encoder_identity: str
    """Of the encoder whose vectors it reads; empty where it reads none."""
    encoder_part: Json
    """The encoder as plain data; ``None`` where it reads no vectors."""
    digest: str
    """The same for equal routers that say equal things of themselves."""
    format: int = FORMAT

    @property
    def members(self) -> tuple[str, ...]:
        """Those it was trained on."""
        return self.fitted.members

    @cached_property
    def encoder(self) -> Encoder | None:
        """What makes the vectors it reads; ``None`` where it reads none. Raises `ConfigError` where it is not here."""
        return None if self.encoder_part is None else self.checked(from_plain(self.encoder_part))

    def checked(self, encoder: Encoder) -> Encoder:
        """The encoder. Raises `ConfigError` where its vectors are others than those that the router was fitted to."""
        if encoder.identity != self.encoder_identity:
            raise ConfigError(
                f"the router was fitted to vectors of {self.encoder_identity!r}, and those of {encoder.identity!r} "
                "cannot be compared with them: train it anew, or take the encoder it was trained with"
            )
        return encoder


# ---- writing ------------------------------------------------------------------------------------


def save(fitted: Fitted, folder: str | os.PathLike[str], about: About | None = None) -> None:
    """Afterwards `folder` holds the router. Raises `ConfigError` as `whole` and `write` do."""
    with whole(folder) as place:
        write(fitted, place, about or About())


@contextmanager
def whole(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """A new folder to write to, which becomes `folder` when all went well, and is gone where anything was raised.

    Raises `ConfigError` where `folder` is there and not empty.
    """
    target = Path(folder).expanduser().absolute()
    check_free(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    place = target.parent / f".{target.name}.{secrets.token_hex(6)}"
    place.mkdir()
    try:
        yield place
        check_free(target)
        if target.is_dir():
            target.rmdir()
        os.replace(place, target)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise


def check_free(folder: Path) -> None:
    """Raises `ConfigError` for a place where something is already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{str(folder)!r} is there already, and not empty")


def write(fitted: Fitted, place: Path, about: About) -> None:
    """Afterwards the folder `place`, which was empty, holds the router.

    Weights are written by the router itself, where it has a method ``save(folder)``. Raises `ConfigError` for one that
    reads vectors and has no encoder, and for an encoder that cannot be named in a file.
    """
    if _reads_vectors(fitted) and about.encoder is None:
        raise ConfigError(f"a router of the kind {fitted.kind!r} reads vectors: an encoder has to make them")
    arrays = fitted.arrays()
    if arrays:
        npz.save(place / ARRAYS, arrays)
    if (weights := getattr(fitted, "save", None)) is not None:
        weights(place)
    told = {
        "format": FORMAT,
        "kind": fitted.kind,
        "members": list(fitted.members),
        "settings": dict(fitted.settings()),
        "encoder": _told_encoder(about.encoder) if _reads_vectors(fitted) else None,
        "prices": {member: asdict(price) for member, price in about.prices.items()},
        "spending": about.spending.to_json(),
        "decision": about.decision,
        "files": _digests(place),
    }
    text = json.dumps(told, indent=1, ensure_ascii=True, allow_nan=False)
    (place / ROUTER).write_text(text + "\n", encoding="utf-8")


def _reads_vectors(fitted: Fitted) -> bool:
    return fitted.reads in ("vectors", "both")


def _told_encoder(encoder: Encoder | None) -> Json:
    return None if encoder is None else {"identity": encoder.identity, "part": to_plain(encoder)}


def _digests(place: Path) -> dict[str, str]:
    files = sorted(file for file in place.rglob("*") if file.is_file())
    named = {file.relative_to(place).as_posix(): file for file in files}
    return {name: _sha256(file) for name, file in named.items() if name not in (ROUTER, *NO_PART)}


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


# ---- reading ------------------------------------------------------------------------------------


def opened(folder: str | os.PathLike[str]) -> Artifact:
    """The router in a folder that `save` wrote: its forecasts equal those of the router that was saved.

    Raises `ConfigError` for a folder that is none, is damaged, or was written by a newer version, and `MissingExtra`
    where its kind needs what is not installed.
    """
    place = Path(folder).expanduser().absolute()
    told, digest = _told(place)
    try:
        _check_files(place, told["files"])
        encoder = told["encoder"] or {"identity": "", "part": None}
        return Artifact(
            fitted=_fitted(place, told),
            prices={member: Price(**price) for member, price in told["prices"].items()},
            spending=Spending.from_json(told["spending"]),
            decision=told["decision"],
            encoder_identity=encoder["identity"],
            encoder_part=encoder["part"],
            digest=digest,
        )
    except MissingExtra:
        raise
    except ConfigError as error:
        raise ConfigError(f"the router in {str(folder)!r} cannot be opened: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OSError) as error:
        raise ConfigError(f"the router in {str(folder)!r} is damaged: {error!r}") from error


def kind_of(folder: str | os.PathLike[str]) -> str:
    """The kind of the router in a folder, which is not loaded for that. Raises `ConfigError`."""
    told, _ = _told(Path(folder).expanduser().absolute())
    return str(told.get("kind", ""))


def _told(place: Path) -> tuple[dict[str, Any], str]:
    """What ``router.json`` says, and its digest. Raises `ConfigError`."""
    file = place / ROUTER
    try:
        with file.open("rb") as content:
            text = content.read(MAX_JSON_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{str(place)!r} holds no router: {error}") from error
    if len(text) > MAX_JSON_BYTES:
        raise ConfigError(f"{str(file)!r} is larger than {MAX_JSON_BYTES} bytes, which no router is")
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{str(file)!r} is damaged: {error}") from error
    if not isinstance(told, dict) or not isinstance(told.get("format"), int):
        raise ConfigError(f"{str(file)!r} is no router of this program")
    if told["format"] != FORMAT:
        raise ConfigError(f"{str(file)!r} has format {told['format']!r}; this version reads format {FORMAT}")
    return told, hashlib.sha256(text).hexdigest()


def _check_files(place: Path, digests: Mapping[str, str]) -> None:
    """Raises `ConfigError` for a file that is missing or another one."""
    for name, digest in digests.items():
        file = place / name
        if not file.resolve().is_relative_to(place.resolve()):
            raise ConfigError(f"its file {name!r} does not lie in it")
        if not file.is_file():
            raise ConfigError(f"its file {name!r} is missing")
        if _sha256(file) != digest:
            raise ConfigError(f"its file {name!r} is damaged, or another router's")


def _fitted(place: Path, told: Mapping[str, Any]) -> Fitted:
    members = tuple(map(str, told["members"]))
    arrays = npz.load(place / ARRAYS) if ARRAYS in told["files"] else {}
    fitted = loads(told["kind"])(Kept(members, told["settings"], arrays, place))
    if fitted.members != members or fitted.kind != told["kind"]:
        raise ConfigError(f"it holds a router of the kind {fitted.kind!r} for {list(fitted.members)!r}")
    return fitted
