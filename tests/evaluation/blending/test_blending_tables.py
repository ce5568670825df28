"""Tables: numbers worked out by hand, the thesis' own among them, and what Markdown and CSV make of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from made_up import BERT, Made, recorded

from coterie.evaluation.blending import cells
from coterie.evaluation.blending.cells import Cell
from coterie.evaluation.blending.header import DataSet, Header, Measure
from coterie.evaluation.blending.measured import Measured
from coterie.evaluation.blending.quality import data_sets, qualities, rivalries
from coterie.evaluation.blending.recording import Recorded
from coterie.evaluation.blending.rows import Kind, Question, Row
from coterie.evaluation.blending.spending import promised, spent
from coterie.evaluation.blending.sweeping import sweep_tables
from coterie.evaluation.blending.tables import Head, Table, as_csv, file_name, markdown
from coterie.evaluation.blending.timing import time_tables
from coterie.evaluation.blending.trading import trade_table, trades
from coterie.evaluation.blending.versus import Rivals
from coterie.evaluation.significance import Bootstrap, Estimate
from coterie.policies import AlternateRanking, delta_quality, delta_time_s, speed_up

pytest.importorskip("numpy", reason="intervals need numpy")

QUICK = Bootstrap(resamples=500)
Q = Measure("q", "Q", digits=2)


def measured_of(rows: Iterable[Row], header: Header = Header(metrics=(Q,))) -> Measured:  # noqa: B008
    return Measured(Recorded(header, tuple(rows)), QUICK)


def cell(table: Table, row: str, column: str, dataset: str = "") -> Cell:
    """The cell in the named row, of a data set where the rows are of several."""
    place = [head.key for head in table.heads].index(column)
    [found] = [r for r in table.rows if r[0].text == row and (not dataset or dataset in [c.text for c in r])]
    return found[place]


def tables_of(found: Iterable[Table]) -> dict[str, Table]:
    return {table.key: table for table in found}


def scored(method: str, scores: Sequence[float | None], kind: Kind = "blend", dataset: str = "d") -> list[Row]:
    """A conversation for each score."""
    return [Row(dataset, str(n), 1, method, kind, quality={"q": score}) for n, score in enumerate(scores)]


# ---- quality ----------------------------------------------------------------------------------


def test_bold_is_only_what_its_intervals_say() -> None:
    high, low = [0.9 + n % 3 / 100 for n in range(30)], [0.5 + n % 4 / 100 for n in range(30)]
    [table] = qualities(measured_of([*scored("a", high), *scored("b", low)]))
    assert cell(table, "a", "d").best
    assert not cell(table, "b", "d").best
    nearly = [score + (-1) ** n / 10 for n, score in enumerate(high)]
    [table] = qualities(measured_of([*scored("a", high), *scored("b", low), *scored("c", nearly)]))
    assert not any(row[2].best for row in table.rows)


def test_the_oracle_stands_in_nobodys_way() -> None:
    low, high = [0.5 + n % 3 / 100 for n in range(30)], [0.8 + n % 3 / 100 for n in range(30)]
    oracle = scored("oracle", [score + 0.1 for score in high], "oracle")
    [table] = qualities(measured_of([*scored("a", high), *scored("b", low), *oracle]))
    assert cell(table, "a", "d").best
    assert not cell(table, "oracle", "d").best


def test_one_method_alone_is_the_best_of_nothing() -> None:
    [table] = qualities(measured_of(scored("a", [0.5, 0.6, 0.7])))
    assert not cell(table, "a", "d").best


def test_less_is_better_where_the_metric_says_so() -> None:
    high, low = [0.9 + n % 3 / 100 for n in range(30)], [0.5 + n % 4 / 100 for n in range(30)]
    header = Header(metrics=(replace(Q, lower_is_better=True),))
    [table] = qualities(measured_of([*scored("a", high), *scored("b", low)], header))
    assert cell(table, "b", "d").best


def test_a_mean_tells_how_much_it_is_of() -> None:
    rows = [*scored("a", [0.25, 0.75, 1.0]), *scored("b", [0.5]), Row("d", "1", 1, "b", "blend", failed="timeout")]
    [table] = qualities(measured_of(rows))
    assert cell(table, "a", "d").text.startswith("0.67 ±")
    assert cell(table, "b", "d").said == "0.50 (1 of 3)"
    assert cell(table, "b", "d").wrong


def test_each_metric_has_a_table_and_points_are_times_100() -> None:
    rows = [Row("d", "0", 1, "a", "blend", quality={"bertscore": 0.8671, "other": 3.5, "third": None})]
    header = Header(metrics=(BERT,))
    found = tables_of(qualities(measured_of(rows, header)))
    assert list(found) == ["quality-bertscore", "quality-other"]
    assert cell(found["quality-bertscore"], "a", "d").text == "86.71"
    assert cell(found["quality-other"], "a", "d").text == "3.500"


def test_rivals_are_the_best_single_member_and_the_reference() -> None:
    measured = Measured(recorded(), QUICK)
    found = tables_of(rivalries(measured, Rivals(measured, BERT)))
    assert list(found) == ["single-bertscore", "reference-bertscore"]
    single = found["single-bertscore"]
    assert [head.text for head in single.heads] == ["method", "kind", "CoQA", "QuAC", "all together"]
    assert {row[1].text for row in single.rows} == {"baseline", "selection", "blend"}
    assert {c.word for row in single.rows for c in row[2:]} <= {"yes", "no", "cannot tell"}
    assert "llm_blender (K=3)" not in [row[0].text for row in found["reference-bertscore"].rows]
    for row in single.rows:
        for c in row[2:]:
            assert c.low is not None
            assert c.high is not None
            assert c.word == ("yes" if c.low > 0 else "no" if c.high < 0 else "cannot tell")


def test_data_sets_are_told_as_loaded_and_as_asked() -> None:
    header = Header(
        data=(DataSet("CoQA", "", 8000, 56000, 7, 7, fingerprint="f"), DataSet("DoQA", "Cooking", 5, 20, 3, 4))
    )
    rows = [Row("CoQA", c, t, "m", "blend") for c in ("a", "b") for t in (1, 2)] + [Row("other", "a", 1, "m", "blend")]
    questions = {q.place: q for q in (Question("CoQA", c, 1, "?", (), d) for c, d in (("a", "Wiki"), ("b", "News")))}
    table = data_sets(Measured(Recorded(header, tuple(rows), questions), QUICK))
    assert [[c.text for c in row[:7]] for row in table.rows] == [
        ["CoQA", "News, Wiki", "7", "8000", "56000", "2", "4"],
        ["DoQA", "Cooking", "3–4", "5", "20", "0", "0"],
        ["other", "–", "–", "–", "–", "1", "1"],
    ]


# ---- time -------------------------------------------------------------------------------------


def timed(method: str, times: Sequence[float], **fields: object) -> list[Row]:
    return [replace(Row("DoQA", str(n), 1, method, "blend", time_s=t), **fields) for n, t in enumerate(times)]  # type: ignore[arg-type]


def test_speed_ups_of_the_thesis_table_by_its_own_times() -> None:
    """DoQA of table 6.3: 41.948 s over 3.795 s is 11.05, whatever is printed there; over 2.918 s it is 14.38."""
    rows = [
        *timed("llm_blender", [41.948] * 2, top_k=3),
        *timed("peer", [3.795] * 2, policy="full_ranking"),
        *timed("peer", [2.918] * 2, policy="alternate_ranking"),
    ]
    found = tables_of(time_tables(measured_of(rows, Header(reference={"method": "llm_blender"}))))
    over = found["speed-up"]
    assert cell(over, "peer (full ranking)", "DoQA").text == "11.05× [11.05, 11.05]"
    assert cell(over, "peer (alternate ranking)", "DoQA").text.startswith("14.38×")
    reduced = found["speed-up-ranking"]
    assert [row[0].text for row in reduced.rows] == ["peer (alternate ranking)"]
    assert cell(reduced, "peer (alternate ranking)", "DoQA").value == pytest.approx(3.795 / 2.918)
    assert cell(found["time"], "llm_blender", "DoQA").text == "41.9"


def test_stages_medians_and_what_they_leave_untold() -> None:
    each = [
        Row("d", str(n), 1, "m", "blend", time_s=t, generate_s=t / 2, rank_s=t / 4, fuse_s=t / 4, wall_s=2 * t)
        for n, t in enumerate((1.0, 2.0, 9.0))
    ]
    table = tables_of(time_tables(measured_of(each)))["time-stages"]
    assert [cell(table, "m", key).value for key in ("total_s", "median_s", "p90_s", "generate_s", "rank_s")] == [
        4,
        2,
        9,
        2,
        1,
    ]
    assert cell(table, "m", "wall_over_total").text.startswith("2.00×")
    assert table.notes[-1:] != ("m: in 1 rows the stages are not what the total is",)
    odd = [*each, replace(each[0], turn=2, rank_s=5.0)]
    assert (
        "m: in 1 rows the stages are not what the total is"
        in tables_of(time_tables(measured_of(odd)))["time-stages"].notes
    )


def test_a_failure_is_not_quick() -> None:
    rows = [*timed("m", [4.0, 2.0]), Row("DoQA", "9", 1, "m", "blend", failed="timeout", time_s=0.001)]
    assert cell(tables_of(time_tables(measured_of(rows)))["time"], "m", "DoQA").value == 3.0


def test_without_times_there_is_no_table() -> None:
    assert list(time_tables(measured_of(scored("m", [0.5])))) == []


# ---- calls and cost -----------------------------------------------------------------------------


def called(turn: int, generations: int, reviews: int, fusions: int, **fields: object) -> Row:
    row = Row("d", "c", turn, "m", "blend", n=4, asked=4, reviews_each=3, ranked=True)
    return replace(row, generations=generations, reviews=reviews, fusions=fusions, **fields)  # type: ignore[arg-type]


def test_calls_are_held_against_the_formula() -> None:
    """4 + 4 * 3 + 1 = 17 where it is ranked, 2 + 0 + 1 = 3 where two write and nobody ranks."""
    assert promised(called(1, 4, 12, 1)) == (4, 12, 1)
    assert promised(called(1, 0, 0, 0, ranked=False, asked=2)) == (2, 0, 1)
    assert promised(called(1, 0, 0, 0, kind="selection")) == (4, 12, 0)
    assert promised(called(1, 0, 0, 0, asked=None)) == (4, 12, 1)
    assert promised(called(1, 0, 0, 0, reviews_each=None)) is None
    table = spent(measured_of([called(1, 4, 12, 1), called(2, 2, 0, 1, ranked=False, asked=2)]))
    assert cell(table, "m", "calls_by_formula").value == 10
    assert cell(table, "m", "calls").value == 10
    assert cell(table, "m", "rows_that_differ").said == "0 of 2"
    table = spent(measured_of([called(1, 4, 12, 1), called(2, 5, 12, 1)]))
    assert cell(table, "m", "rows_that_differ").said == "1 of 2 differ"
    assert cell(table, "m", "rows_that_differ").wrong
    assert cell(table, "m", "calls").text == "17.5"


def test_failures_are_paid_for_by_the_answers() -> None:
    rows = [
        called(1, 4, 12, 1, input_tokens=100, output_tokens=10, cost_usd=0.001, memory_bytes=2**30, similarity=0.25),
        called(2, 4, 0, 0, input_tokens=300, output_tokens=0, cost_usd=0.002, memory_bytes=2**31, failed="timeout"),
        called(3, 4, 12, 1, input_tokens=200, output_tokens=20, cost_usd=0.003, similarity=0.75),
    ]
    table = spent(measured_of(rows))
    found = [
        cell(table, "m", key).value for key in ("answered", "input_tokens", "output_tokens", "cost_usd", "memory_gib")
    ]
    assert found == [2, 300, 15, pytest.approx(0.003), 2]
    assert cell(table, "m", "answered").said == "2 of 3"
    assert cell(table, "m", "similarity").value == 0.5


def test_an_unknown_price_is_not_free() -> None:
    rows = [called(1, 4, 12, 1, cost_usd=0.5, input_tokens=5), called(2, 4, 12, 1, input_tokens=7)]
    table = spent(measured_of(rows))
    assert cell(table, "m", "cost_usd") == Cell()
    assert cell(table, "m", "input_tokens").value == 6


def test_where_nothing_was_answered_nothing_has_a_price() -> None:
    table = spent(measured_of([called(1, 4, 0, 0, failed="timeout", cost_usd=1.0)]))
    assert cell(table, "m", "answered").said == "0 of 1"
    assert cell(table, "m", "cost_usd").value is None


# ---- the trade-off ------------------------------------------------------------------------------


def traded(policy: str, qualities: Sequence[float], times: Sequence[float], ranked: Sequence[bool]) -> list[Row]:
    """A conversation of four turns each."""
    return [
        Row("d", str(n // 4), n % 4 + 1, "m", "blend", 4, 2, policy=policy, quality={"q": q}, time_s=t, ranked=r,
            asked=4 if r else 2)
        for n, (q, t, r) in enumerate(zip(qualities, times, ranked, strict=True))
    ]  # fmt: skip


FULL = traded("full_ranking", [0.9, 0.8, 0.7, 0.6] * 2, [4.0] * 8, [True] * 8)
ALTERNATE = traded("alternate_ranking", [0.9, 0.7, 0.7, 0.4] * 2, [4.0, 1.0] * 4, [True, False] * 4)


def test_a_trade_by_hand() -> None:
    """Lost are 0.1 and 0.2 of four: 0.075 on average. Saved are 3 s on every other turn: 1.5 s. 4 / 2.5 = 1.6 times."""
    measured = measured_of([*FULL, *ALTERNATE])
    [trade] = trades(measured, Q, ["d"])
    assert trade.delta_quality is not None
    assert trade.delta_time_s is not None
    assert trade.speed_up is not None
    assert trade.delta_quality.value == pytest.approx(0.075)
    assert trade.delta_time_s.value == pytest.approx(1.5)
    assert trade.speed_up.value == pytest.approx(1.6)
    assert [trade.quality_full, trade.quality, trade.ranked] == pytest.approx([0.75, 0.675, 0.5])
    assert trade.loses == "yes"
    assert trade.delta_quality.value == delta_quality(
        *([row.quality["q"] for row in rows] for rows in (FULL, ALTERNATE))
    )
    assert trade.delta_time_s.value == delta_time_s(*([row.time_s for row in rows] for rows in (FULL, ALTERNATE)))


def test_the_closed_form_stands_beside_what_was_measured() -> None:
    [trade] = trades(measured_of([*FULL, *ALTERNATE]), Q, ["d"])
    by_hand = speed_up(AlternateRanking().shares(4, 2, 4), 4, lambda n, ranks: 4.0 if ranks else 1.0)
    assert trade.expected == pytest.approx(by_hand) == pytest.approx(1.6)


def test_a_policy_that_nobody_knows_has_no_closed_form() -> None:
    renamed = [replace(row, policy="sometimes") for row in ALTERNATE]
    [trade] = trades(measured_of([*FULL, *renamed]), Q, ["d"])
    assert trade.expected is None
    header = Header(metrics=(Q,), policies={"sometimes": {"kind": "alternate_ranking", "every": 2}})
    [trade] = trades(measured_of([*FULL, *renamed], header), Q, ["d"])
    assert trade.expected == pytest.approx(1.6)


def test_less_is_better_turns_the_word_and_not_the_number() -> None:
    header = Header(metrics=(replace(Q, lower_is_better=True),))
    measured = measured_of([*FULL, *ALTERNATE], header)
    [trade] = trades(measured, header.metrics[0], ["d"])
    assert trade.delta_quality is not None
    assert trade.delta_quality.value == pytest.approx(0.075)
    assert trade.loses == "no"


def test_the_table_of_trades() -> None:
    measured = measured_of([*FULL, *ALTERNATE])
    table = trade_table(measured, list(trades(measured, Q, measured.parts)))
    assert cell(table, "m (alternate ranking)", "delta_quality").text.startswith("+0.08 [")
    assert cell(table, "m (alternate ranking)", "delta_time_s").text == "+1.50 [+1.50, +1.50]"
    assert cell(table, "m (alternate ranking)", "turns_ranked").text == "50%"
    assert cell(table, "m (alternate ranking)", "loses").text == "yes"
    assert cell(table, "m (alternate ranking)", "expected_speed_up").text == "1.60×"


def test_without_full_ranking_there_is_no_trade() -> None:
    measured = measured_of(ALTERNATE)
    assert list(trades(measured, Q, ["d"])) == []
    assert trade_table(measured, []).rows == ()


# ---- sweeps -------------------------------------------------------------------------------------


def test_sweeps_are_of_the_questions_that_all_sizes_answered() -> None:
    rows = [
        Row("d", str(c), 1, "m", "blend", n, 2, quality={"q": n / 10 + c}, time_s=float(n), generate_s=1.0)
        for n in (2, 4)
        for c in range(3)
        if (n, c) != (4, 2)
    ]
    [table] = sweep_tables(measured_of(rows))
    assert [[c.text for c in row[:3]] for row in table.rows] == [["m", "d", "2"], ["m", "d", "4"]]
    assert [row[3].value for row in table.rows] == [pytest.approx(0.7), pytest.approx(0.9)]
    assert [row[4].value for row in table.rows] == [2, 4]
    assert [row[3].n for row in table.rows] == [2, 2]


def test_k_is_swept_with_the_whole_pool_only() -> None:
    rows = [Row("d", "c", 1, "m", "blend", n, k, quality={"q": k / 10}) for n in (2, 4) for k in (1, 2, 3) if k <= n]
    found = tables_of(sweep_tables(measured_of(rows)))
    assert [row[2].text for row in found["by-k"].rows] == ["1", "2", "3"]
    assert [row[0].text for row in found["by-pool-size"].rows] == ["m (K=1)"] * 2 + ["m (K=2)"] * 2


# ---- writing ------------------------------------------------------------------------------------


TABLE = Table(
    "t",
    "A | title",
    (Head("who", "who", number=False), Head("how *good*", "good")),
    (
        (Cell("=1+1|<b>", "=1+1|<b>"), Cell("1.0 ±0.5", 1.0, 0.5, 1.5, 7, best=True)),
        (Cell('a "b"\nc', 'a "b"\nc'), Cell("2.0", 2.0, word="yes")),
        (Cell("-", "-"), Cell()),
    ),
    "It tells.",
    ("A note.",),
)


def test_markdown_shows_everything_as_it_is() -> None:
    assert markdown(TABLE) == (
        "## A \\| title\n\nIt tells.\n\n"
        "| who | how \\*good\\* |\n| --- | ---: |\n"
        "| =1+1\\|&lt;b> | **1.0 ±0.5** |\n"
        '| a "b" c | 2.0 yes |\n| - | – |\n\n'
        "- A note.\n"
    )


def test_csv_holds_every_number_in_full() -> None:
    rows = list(csv.reader(io.StringIO(as_csv(TABLE))))
    assert rows == [
        ["who", "good", "good low", "good high", "good n", "good word"],
        ["'=1+1|<b>", "1.0", "0.5", "1.5", "7", ""],
        ['a "b"\nc', "2.0", "", "", "", "yes"],
        ["'-", "", "", "", "", ""],
    ]


def test_csv_of_a_whole_report_gives_the_numbers_back() -> None:
    measured = Measured(recorded(Made(conversations=4)), QUICK)
    for table in (*qualities(measured), *time_tables(measured), spent(measured)):
        rows = list(csv.DictReader(io.StringIO(as_csv(table))))
        assert len(rows) == len(table.rows)
        for row, line in zip(rows, table.rows, strict=True):
            for head, of in zip(table.heads, line, strict=True):
                assert row[head.key] == ("" if of.value is None else str(of.value))


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.00012345, "0.000123"), (0.5, "0.500"), (12.345, "12.3"), (99999.0, "99999"), (-0.25, "-0.250")],
)
def test_three_digits_are_significant(value: float, text: str) -> None:
    assert cells.significant(value) == text


def test_cells_of_what_is_unknown_are_empty() -> None:
    nothing = Estimate(None, None, None, 0)
    assert cells.mean(None) == cells.mean(nothing) == cells.times(nothing) == cells.gain_s(None) == Cell()
    assert cells.number(None) == cells.count(None) == cells.share(None) == Cell()
    assert cells.difference(Estimate(0.5, None, None, 1), Q).text == "+0.50"
    assert (
        cells.mean(Estimate(0.0, -0.5, 0.5, 4)).text == "0 ±0"
        or cells.mean(Estimate(0.0, -0.5, 0.5, 4)).text == "0 ±0.500"
    )


@pytest.mark.parametrize(("key", "name"), [("of-../../etc", "of--etc"), ("ROUGE/L", "ROUGE-L"), ("漢", "table")])
def test_keys_are_file_names(key: str, name: str) -> None:
    assert file_name(key) == name
