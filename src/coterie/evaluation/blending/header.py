"""What was run: the first record of a file of rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from coterie.types import Json, no_extra

FORMAT = 1
"""Version of the file format. A reader takes all up to its own."""


@dataclass(frozen=True)
class Measure:
    """A metric of quality, as it is shown."""

    name: str
    title: str = ""
    how: str = ""
    """How it was computed: model, layer, settings."""
    percent: bool = False
    """True where it lies between 0 and 1 and is shown times 100, in points."""
    lower_is_better: bool = False
    digits: int = 3
    """Decimals that are shown."""

    @property
    def heading(self) -> str:
        return self.title or self.name

    @property
    def unit(self) -> str:
        return " points" if self.percent else ""

    def better(self, value: float) -> float:
        """`value`, more being the better."""
        return -value if self.lower_is_better else value

    def text(self, value: float, sign: str = "") -> str:
        """As it is printed, with its sign always where that is ``+``, and none for nothing."""
        return f"{100 * value if self.percent else value:{sign}z.{self.digits}f}"


@dataclass(frozen=True)
class DataSet:
    """A data set as it was loaded, before anything of it was asked."""

    name: str
    domain: str = ""
    conversations: int | None = None
    questions: int | None = None
    shortest: int | None = None
    longest: int | None = None
    """Turns of its shortest and its longest conversation."""
    source: str = ""
    licence: str = ""
    fingerprint: str = ""
    """The same for the same data, and only for them."""


@dataclass(frozen=True)
class Header:
    """What was run, with what, on what. It holds no secrets."""

    title: str = "Blending"
    started_at: str = ""
    """UTC, ISO 8601."""
    metrics: tuple[Measure, ...] = ()
    """The first one is what verdicts are about."""
    data: tuple[DataSet, ...] = ()
    members: tuple[Mapping[str, Json], ...] = field(default=(), hash=False)
    """Of each at least its ``name``, and whatever else says what it is."""
    policies: Mapping[str, Json] = field(default_factory=no_extra, hash=False)
    """Settings of policies that are not called by their kind, as a configuration has them."""
    reference: Mapping[str, Json] = field(default_factory=no_extra, hash=False)
    """Fields of the variant that speed-ups are counted from, such as its method and its K."""
    versions: Mapping[str, str] = field(default_factory=dict, hash=False)
    hardware: str = ""
    settings: Mapping[str, Json] = field(default_factory=no_extra, hash=False)
    seed: int = 0
    command: str = ""
    format: int = FORMAT
