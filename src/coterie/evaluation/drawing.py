"""A table of rankers as a picture: every number a dot with its interval, a panel for each headline column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coterie.errors import MissingExtra
from coterie.evaluation.columns import Head
from coterie.evaluation.filling import EVERYWHERE
from coterie.evaluation.significance import Estimate
from coterie.evaluation.table import Group, Line, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("svg", "png")

COLOURS: Mapping[str, str] = {
    "judge": "#0072b2",
    "baseline": "#d55e00",
    "model": "#6e6e6e",
    "oracle": "#009e73",
    "chance": "#000000",
}
"""Okabe and Ito's, which people see apart whose colour vision differs."""

JUDGES = ("#0072b2", "#cc79a7", "#56b4e9", "#e69f00", "#009e73")
"""For several of them, where each is to be known by its colour."""

MEANINGS: Mapping[str, str] = {
    "judge": "judge",
    "baseline": "longest",
    "model": "single models",
    "oracle": "oracle",
    "chance": "random (expected)",
}

LINE_INCHES = 0.27

LONGEST_NAME = 42


def draw(table: Table, title: str, folder: Path) -> list[Path]:
    """Write ``chart.svg`` and ``chart.png``, and for groups ``groups-origin``...; the files written.

    Raises `MissingExtra`; what it draws needs no display.
    """
    figures = {"chart": _chart(table, title)} if table.headlines else {}
    for of in dict.fromkeys(group.of for group in table.groups):
        figures[f"groups-{of}"] = _groups(table, [g for g in table.groups if g.of == of], f"{title}, by {of}")
    written = []
    for name, figure in figures.items():
        for form in FORMATS:
            file = folder / f"{name}.{form}"
            figure.savefig(file, dpi=150, bbox_inches="tight", metadata=_UNDATED.get(form))
            written.append(file)
    return written


_UNDATED: Mapping[str, Mapping[str, Any]] = {"svg": {"Date": None}}
"""So that the same table gives the same file."""


def _chart(table: Table, title: str) -> Figure:
    heads = table.headlines
    shown = {head.key: _sorted(table.lines, head) for head in heads}
    most = max(map(len, shown.values()))
    figure = _figure(len(heads), 5.2, most)
    for number, head in enumerate(heads, 1):
        axes = figure.add_subplot(1, len(heads), number)
        lines = shown[head.key]
        for place, line in enumerate(lines):
            _dot(axes, line.cells[head.key], head, place, COLOURS[line.kind])
        _rivals(axes, lines, head)
        names = [_named(line, head, table) for line in lines]
        _frame(axes, names, head, most, [COLOURS[line.kind] for line in lines])
    kinds = [kind for kind in MEANINGS if any(line.kind == kind for line in table.lines)]
    _legend(figure, [(MEANINGS[kind], COLOURS[kind]) for kind in kinds])
    said = f"{title}: {table.examples} examples, {table.prompts} prompts; bars are 95 % intervals"
    figure.suptitle(said, fontsize=10)
    return figure


def _groups(table: Table, groups: Sequence[Group], title: str) -> Figure:
    heads = table.headlines
    names = list(dict.fromkeys(line.name for group in groups for line in group.lines))
    kinds = {line.name: line.kind for group in groups for line in group.lines}
    colours = _colours(names, kinds)
    upwards = list(reversed(groups))  # so that the largest stands on top
    figure = _figure(len(heads), 5.2, len(groups) * max(1.0, 0.45 * len(names)))
    for number, head in enumerate(heads, 1):
        axes = figure.add_subplot(1, len(heads), number)
        for place, group in enumerate(upwards):
            if place % 2:
                axes.axhspan(place - 0.5, place + 0.5, color="#f5f5f5", zorder=-1)
            for line in group.lines:
                if head.key in line.cells:
                    off = 0.6 * (0.5 - (names.index(line.name) + 0.5) / len(names))
                    _dot(axes, line.cells[head.key], head, place + off, colours[line.name])
        _frame(axes, [_short(group.name, group.examples) for group in upwards], head, len(groups))
    _legend(figure, [(name, colours[name]) for name in names])
    figure.suptitle(f"{title}; bars are 95 % intervals", fontsize=10)
    return figure


def _colours(names: Sequence[str], kinds: Mapping[str, str]) -> dict[str, str]:
    """One for each row, every judge its own."""
    judges = [name for name in names if kinds[name] == "judge"]
    return {
        name: JUDGES[judges.index(name) % len(JUDGES)] if name in judges else COLOURS[kinds[name]] for name in names
    }


def check() -> None:
    """Raises `MissingExtra` where nothing can be drawn."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise MissingExtra("a chart", "eval", "matplotlib") from error


def _figure(panels: int, width: float, lines: float) -> Figure:
    check()
    from matplotlib.figure import Figure

    return Figure(figsize=(width * panels, 1.6 + LINE_INCHES * lines), layout="constrained")


def _sorted(lines: Sequence[Line], head: Head) -> list[Line]:
    """The rows that the column has a number for, the best on top."""
    there = [line for line in lines if head.key in line.cells]
    return sorted(there, key=lambda line: head.better(_value(line.cells[head.key])))


def _dot(axes: Axes, cell: Estimate, head: Head, place: float, colour: str) -> None:
    if cell.low is not None and cell.high is not None:
        ends = [head.scaled(cell.low), head.scaled(cell.high)]
        axes.plot(ends, [place, place], color=colour, linewidth=1.6, alpha=0.55)
    axes.plot([head.scaled(_value(cell))], [place], "o", color=colour, markersize=4.5)


def _rivals(axes: Axes, lines: Sequence[Line], head: Head) -> None:
    """A line down through chance and one through the longest, which every judge is to be seen against."""
    for line in lines:
        if line.kind in ("chance", "baseline"):
            at = head.scaled(_value(line.cells[head.key]))
            axes.axvline(at, color=COLOURS[line.kind], linestyle=":", linewidth=0.9, zorder=0)


def _frame(axes: Axes, names: Sequence[str], head: Head, lines: int, colours: Sequence[str] = ()) -> None:
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(len(names) - lines - 0.7, len(names) - 0.3)
    axes.grid(axis="x", color="#e5e5e5", linewidth=0.7)
    axes.set_axisbelow(True)
    for label, colour in zip(axes.get_yticklabels(), colours, strict=False):
        label.set_color(colour)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    less = ", less is better" if head.lower_is_better else ""
    axes.set_xlabel(f"{head.heading}{', %' if head.percent else ''}{less}", fontsize=9)
    if head.lower_is_better:
        axes.invert_xaxis()


def _legend(figure: Figure, entries: Sequence[tuple[str, str]]) -> None:
    """(meaning, colour) below the panels."""
    from matplotlib.lines import Line2D

    marks = [Line2D([], [], color=colour, marker="o", linestyle="", markersize=5) for _, colour in entries]
    names = [_short(meaning) for meaning, _ in entries]
    figure.legend(marks, names, loc="outside lower center", ncols=min(5, len(names)), frameon=False, fontsize=8)


def _named(line: Line, head: Head, table: Table) -> str:
    """A row's name, and on how many examples it has a number where those are far from all."""
    n = line.cells[head.key].n
    return _short(line.name, n if n < EVERYWHERE * table.covered[head.key] else None)


def _short(name: str, n: int | None = None) -> str:
    short = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
    return short if n is None else f"{short} (n={n})"


def _value(cell: Estimate) -> float:
    return 0.0 if cell.value is None else cell.value
