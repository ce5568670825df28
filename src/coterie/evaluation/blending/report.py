"""The report of a blending evaluation: its words, tables, figures and examples as one value, and as files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from coterie.errors import ConfigError
from coterie.evaluation.blending.chosen import Chosen, choose
from coterie.evaluation.blending.figures import Figure, figures
from coterie.evaluation.blending.header import Header, Measure
from coterie.evaluation.blending.measured import Measured
from coterie.evaluation.blending.quality import data_sets, qualities, rivalries
from coterie.evaluation.blending.recording import Recorded
from coterie.evaluation.blending.spending import spent
from coterie.evaluation.blending.sweeping import sweep_tables
from coterie.evaluation.blending.tables import Table, as_csv, file_name, markdown, words
from coterie.evaluation.blending.telling import Told, told
from coterie.evaluation.blending.timing import time_tables
from coterie.evaluation.blending.trading import trade_table, trades
from coterie.evaluation.blending.versus import Rivals
from coterie.evaluation.resampling import FOR_TABLES
from coterie.evaluation.significance import Bootstrap

GROUPS = ("Quality", "Time", "Cost", "Ranking less", "Pool size and K", "Data")
"""The parts of a report, in their order."""


@dataclass(frozen=True)
class Report:
    """Everything there is to tell of an evaluation."""

    header: Header
    measure: Measure | None
    """What verdicts are about."""
    told: Told
    tables: tuple[Table, ...]
    figures: tuple[Figure, ...]
    chosen: Chosen = field(default_factory=partial(Chosen, ""))
    """Answers to read; without a rule there are none."""
    groups: tuple[str, ...] = GROUPS
    """Its parts, in their order."""


def make(recorded: Recorded, bootstrap: Bootstrap = FOR_TABLES) -> Report:
    """The report of what was recorded: the same rows and bootstrap give the same report. Raises `MissingExtra`."""
    measured = Measured(recorded, bootstrap)
    rivals = [Rivals(measured, measure) for measure in measured.measures]
    headline = rivals[0] if rivals else None
    measure = measured.measure
    found = list(trades(measured, measure, measured.parts))
    tables = (
        *(table for of in rivals for table in rivalries(measured, of)),
        *qualities(measured),
        *time_tables(measured),
        spent(measured),
        trade_table(measured, found),
        *sweep_tables(measured),
        data_sets(measured),
    )
    return Report(
        recorded.header,
        measure,
        told(measured, headline, found),
        apart(table for table in tables if table.rows),
        tuple(figures(measured, found)),
        choose(measured, headline),
    )


def apart(tables: Iterable[Table]) -> tuple[Table, ...]:
    """The tables under keys that are file names, and all different."""
    found: dict[str, Table] = {}
    for table in tables:
        key = plain = file_name(table.key)
        number = 2
        while key in found:
            key, number = f"{plain}-{number}", number + 1
        found[key] = replace(table, key=key)
    return tuple(found.values())


def write(report: Report, folder: Path) -> list[Path]:
    """Write ``report.html``, which needs nothing beside it, ``report.md``, and every table and figure by itself.

    Returns the files. Raises `ConfigError` where the folder cannot be written to.
    """
    from coterie.evaluation.blending.page import page

    texts = {"report.html": page(report), "report.md": whole_markdown(report)}
    for table in report.tables:
        texts[f"tables/{table.key}.md"] = markdown(table)
        texts[f"tables/{table.key}.csv"] = as_csv(table)
    texts |= {f"figures/{figure.key}.svg": figure.file() for figure in report.figures}
    written = []
    try:
        for name, text in texts.items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", errors="replace", newline="\n")
            written.append(file)
    except OSError as error:
        raise ConfigError(f"cannot write the report to {str(folder)!r}: {error.strerror}") from error
    return written


def whole_markdown(report: Report) -> str:
    """Words and tables as a Markdown page."""
    said = report.told
    parts = [
        f"# {words(report.header.title)}",
        *map(words, said.run),
        f"**{words(said.verdict)}**",
        _listed(said.findings),
    ]
    if said.warnings:
        parts.append(f"Beware:\n\n{_listed(said.warnings)}")
    for group in report.groups:
        there = [table for table in report.tables if table.group == group]
        parts += [f"## {group}", *(markdown(table, 3).rstrip() for table in there)] if there else []
    return "\n\n".join(part for part in parts if part) + "\n"


def _listed(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {words(sentence)}" for sentence in sentences)
