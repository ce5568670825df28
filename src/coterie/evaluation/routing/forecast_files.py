"""Forecasts in a file, made where a router could be fitted (a GPU) and measured where the others are.

An ``npz`` with ``quality`` (prompts, members), ``members``, ``prompts`` (digests of their texts) and ``scale``; where
they are known also ``expected_usd`` (prompts, members) and ``timing`` (p50 s, p99 s, queries, fits s). Rows and members
may stand in any order. No text is in it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from coterie.errors import ConfigError
from coterie.evaluation.routing.forecasts import Forecasts, Timing
from coterie.examples.split import text_key
from coterie.outcomes.outcome import Outcomes
from coterie.prospects import Scale
from coterie.routers import npz

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[np.generic]]


def digest(prompt: str) -> str:
    """What tells prompts apart in a file: 16 hexadecimal digits of the text as `text_key` reads it."""
    return hashlib.blake2b(text_key(prompt).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def save(file: Path, forecasts: Forecasts, outcomes: Outcomes) -> None:
    """Afterwards `file` holds the forecasts, made for the prompts and members of `outcomes`.

    Raises `ConfigError` where it cannot be written.
    """
    import numpy as np

    arrays: Arrays = {
        "quality": forecasts.quality,
        "members": np.array(outcomes.members),
        "prompts": np.array([digest(prompt) for prompt in outcomes.prompts]),
        "scale": np.array(forecasts.scale.value),
        "reads_vectors": np.array(forecasts.reads_vectors),
    }
    if forecasts.expected_usd is not None:
        arrays["expected_usd"] = np.asarray(forecasts.expected_usd)
    if (timing := forecasts.timing) is not None:
        fit_s = np.nan if timing.fit_s is None else timing.fit_s
        arrays["timing"] = np.array([timing.p50_s, timing.p99_s, timing.queries, fit_s])
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        npz.save(file, arrays)
    except OSError as error:
        raise ConfigError(f"cannot write forecasts to {str(file)!r}: {error.strerror}") from error


def read(name: str, file: Path, outcomes: Outcomes) -> Forecasts:
    """The forecasts in `file` for the prompts and members of `outcomes`, in their order, as the router `name`.

    Raises `ConfigError` for a file that is none, and for prompts or members that it does not speak of. Prompts of one
    text share a forecast.
    """
    arrays = npz.load(file)
    try:
        quality, members = arrays["quality"].astype(float), [str(member) for member in arrays["members"]]
        prompts = [str(prompt) for prompt in arrays["prompts"]]
        scale = Scale(str(arrays["scale"])) if "scale" in arrays else Scale.SCORE
    except (KeyError, ValueError, TypeError) as error:
        raise ConfigError(f"{str(file)!r} holds no forecasts: {error!r}") from error
    if quality.shape != (len(prompts), len(members)):
        raise ConfigError(
            f"{str(file)!r}: {quality.shape!r} qualities for {len(prompts)} prompts, {len(members)} members"
        )
    rows, columns = _places(file, prompts, outcomes), _columns(file, members, outcomes.members)
    at = [[row] for row in rows], [columns]
    expected = arrays.get("expected_usd")
    return Forecasts(
        name,
        quality[at],
        scale,
        expected_usd=None if expected is None else expected.astype(float)[at],
        reads_vectors=bool(arrays.get("reads_vectors", False)),
        timing=_timing(arrays),
        note=f"its forecasts were made elsewhere and read from {file.name}",
    )


def _places(file: Path, prompts: Sequence[str], outcomes: Outcomes) -> list[int]:
    """Where in the file each prompt stands."""
    place = {prompt: n for n, prompt in enumerate(prompts)}
    wanted = [digest(prompt) for prompt in outcomes.prompts]
    missing = [n for n, prompt in enumerate(wanted) if prompt not in place]
    if missing:
        where = outcomes.places[missing[0]] if outcomes.places else repr(outcomes.prompts[missing[0]][:60])
        raise ConfigError(
            f"{str(file)!r} has no forecast for {len(missing)} of {len(wanted)} prompts, such as {where}: it was made "
            "on other data, or on other prompts of them"
        )
    return [place[prompt] for prompt in wanted]


def _columns(file: Path, members: Sequence[str], wanted: Sequence[str]) -> list[int]:
    missing = [member for member in wanted if member not in members]
    if missing:
        raise ConfigError(f"{str(file)!r} has no forecast for the members {missing!r}, only for {list(members)!r}")
    return [members.index(member) for member in wanted]


def _timing(arrays: Arrays) -> Timing | None:
    if "timing" not in arrays:
        return None
    p50_s, p99_s, queries, fit_s = (float(value) for value in arrays["timing"].astype(float))
    return Timing(p50_s, p99_s, int(queries), None if math.isnan(fit_s) else fit_s)
