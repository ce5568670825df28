"""Figures: names stand over nothing, scales say what they show, and what is drawn is well-formed."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import Made, recorded

from coterie.evaluation.blending.figures import Figure, figures
from coterie.evaluation.blending.measured import Measured
from coterie.evaluation.blending.panels import AREA, LONGEST_NAME, Entry, Point, Span, Words, cloud, key
from coterie.evaluation.blending.placing import POINT, Box, along, place
from coterie.evaluation.blending.scales import scale
from coterie.evaluation.blending.svg import Drawing, shown, width_of
from coterie.evaluation.blending.trading import trades
from coterie.evaluation.significance import Bootstrap

pytest.importorskip("numpy", reason="intervals need numpy")

SVG = "{http://www.w3.org/2000/svg}"

POINTS = st.lists(st.tuples(st.floats(52, 344), st.floats(30, 226)), min_size=1, max_size=30)


def drawn(made: Made = Made()) -> dict[str, Figure]:  # noqa: B008
    measured = Measured(recorded(made), Bootstrap(resamples=300))
    found = list(trades(measured, measured.measure, measured.parts))
    return {figure.key: figure for figure in figures(measured, found)}


def texts(drawing: Drawing) -> list[str]:
    return [of.text or "" for of in ET.fromstring(drawing.markup()).iter(f"{SVG}text")]


# ---- names beside points ------------------------------------------------------------------------


@given(POINTS)
@settings(max_examples=60, deadline=None)
def test_no_name_stands_over_a_name_or_a_point_or_out_of_the_area(points: list[tuple[float, float]]) -> None:
    labels = place(points, [str(n) for n in range(len(points))], AREA)
    marks = [Box(x - POINT, y - POINT, x + POINT, y + POINT) for x, y in points]
    for n, label in enumerate(labels):
        assert AREA.holds(label.box)
        assert not any(label.box.meets(mark) for mark in marks)
        assert not any(label.box.meets(other.box) for other in labels[:n])


def test_a_point_alone_has_its_name_at_its_right() -> None:
    [label] = place([(100.0, 100.0)], ["name"], AREA)
    assert label.box.left == pytest.approx(109)
    assert label.lead is None


def test_a_name_far_from_its_point_has_a_line_to_it() -> None:
    crowd = [(100.0 + x, 100.0 + y) for x in (-6, 0, 6) for y in (-6, 0, 6)]
    labels = place(crowd, ["n"] * 9, AREA)
    assert len(labels) == 9
    assert any(label.lead for label in labels)


def test_a_name_that_finds_no_room_is_left_out() -> None:
    assert place([(100.0, 100.0)], ["wide " * 100], AREA) == []


def test_a_name_at_the_end_of_a_line_keeps_clear_of_it() -> None:
    """Curves over calls begin at the weak member's point in the corner and end at the strong one's."""
    ends = [(AREA.left, AREA.bottom - 3), (AREA.right, AREA.top + 40)]
    bent = [ends[0], (AREA.left + 60, AREA.bottom - 45), ends[1]]
    lines = [box for line in (ends, bent) for box in along(line)]
    labels = place(ends, ["mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview"], AREA, lines)
    assert len(labels) == 2
    assert not [label.text for label in labels if any(map(label.box.meets, lines))]


def test_a_name_that_cannot_keep_clear_stands_over_as_little_as_can_be() -> None:
    bars = [Box(0, 0, 400, 300), Box(100, 0, 400, 300)]
    [label] = place([(150.0, 100.0)], ["name"], AREA, bars)
    assert [label.box.meets(bar) for bar in bars] == [True, False]


def test_names_keep_clear_of_intervals_where_they_can() -> None:
    [label] = place([(100.0, 100.0)], ["name"], AREA, [Box(90, 99, 300, 101)])
    assert not label.box.meets(Box(90, 99, 300, 101))


def test_thirty_methods_are_numbered_and_the_key_names_them() -> None:
    made = Made(datasets=("d",), conversations=3, turns=2, members=tuple(f"member number {n}" for n in range(30)))
    figure = drawn(made)["quality-by-cost"]
    panel, names = figure.panels
    assert {"1", "30"} <= set(texts(panel))
    assert "member number 0" not in texts(panel)
    assert {f"member number {n}" for n in range(30)} <= set(texts(names))


def test_few_methods_stand_under_their_names() -> None:
    points = [Point(name, Span.exact(n), Span.exact(n), "blend", "circle", name) for n, name in enumerate("ab")]
    drawing, left_out = cloud(Words("t", "x", "y"), points, ["a", "b"])
    assert left_out == 0
    assert {"a", "b"} <= set(texts(drawing))


# ---- scales -------------------------------------------------------------------------------------


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5), st.booleans(), st.booleans())
@settings(deadline=None)
def test_a_scale_holds_its_values_and_labels_its_ticks_truly(values: list[float], zero: bool, log: bool) -> None:
    found = scale(values, 0.0, 100.0, zero=zero, log=log)
    slack = 1e-6 * max(map(abs, (found.low, found.high)))
    assert all(found.low - slack <= value <= found.high + slack for value in values)
    assert all(-1e-6 <= found.at(tick) <= 100 + 1e-6 for tick in found.ticks)
    assert 1 <= len(found.ticks) <= 9
    step = (found.high - found.low) / 100
    assert all(math.isclose(float(found.label(tick)), tick, abs_tol=step, rel_tol=1e-5) for tick in found.ticks)
    assert len({found.label(tick) for tick in found.ticks}) == len(found.ticks)
    if zero:
        assert found.low <= 0 <= found.high


def test_what_spans_powers_of_ten_is_on_a_scale_of_shares() -> None:
    found = scale([0.4, 41.0], 0.0, 100.0, log=True)
    assert found.log
    assert [found.label(tick) for tick in found.ticks] == ["1", "10"]
    assert not scale([0.0, 41.0], 0.0, 100.0, log=True).log


# ---- the figures --------------------------------------------------------------------------------


def test_all_figures_are_drawn_and_well_formed() -> None:
    found = drawn()
    assert list(found) == ["time-by-pool", "trade-off", "quality-by-n", "quality-by-k", "quality-by-cost"]
    for figure in found.values():
        root = ET.fromstring(figure.file())
        assert root.tag == f"{SVG}svg"
        for panel in figure.panels:
            assert_inside(panel)


def assert_inside(drawing: Drawing) -> None:
    """Nothing that is drawn lies outside of the sheet."""
    for mark in ET.fromstring(drawing.markup()).iter():
        for x, y in _places(mark):
            assert -1 <= x <= drawing.width + 1, ET.tostring(mark)
            assert -1 <= y <= drawing.height + 1, ET.tostring(mark)


def _places(mark: ET.Element) -> Iterator[tuple[float, float]]:
    for x, y in (("x", "y"), ("x1", "y1"), ("x2", "y2"), ("cx", "cy")):
        if x in mark.attrib and y in mark.attrib:
            yield float(mark.attrib[x]), float(mark.attrib[y])
    for pair in mark.attrib.get("points", "").split():
        x, y = pair.split(",")
        yield float(x), float(y)
    if mark.tag == f"{SVG}text" and "x" in mark.attrib:
        wide = width_of(mark.text or "") * {"start": 1, "middle": 0.5, "end": -1}[mark.attrib["text-anchor"]]
        yield float(mark.attrib["x"]) + wide * 0.9, float(mark.attrib["y"])


def test_bars_are_as_high_as_their_stages() -> None:
    [panel, *_] = drawn()["time-by-pool"].panels
    bars = [of for of in ET.fromstring(panel.markup()).iter(f"{SVG}rect") if float(of.attrib["height"])]
    heights = [float(of.attrib["height"]) for of in bars[:3]]
    # N = 2 with full ranking: 0.8 s, 0.6 s and 0.5 s.
    assert [height / heights[0] for height in heights] == pytest.approx([1, 0.6 / 0.8, 0.5 / 0.8], abs=0.01)


def test_every_mark_tells_its_numbers() -> None:
    [panel, *_] = drawn()["trade-off"].panels
    said = [of.text or "" for of in ET.fromstring(panel.markup()).iter(f"{SVG}title")]
    assert any(of.startswith("peer_blend (K=3, first k): ") and of.endswith(" s saved") for of in said)


def test_without_numbers_there_is_no_figure() -> None:
    assert drawn(Made(conversations=0)) == {}


def test_names_of_any_kind_are_text() -> None:
    wild = "<script>&\"'\x00\x1b\ud800\uffff\u202e漢字" + "x" * 100
    drawing = key([Entry(wild, "blend")])
    [text] = texts(drawing)
    plain = wild.replace("\x00", "␀").replace("\x1b", "␛").replace("\ud800", "�").replace("\uffff", "�")
    assert text == plain[: LONGEST_NAME - 1] + "…"
    assert "<script" not in drawing.markup()


def test_markup_shows_a_text_and_nothing_else() -> None:
    assert shown("a<b>&\"'\n\t") == "a&lt;b&gt;&amp;&quot;&#x27;\n\t"
    assert shown("\x00\x7f\x85\ufdd0\U0001fffe\U0001f600") == "␀����\U0001f600"
