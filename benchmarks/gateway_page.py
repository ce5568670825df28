"""The page that the gateway's benchmark writes: a part a section, and whether each target held."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from figures import paragraphs
from machine import setting

REPORT = Path(__file__).parent.parent / "docs" / "benchmarks" / "gateway.md"
PACKAGES = ("coterie", "aiohttp", "httptools", "starlette", "uvicorn", "uvloop")
SOAK = "## Soak"

INTRODUCTION = """
What stands between a client and one endpoint, as processes of their own with one worker each, all on loopback: nothing
(*direct*); a *bare forwarder* on the gateway's own stack (Starlette, uvicorn with uvloop and httptools, aiohttp), which
knows no keys, reads no JSON and keeps nothing, and so is the limit; *coterie*, started with `coterie serve` as a user
gets it, with a key, usage, costs, traces and metrics; and the proxy of *LiteLLM*, in its own environment, with a key
and without a database. The endpoint answers at once. Sides take turns within each round.

Client, endpoint and gateway share the machine's cores. Client and endpoint are written on bare sockets, so that they
take little of them: what a gateway reaches here it reaches on a core of its own.
"""


@dataclass(frozen=True)
class Target:
    """A bound, and what was measured."""

    words: str
    measured: float
    most: float | None = None
    least: float | None = None
    unit: str = "ms"

    @property
    def holds(self) -> bool:
        if self.most is not None and not self.measured <= self.most:
            return False
        return self.least is None or self.measured >= self.least

    @property
    def line(self) -> str:
        bound = f"<= {self._shown(self.most)}" if self.most is not None else f">= {self._shown(self.least)}"
        held = "holds" if self.holds else "**does not hold**"
        return f"| {self.words} | {bound} | {self._shown(self.measured)} | {held} |"

    def _shown(self, value: float | None) -> str:
        digits = f"{value:,.0f}" if value and abs(value) >= 100 else f"{value:.3g}"
        return f"{digits} {self.unit}".rstrip()


@dataclass(frozen=True)
class Part:
    """One measurement, as a section of the page."""

    title: str
    words: str
    rows: Sequence[str]
    targets: Sequence[Target] = field(default_factory=tuple)

    def lines(self) -> Iterator[str]:
        yield f"## {self.title}"
        yield ""
        yield from paragraphs(self.words)
        yield from self.rows
        yield ""
        if self.targets:
            yield "| target | bound | measured | |"
            yield "|---|---:|---:|---|"
            yield from (target.line for target in self.targets)
            yield ""


def page(parts: Sequence[Part], command: str, problems: Sequence[str]) -> str:
    """The whole page but for the soak."""
    lines = [
        "# The gateway: what it adds",
        "",
        *paragraphs(INTRODUCTION),
        *setting(PACKAGES),
        f"- Command: `{command}`",
        *(f"- Left out: {problem}" for problem in problems),
        "",
        *(line for part in parts for line in part.lines()),
    ]
    return "\n".join(lines)


def soak_section(part: Part, command: str) -> str:
    """The soak, which is measured apart from the rest and says itself on what."""
    head, *rest = part.lines()
    return "\n".join([head, "", *setting(PACKAGES), f"- Command: `{command}`", *rest])


def write(measured: str = "", soak: str = "") -> None:
    """Afterwards the page holds what was measured now, and of the rest what it held before."""
    before = REPORT.read_text(encoding="utf-8") if REPORT.exists() else ""
    kept = re.split(rf"^(?={SOAK}$)", before, maxsplit=1, flags=re.MULTILINE)
    old_soak = kept[1] if len(kept) > 1 else ""
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text((measured or kept[0]) + (soak or old_soak), encoding="utf-8")
