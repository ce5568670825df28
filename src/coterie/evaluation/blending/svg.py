"""Small SVG drawings: text stays text, every mark tells its numbers, and colours can be turned for a dark page.

A colour is set on an element as ``color`` and used as ``currentColor``, under a class of its name, so that a file
stands alone and a page may give the class another colour.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Literal
from unicodedata import east_asian_width

from coterie.evaluation.drawing import COLOURS as OF_ROWS
from coterie.evaluation.drawing import JUDGES

COLOURS: Mapping[str, str] = {
    "ink": "#1a1a1a",
    "soft": "#5c5c5c",
    "rule": "#e0e0e0",
    "blend": OF_ROWS["judge"],
    "selection": JUDGES[1],
    "baseline": OF_ROWS["baseline"],
    "single": OF_ROWS["model"],
    "oracle": OF_ROWS["oracle"],
    **{
        f"series{n}": colour
        for n, colour in enumerate((JUDGES[0], OF_ROWS["baseline"], JUDGES[4], JUDGES[1], JUDGES[3]))
    },
}
"""Okabe and Ito's, as in the other charts."""

Shape = Literal["circle", "square", "diamond", "up", "down"]
SHAPES: tuple[Shape, ...] = ("circle", "square", "diamond", "up", "down")

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'DejaVu Sans', sans-serif"

SIZE = 11
"""Of text, in the drawing's units, which are a phone's pixels."""

Anchor = Literal["start", "middle", "end"]


class Drawing:
    """Marks on a sheet of so many units."""

    def __init__(self, width: float, height: float, title: str) -> None:
        self.width = width
        self.height = height
        self._title = title
        self._marks: list[str] = []

    def line(
        self, a: tuple[float, float], b: tuple[float, float], colour: str, *, wide: float = 1, dash: str = ""
    ) -> None:
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        ends = f'x1="{_n(a[0])}" y1="{_n(a[1])}" x2="{_n(b[0])}" y2="{_n(b[1])}"'
        self._marks.append(
            f'<line {ends} {_coloured(colour)} stroke="currentColor" stroke-width="{_n(wide)}"{dashed}/>'
        )

    def path(self, points: Sequence[tuple[float, float]], colour: str, dash: str = "") -> None:
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        at = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
        drawn = f'fill="none" stroke="currentColor" stroke-width="1.6"{dashed}'
        self._marks.append(f'<polyline points="{at}" {_coloured(colour)} {drawn}/>')

    def bar(self, corner: tuple[float, float], width: float, height: float, colour: str, says: str = "") -> None:
        place = f'x="{_n(corner[0])}" y="{_n(corner[1])}" width="{_n(width)}" height="{_n(height)}"'
        self._marks.append(_titled("rect", f'{place} {_coloured(colour)} fill="currentColor"', says))

    def mark(self, at: tuple[float, float], shape: Shape, colour: str, says: str = "") -> None:
        x, y = at
        filled = f'{_coloured(colour)} fill="currentColor"'
        if shape == "circle":
            self._marks.append(_titled("circle", f'cx="{_n(x)}" cy="{_n(y)}" r="4" {filled}', says))
            return
        corners = " ".join(f"{_n(x + dx)},{_n(y + dy)}" for dx, dy in _CORNERS[shape])
        self._marks.append(_titled("polygon", f'points="{corners}" {filled}', says))

    def text(
        self, at: tuple[float, float], text: str, colour: str = "ink", anchor: Anchor = "start", *, bold: bool = False
    ) -> None:
        place = f'x="{_n(at[0])}" y="{_n(at[1])}" text-anchor="{anchor}"'
        weight = ' font-weight="600"' if bold else ""
        self._marks.append(f'<text {place} {_coloured(colour)} fill="currentColor"{weight}>{shown(text)}</text>')

    def upright(self, at: tuple[float, float], text: str) -> None:
        """Text that is read from below."""
        turned = f'transform="translate({_n(at[0])} {_n(at[1])}) rotate(-90)" text-anchor="middle"'
        self._marks.append(f'<text {turned} {_coloured("soft")} fill="currentColor">{shown(text)}</text>')

    def markup(self, corner: tuple[float, float] | None = None) -> str:
        """The drawing, to stand alone in a page, or at a corner of another drawing."""
        size = f'viewBox="0 0 {_n(self.width)} {_n(self.height)}"'
        if corner is not None:
            size += f' x="{_n(corner[0])}" y="{_n(corner[1])}" width="{_n(self.width)}" height="{_n(self.height)}"'
        said = f"<title>{shown(self._title)}</title>"
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="{FONT}" font-size="{SIZE}">'
        return "\n".join([head + said, *self._marks, "</svg>"])


_CORNERS: Mapping[Shape, tuple[tuple[float, float], ...]] = {
    "square": ((-3.6, -3.6), (3.6, -3.6), (3.6, 3.6), (-3.6, 3.6)),
    "diamond": ((0, -5), (5, 0), (0, 5), (-5, 0)),
    "up": ((0, -4.8), (4.8, 3.8), (-4.8, 3.8)),
    "down": ((0, 4.8), (4.8, -3.8), (-4.8, -3.8)),
}


def sheet(drawings: Sequence[Drawing], title: str, columns: int = 2) -> str:
    """All of them on one white sheet, a file of its own."""
    columns = min(columns, len(drawings))
    rows = [drawings[n : n + columns] for n in range(0, len(drawings), columns)]
    heights = [max(drawing.height for drawing in row) for row in rows]
    width = columns * max(drawing.width for drawing in drawings)
    parts = []
    top = 26.0
    for row, height in zip(rows, heights, strict=True):
        parts += [drawing.markup((n * width / columns, top)) for n, drawing in enumerate(row)]
        top += height
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(width)} {_n(top)}" width="{_n(width)}" '
        f'height="{_n(top)}" font-family="{FONT}" font-size="13"><rect width="100%" height="100%" fill="#ffffff"/>'
    )
    return "\n".join([head, f'<text x="8" y="18" font-weight="600">{shown(title)}</text>', *parts, "</svg>\n"])


def shown(text: str) -> str:
    """`text` as markup that shows it and nothing else: marks escaped, control characters and half ones replaced."""
    return escape("".join(_visible(char) for char in text))


def _visible(char: str) -> str:
    code = ord(char)
    if code < 0x20 and char not in "\n\t\r":
        return chr(0x2400 + code)
    if 0x7F <= code <= 0x9F or 0xD800 <= code <= 0xDFFF or code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF:
        return "\N{REPLACEMENT CHARACTER}"
    return char


def width_of(text: str) -> float:
    """Units that a text takes at most, in about any font."""
    return SIZE * math.fsum(1.0 if east_asian_width(char) in "WF" else 0.6 for char in text)


def shortened(text: str, most: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _titled(tag: str, attributes: str, says: str) -> str:
    return f"<{tag} {attributes}><title>{shown(says)}</title></{tag}>" if says else f"<{tag} {attributes}/>"


def _coloured(colour: str) -> str:
    return f'class="c-{colour}" color="{COLOURS[colour]}"'


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
