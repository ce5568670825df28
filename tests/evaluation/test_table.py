"""The table of rankers on labels small enough to reckon by hand, and what each kind of data leaves out."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from coterie.evaluation import drawing, sheets
from coterie.evaluation.columns import CorrelationColumn
from coterie.evaluation.filling import columns_of, metrics_of, references_of
from coterie.evaluation.labels import Ranks, Reference, competition_ranks, label_ranks
from coterie.evaluation.rows import Row, chance, models, of_model, of_models_in_order, of_ranks, oracle_by_metric, picks
from coterie.evaluation.significance import Bootstrap
from coterie.evaluation.table import LONGEST, ORDER, SINGLE, Line, Table
from coterie.evaluation.tabulating import make_table
from coterie.evaluation.telling import told
from coterie.examples import Comparison, Example, Text, read
from coterie.examples.example import PREFERENCE
from coterie.examples.split import prompt_key

np = pytest.importorskip("numpy", reason="intervals need numpy")

from coterie.evaluation.resampling import Draws  # noqa: E402

FEW = Bootstrap(resamples=200, seed=1)
PAIRS = list(read(str(Path(__file__).parent.parent / "data" / "preference_pairs.jsonl")))


def ranked(id_: str, ranks: Sequence[int], texts: Sequence[str] = (), **scores: Sequence[float]) -> Example:
    """An example whose comparisons give these ranks: every pair compared, equals both good."""
    said = [
        Comparison(i, j, "same_good" if ranks[i] == ranks[j] else "a" if ranks[i] < ranks[j] else "b")
        for i, j in combinations(range(len(ranks)), 2)
    ]
    candidates = tuple(
        Text(texts[n] if texts else "x", "ABCDEFGH"[n], {metric: values[n] for metric, values in scores.items()})
        for n in range(len(ranks))
    )
    return Example(id_, input=id_, candidates=candidates, comparisons=tuple(said))


def table(examples: Sequence[Example], *judged: Row, **how: Sequence[str]) -> Table:
    return make_table(examples, judged, Draws([prompt_key(e) for e in examples], FEW), **how)


def judge(*ranks: Ranks, name: str = "judge") -> Row:
    return of_ranks(name, "judge", ranks)


def line(made: Table, name: str) -> Line:
    return next(line for line in made.lines if line.name == name)


def values(made: Table, name: str) -> dict[str, float | None]:
    return {key: cell.value for key, cell in line(made, name).cells.items()}


# ---- every pair labelled, as in MixInstruct ---------------------------------------------------

FULL = [ranked("one", (1, 2, 3), ("aaa", "b", "cc")), ranked("two", (2, 3, 1), ("a", "b", "ccc"))]


def test_the_papers_columns_by_hand() -> None:
    made = table(FULL, judge((1, 2, 3), (1, 3, 1)))
    found = values(made, "judge")
    assert found["gpt_rank"] == pytest.approx((1 + 1.5) / 2)  # a tie for the first place is half of each
    assert found["top_1"] == pytest.approx((1 + 0.5) / 2)
    assert found["top_2"] == found["top_3"] == 1.0
    assert found["footrule"] == pytest.approx((0 + 1) / 2)
    # against A: itself 1; then itself 1 or C, which is better, 1
    assert found["at_least:A"] == 1.0
    # against C: A is better, 1; then A is worse, 0, or itself, 1
    assert found["at_least:C"] == pytest.approx((1 + 0.5) / 2)


def test_chance_is_what_is_expected_of_it() -> None:
    found = values(table(FULL), "random")
    assert found["gpt_rank"] == pytest.approx(2)
    assert [found[f"top_{k}"] for k in (1, 2, 3)] == pytest.approx([1 / 3, 2 / 3, 1])
    assert found["footrule"] == pytest.approx((3**2 - 1) / 3)
    assert found["pearson"] == found["spearman"] == 0.0
    assert found["agreement"] == 0.5


def test_the_oracle_reaches_everything() -> None:
    found = values(table(FULL), "oracle (labels)")
    assert found["gpt_rank"] == found["top_1"] == found["agreement"] == found["set_based"] == 1.0
    assert found["footrule"] == 0.0
    assert found["pearson"] == found["spearman"] == pytest.approx(1.0)


def test_single_models_come_best_first_and_say_nothing_of_orders_nor_of_themselves() -> None:
    made = table(FULL)
    assert [found.name for found in made.lines[:3]] == ["A", "C", "B"]
    assert {name: values(made, name)["gpt_rank"] for name in "ABC"} == {"A": 1.5, "B": 2.5, "C": 2.0}
    for name in "ABC":
        assert not {"agreement", "pearson", "footrule"} & set(line(made, name).cells)
    assert "at_least:A" not in line(made, "A").cells
    assert values(made, "C")["at_least:A"] == 0.5


def test_the_longest_picks_the_longest() -> None:
    assert values(table(FULL), "longest")["gpt_rank"] == pytest.approx(1.0)  # aaa, then ccc


def test_a_fixed_order_of_models_has_no_correlation_but_a_footrule() -> None:
    made = table(FULL)
    assert values(made, "fixed order of models")["footrule"] == pytest.approx((2 + 2) / 2)  # A, C, B both times
    assert "pearson" not in line(made, "fixed order of models").cells


def test_metrics_are_means_of_the_picks_and_make_oracles() -> None:
    examples = [
        ranked("one", (1, 2, 3), bleurt=(0.1, 0.5, 0.3), bertscore=(0.7, 0.6, 0.7), other=(1, 1, 1)),
        ranked("two", (2, 3, 1), bleurt=(0.2, 0.4, 0.4), bertscore=(0.5, 0.6, 0.7), other=(1, 1, 1)),
    ]
    made = table(examples, judge((1, 2, 3), (3, 1, 1)))
    assert [head.key for head in made.heads][:2] == ["bertscore", "bleurt"]  # the paper's, in its order
    assert values(made, "judge")["bleurt"] == pytest.approx((0.1 + 0.4) / 2)
    assert values(made, "oracle (bleurt)")["bleurt"] == pytest.approx((0.5 + 0.4) / 2)
    assert values(made, "oracle (bleurt)")["gpt_rank"] == pytest.approx((2 + (3 + 1) / 2) / 2)
    assert values(made, "oracle (labels)")["bleurt"] == pytest.approx((0.1 + 0.4) / 2)
    assert metrics_of(examples, ["other"]) == ("other",)
    assert table(examples, metrics=["other"]).heads[0].key == "other"


def test_a_score_that_not_all_candidates_have_counts_only_where_they_do() -> None:
    whole = ranked("one", (1, 2, 3), bleurt=(0.1, 0.5, 0.3))
    part = replace(whole, id="two", input="two", candidates=(*whole.candidates[:2], Text("x", "C")))
    made = table([whole, part])
    assert made.covered["bleurt"] == 1
    assert line(made, "A").cells["bleurt"].n == 1
    assert oracle_by_metric("bleurt", [whole, part]).places[1] is None


def test_correlations_are_those_of_the_pure_functions_with_an_interval_around() -> None:
    rng = random.Random(3)
    examples = [ranked(str(n), rng.sample(range(1, 6), 5)) for n in range(60)]
    noisy = []
    for example in examples:
        truth = label_ranks(example)
        assert truth
        noisy.append(competition_ranks([-rank + rng.gauss(0, 1.5) for rank in truth]))
    made = table(examples, judge(*noisy))
    for column in columns_of(examples):
        if isinstance(column, CorrelationColumn):
            cell = line(made, "judge").cells[column.head.key]
            assert cell.value == column.value(judge(*noisy))
            assert cell.low is not None
            assert cell.high is not None
            assert 0.3 < cell.low < (cell.value or 0) < cell.high < 1


# ---- a star of comparisons, as in AlpacaEval --------------------------------------------------


def star(id_: str, *verdicts: str, unlabelled: bool = True) -> Example:
    """R compared with A, B..., and Z with nobody."""
    names = ["R", *"ABCDEF"[: len(verdicts)], *(["Z"] if unlabelled else [])]
    texts = tuple(Text("x" * (n + 1), name) for n, name in enumerate(names))
    said = tuple(Comparison(0, n, v, "gpt") for n, v in enumerate(verdicts, 1))  # type: ignore[arg-type]
    return Example(id_, input=id_, candidates=texts, comparisons=said)


STARS = [star("one", "a", "b"), star("two", "same_good", "a")]


def test_a_model_that_all_were_compared_with_is_the_measure() -> None:
    assert references_of(STARS) == (Reference("R", "gpt"),)
    assert references_of(FULL) == ()
    made = table(STARS, judge((2, 3, 4, 1), (1, 2, 3, 4)))
    assert [head.key for head in made.heads] == ["wins:R", "agreement"]
    # first Z, which was not compared: of the others R itself, 1/2; then R again
    assert values(made, "judge")["wins:R"] == 0.5
    assert values(made, "judge")["agreement"] == pytest.approx((1 + 0 + 1) / 3)


def test_of_a_star_chance_and_models_by_hand() -> None:
    made = table(STARS)
    assert values(made, "random")["wins:R"] == pytest.approx(((0.5 + 0 + 1) / 3 + (0.5 + 0.5 + 0) / 3) / 2)
    assert {name: values(made, name).get("wins:R") for name in "RABZ"} == {"R": 0.5, "A": 0.25, "B": 0.5, "Z": None}
    assert values(made, "oracle (wins vs R)")["wins:R"] == pytest.approx((1 + 0.5) / 2)
    assert "agreement" not in line(made, "oracle (wins vs R)").cells


def test_ranks_and_best_of_n_are_not_invented() -> None:
    keys = {head.key for head in table(STARS).heads}
    assert not keys & {"gpt_rank", "top_1", "best_of_n", "pearson", "footrule"}


def test_two_judges_of_the_labels_may_have_a_hub_each() -> None:
    both = replace(
        STARS[0],
        comparisons=(*STARS[0].comparisons, Comparison(3, 1, "a", "human"), Comparison(3, 2, "a", "human")),
    )
    assert references_of([both, STARS[1]]) == (Reference("R", "gpt"), Reference("Z", "human"))


# ---- only the best known, as in RMB -----------------------------------------------------------


def best_of(id_: str, best: int, names: str) -> Example:
    texts = tuple(Text("x" * (n + 1), name, {PREFERENCE: float(n == best)}) for n, name in enumerate(names))
    said = tuple(Comparison(best, n, "a") for n in range(len(names)) if n != best)
    return Example(id_, input=id_, candidates=texts, comparisons=said)


BEST = [best_of("one", 0, "ABC"), best_of("two", 2, "BCD"), best_of("three", 0, "ADE")]


def test_best_of_n_with_ties_is_what_drawing_would_give() -> None:
    made = table(BEST, judge((1, 1, 3), (3, 2, 1), (1, 1, 1)))
    assert [head.key for head in made.heads] == ["best_of_n", "agreement"]
    assert values(made, "judge")["best_of_n"] == pytest.approx((1 / 2 + 1 + 1 / 3) / 3)
    assert values(made, "random")["best_of_n"] == pytest.approx(1 / 3)
    assert values(made, "oracle (labels)")["best_of_n"] == 1.0
    assert values(made, "judge")["agreement"] == pytest.approx((0.5 + 1 + 1 + 1 + 2 * 0.5) / 6)


def test_models_that_answer_a_part_are_told_on_that_part_and_never_the_best_single_one() -> None:
    made = table(BEST, judge((1, 2, 3), (3, 2, 1), (1, 2, 3)))
    assert (line(made, "A").cells["best_of_n"].n, values(made, "A")["best_of_n"]) == (2, 1.0)
    assert {against.role for against in made.against if against.row == "judge"} >= {LONGEST, ORDER}
    assert not [against for against in made.against if against.role == SINGLE]
    assert any("No single model answers everything" in sentence for sentence in told(made))
    [sheet, *_] = sheets.sheets(made)
    assert ("A", "100.0 (n=2)") in [tuple(row) for row in sheet.rows]


# ---- pairs ------------------------------------------------------------------------------------


def test_real_pairs_have_one_column_and_their_groups() -> None:
    made = table(PAIRS)
    assert [head.heading for head in made.heads] == ["accuracy"]
    assert made.examples == 90
    assert [(group.of, group.name, group.examples) for group in made.groups] == [
        ("origin", "llmbar_natural", 30),
        ("origin", "llmbar_adv_neighbor", 30),
        ("origin", "pandalm_human", 30),
    ]
    longer = [len(e.candidates[0].text) - len(e.candidates[1].text) for e in PAIRS]
    share = sum(0.5 + 0.5 * ((gap > 0) - (gap < 0)) for gap in longer) / len(longer)
    assert values(made, "longest")["agreement"] == pytest.approx(share)
    by_name = {group.name: group.lines for group in made.groups}
    adversarial = next(found for found in by_name["llmbar_adv_neighbor"] if found.name == "longest")
    assert (adversarial.cells["agreement"].value or 1) < 0.25  # what they were made for


def test_models_are_told_only_where_every_candidate_names_its_own() -> None:
    assert models(FULL) == ("A", "B", "C")
    assert models(PAIRS) == ()
    assert models([replace(FULL[0], candidates=(Text("x", "A"), Text("y", "A")))]) == ()
    assert of_model("B", BEST).places[2] is None
    assert of_models_in_order([Example("1", candidates=(Text("x", "A"),))]) is None


# ---- comparing --------------------------------------------------------------------------------


def many(n: int = 120) -> tuple[list[Example], list[Ranks]]:
    """Examples whose labels a good judge knows mostly, with texts of lengths that say nothing."""
    rng = random.Random(5)
    examples, orders = [], []
    for number in range(n):
        ranks = rng.sample(range(1, 5), 4)
        examples.append(ranked(str(number), ranks, ["x" * rng.randint(1, 99) for _ in ranks]))
        orders.append(competition_ranks([-rank + rng.gauss(0, 0.8) for rank in ranks]))
    return examples, orders


def test_a_good_judge_beats_everything_and_it_is_said_so() -> None:
    examples, orders = many()
    made = table(examples, judge(*orders, name="good"))
    of_good = [against for against in made.against if against.row == "good"]
    assert {(against.role, against.verdict) for against in of_good} >= {(LONGEST, "better"), (SINGLE, "better")}
    assert {against.column for against in of_good} == {"gpt_rank", "top_1"}
    for against in of_good:
        if against.column == "gpt_rank":  # where less is better
            assert (against.difference.value or 0) < 0
    said = list(told(made))
    assert any(sentence.startswith("good beats the longest: GPT-Rank -") for sentence in said)
    assert any(sentence.startswith("good beats the best single model: ") for sentence in said)
    assert "the best single model is picked for each column on these very examples, which favours it" in made.notes


def test_a_bad_judge_does_not_and_it_is_said_so() -> None:
    examples, orders = many()
    made = table(examples, judge(*(tuple(5 - rank for rank in order) for order in orders), name="bad"))
    said = " ".join(told(made))
    assert "bad does not beat the longest: " in said
    assert "bad does not beat the best single model: " in said
    assert "bad does not beat chance: " in said


def test_a_judge_equal_to_the_longest_is_level_with_it() -> None:
    examples, _ = many()
    same = [competition_ranks([len(text.text) for text in e.candidates]) for e in examples]
    made = table(examples, judge(*same, name="same"))
    found = [against for against in made.against if (against.row, against.role) == ("same", LONGEST)]
    assert {(against.verdict, against.difference.value) for against in found} == {("level", 0.0)}
    assert "same does not beat the longest: GPT-Rank +0.00 [+0.00, +0.00], not to be told apart" in " ".join(told(made))


def test_one_prompt_has_no_interval_and_no_verdict() -> None:
    made = table([replace(e, input="the same prompt ") for e in FULL], judge((1, 2, 3), (1, 2, 3)))
    assert made.prompts == 1
    assert {cell.low for found in made.lines for cell in found.cells.values()} == {None}
    assert {against.verdict for against in made.against} == {""}
    assert list(told(made))


def test_rows_of_one_name_are_numbered() -> None:
    made = table(FULL, judge((1, 2, 3), (1, 2, 3), name="A"), judge((1, 2, 3), (1, 2, 3), name="longest"))
    assert [found.name for found in made.lines if found.kind == "judge"] == ["A (2)", "longest (2)"]


def test_examples_that_say_nothing_leave_no_column() -> None:
    assert table([Example("1", candidates=(Text("x"), Text("y"))), Example("2")]).heads == ()


def test_a_row_says_its_picks() -> None:
    assert picks((2, None, 1, 1), (0, 1, 2, 3)) == [2, 3]
    assert picks((2, None, 1, 1), (0, 1)) == [0]
    assert picks((None, None), (0, 1)) == []
    assert chance([Example("1", candidates=(Text("x"), Text("y")))]).places == [(1, 1)]


# ---- what is written --------------------------------------------------------------------------


def test_plain_data_holds_every_interval() -> None:
    made = table(FULL, judge((1, 2, 3), (1, 3, 1)))
    data = json.loads(json.dumps(sheets.as_json(made)))
    [row] = [row for row in data["rows"] if row["name"] == "judge"]
    assert row["kind"] == "judge"
    assert set(row["cells"]["gpt_rank"]) == {"value", "low", "high", "examples"}
    assert {column["key"] for column in data["columns"]} >= {"gpt_rank", "top_1", "pearson"}
    assert data["in_words"]


def test_markdown_has_a_dash_where_a_number_would_be_invented() -> None:
    page = sheets.markdown(table(FULL, judge((1, 2, 3), (1, 3, 1), name="a|b")), "Rankers", ["How."])
    assert "\n| A | 1.50 ±0.50 | – | " in page  # against itself
    assert "| a\\|b |" in page
    assert page.startswith("# Rankers\n\nHow.\n\n## what is picked, by the labels\n")
    for heading in ("## differences", "## In words", "## columns", "## Notes"):
        assert heading in page


def test_a_chart_is_drawn_of_every_kind_of_data(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="charts need matplotlib")
    for name, examples in (("full", FULL), ("star", STARS), ("best", BEST), ("pairs", PAIRS)):
        folder = tmp_path / name
        folder.mkdir()
        orders = [(1, 2, 3, 4)[: len(example.candidates)] for example in examples]
        written = drawing.draw(table(examples, judge(*orders)), name, folder)
        assert {file.suffix for file in written} == {".svg", ".png"}
        assert all(file.stat().st_size > 5000 for file in written)
        assert (folder / "chart.svg").read_text(encoding="utf-8").lstrip().startswith("<?xml")
    assert (tmp_path / "pairs" / "groups-origin.png").is_file()
    assert drawing.draw(table([Example("1")]), "nothing", tmp_path) == []
