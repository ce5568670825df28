"""A comparison whole: its rows, what is said of them, its page, and its JSON."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

np = pytest.importorskip("numpy", reason="scores are arrays")

from coterie.errors import ConfigError  # noqa: E402
from coterie.evaluation.blending.header import Header  # noqa: E402
from coterie.evaluation.blending.tables import Table  # noqa: E402
from coterie.evaluation.routing import forecast_files  # noqa: E402
from coterie.evaluation.routing.board import CHANCE, MIX, ORACLE, Board, headline_of, measure  # noqa: E402
from coterie.evaluation.routing.forecasts import Forecasts, Timing  # noqa: E402
from coterie.evaluation.routing.ground import Ground, Pair, ground_of  # noqa: E402
from coterie.evaluation.routing.learned import PAPERS_LABELS, Learned  # noqa: E402
from coterie.evaluation.routing.report import Comparison, as_json, report, write  # noqa: E402
from coterie.evaluation.routing.telling import sentence, verdict  # noqa: E402
from coterie.evaluation.significance import Bootstrap, Estimate  # noqa: E402
from coterie.outcomes.outcome import Outcomes  # noqa: E402
from coterie.prospects import Scale  # noqa: E402
from routed_outcomes import knowing, outcomes  # noqa: E402

QUICK = Bootstrap(resamples=80)

TIMED = Timing(0.0001, 0.0005, 50, 2.0)


def lined_up(on: Ground) -> list[Forecasts]:
    """A router that knows much, one that knows nothing, and a baseline that knows a little."""
    quality = np.tile(on.scores.mean(axis=0), (len(on), 1))
    return [
        replace(knowing(on.outcomes, 0.7), timing=TIMED),
        Forecasts("constant", quality, Scale.ELO, note="made up", timing=TIMED),
        replace(knowing(on.outcomes, 0.1, seed=2, name="length"), role="baseline", reads_vectors=True, timing=TIMED),
    ]


@pytest.fixture(scope="module")
def pool() -> Board:
    on = ground_of(outcomes(240, groups=("mmlu/anatomy", "gsm8k", "mmlu/law")), bootstrap=QUICK)
    return measure(on, lined_up(on))


@pytest.fixture(scope="module")
def pair() -> Board:
    on = ground_of(outcomes(240), Pair("cheap", "dear"), bootstrap=QUICK)
    return measure(on, lined_up(on))


@pytest.fixture(scope="module")
def unpriced() -> Board:
    on = ground_of(outcomes(240, costs=False), bootstrap=QUICK)
    return measure(on, lined_up(on))


def table(board: Board, key: str, **more: Any) -> Table:
    made = report(Comparison(board, **more), Header())
    return next(of for of in made.tables if of.key == key)


def column(of: Table, key: str) -> dict[str, Any]:
    at = next(n for n, head in enumerate(of.heads) if head.key == key)
    return {row[0].text: row[at] for row in of.rows}


# ---- rows -----------------------------------------------------------------------------------------


def test_every_table_has_the_oracle_chance_and_every_single_member(pool: Board, pair: Board, unpriced: Board) -> None:
    everybody = {"knows", "constant", "length", "cheap", "middle", "dear", ORACLE}
    assert set(pool.named) == everybody | {MIX, CHANCE}
    assert set(unpriced.named) == everybody | {CHANCE}
    assert set(pair.named) == everybody - {"middle"} | {MIX}
    assert (pool.headline, unpriced.headline, pair.headline) == ("band", "quality", "apgr")


def test_rivals_are_chance_the_baselines_and_the_best_single_member(pool: Board, pair: Board, unpriced: Board) -> None:
    assert pool.rivals == (MIX, "length")
    assert unpriced.rivals == (CHANCE, "length", "dear")
    assert pair.rivals == (MIX, "length")
    assert pool.best_router is pool.named["knows"]


def test_groups_are_told_by_the_part_before_the_line(pool: Board) -> None:
    assert {name: len(part.ground) for name, part in pool.groups.items()} == {"mmlu": 160, "gsm8k": 80}
    assert pool.groups["gsm8k"].ground.costs is not None
    filled = column(table(pool, "groups"), "gsm8k")
    assert filled["knows"].value == pytest.approx(pool.groups["gsm8k"].named["knows"].figures["band"].value)


def test_the_random_mix_has_apgr_one_half_exactly_and_so_have_constant_forecasts(pair: Board) -> None:
    for name in (MIX, "constant"):
        estimate = pair.named[name].figures["apgr"].estimate
        assert (estimate.value, estimate.low, estimate.high) == pytest.approx((0.5, 0.5, 0.5))
    against = pair.against(pair.named["constant"], MIX)
    assert against is not None
    assert against.word == "cannot tell"


def test_one_figure_alone_is_the_same_as_in_the_whole_table(pair: Board) -> None:
    forecasts = pair.named["knows"].forecasts
    assert forecasts is not None
    assert headline_of(pair.ground, forecasts) == pair.named["knows"].figures["apgr"].estimate


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda of: [of, of], "'knows'"),
        (lambda of: [replace(of, name="dear")], "'dear'"),
        (lambda of: [replace(of, name=ORACLE)], "'oracle'"),
        (lambda of: [replace(of, quality=of.quality[:5])], r"shape \(5, 3\)"),
        (lambda of: [replace(of, quality=of.quality * np.nan)], "'knows' cannot be measured"),
    ],
)
def test_forecasts_that_cannot_stand_in_a_table_are_refused(wrong: Any, words: str) -> None:
    of = outcomes(12)
    with pytest.raises(ConfigError, match=words):
        measure(ground_of(of, bootstrap=QUICK), wrong(knowing(of, 0.5)))


# ---- words ----------------------------------------------------------------------------------------


def test_the_verdict_names_every_rival_with_its_interval(pool: Board, pair: Board) -> None:
    assert verdict(pool).startswith("knows beats random mix (+0.")
    assert "length (+0." in verdict(pool)
    assert verdict(pool).endswith(", by mean score over all budgets.")
    said = sentence(pair, pair.named["constant"])
    assert said.startswith("constant reaches APGR 0.500")
    assert "cannot be told from random mix (+0.000 [+0.000, +0.000])" in said
    assert "is worse than length (-0." in said


def test_what_is_not_beaten_is_said() -> None:
    on = ground_of(outcomes(60), Pair("cheap", "dear"), bootstrap=QUICK)
    weak = replace(knowing(on.outcomes, 0.0, name="noise"), role="router")
    strong = replace(knowing(on.outcomes, 0.9, name="length"), role="baseline")
    said = verdict(measure(on, [weak, strong]))
    assert said.startswith("No router beats what it should: the best one, noise, does not beat random mix (")
    assert "is worse than length (-0." in said
    assert verdict(measure(on, [strong])) == "No router was measured, only baselines."


def test_at_any_cost_a_router_is_held_against_the_best_single_member(pool: Board) -> None:
    assert "; at any cost it beats dear (+0." in sentence(pool, pool.named["knows"])


def test_an_unknown_price_is_told_with_the_members_names(unpriced: Board) -> None:
    said = report(Comparison(unpriced, notes=("7 rows were left out",)), Header()).told
    assert said.warnings[0] == "7 rows were left out"
    assert "no cost is known of 'cheap', 'middle', 'dear'" in said.warnings[1]
    assert "constant: made up" in said.warnings
    assert not [head for head in table(unpriced, "routers").heads if head.key in ("usd", "band", "saved")]


# ---- tables ---------------------------------------------------------------------------------------


def test_where_routellms_way_has_no_result_the_table_says_why(pair: Board) -> None:
    of = table(pair, "as-routellm")
    assert "too many win rates are equal" in column(of, "why_not")["constant"].text
    assert column(of, "apgr")["constant"].value is None
    assert 0.5 < float(column(of, "apgr")["knows"].value) < 1.6


def test_the_encoders_time_stands_apart_and_beside_whoever_needs_it(pool: Board) -> None:
    of = table(pool, "times", encoder=("minilm", Timing(0.006, 0.01, 60)))
    assert column(of, "p50_ms")["minilm"].value == pytest.approx(6.0)
    both = column(of, "with_encoder_ms")
    assert both["length"].value == pytest.approx(6.1)
    assert both["knows"].value == pytest.approx(0.1)
    assert column(table(pool, "times"), "with_encoder_ms")["length"].value is None


def test_routers_whose_qualities_are_no_scores_have_no_calibration(pool: Board) -> None:
    assert set(column(table(pool, "calibration"), "ece")) == {"knows", "length"}


def test_learning_is_told_by_size_with_the_papers_marked(pair: Board) -> None:
    estimate = Estimate(0.6, 0.55, 0.65, 240)
    learned = Learned({"knows": {100: estimate, PAPERS_LABELS: estimate, 3000: estimate}, "length": {3000: estimate}})
    of = table(pair, "learning", learned=learned)
    assert [head.text for head in of.heads[2:]] == ["100", "1500 (the papers' labels)", "3000"]
    made = report(Comparison(pair, learned=learned), Header())
    [figure] = [of for of in made.figures if of.key == "learning"]
    assert len(figure.panels) == 2
    assert 'stroke-dasharray="3 3"' in figure.file()


def test_verdicts_over_a_pair_stand_in_a_table_of_their_own_the_best_router_first(pair: Board) -> None:
    assert [head.key for head in table(pair, "routers").heads[2:]] == ["apgr", "cpt50", "cpt80", "spared"]
    verdicts = table(pair, "rivals")
    assert [head.key for head in verdicts.heads[2:]] == [f"over {MIX}", "over length"]
    assert [row[0].text for row in verdicts.rows] == ["knows", "length", "constant"]
    assert verdicts.rows[0][2].word == "yes"


def test_the_page_lets_a_verdict_stand_below_its_number(pair: Board, tmp_path: Path) -> None:
    write(Comparison(pair), Header(), tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert re.search(
        r'<td class="number" data-v="[^"]+"><span class="figure">[^<]+</span> <span class="word yes">', page
    )


def test_the_two_members_are_counted(pair: Board) -> None:
    of = {row[0].text: float(row[1].value or 0) for row in table(pair, "members").rows}
    counts = [of[f"right: {name}"] for name in ("both", "the weak one alone", "the strong one alone", "neither")]
    assert sum(counts) == 240
    assert of["mean score, oracle"] == pytest.approx(1 - counts[3] / 240)


# ---- files ----------------------------------------------------------------------------------------


def test_the_report_is_written_whole_and_again_the_same(pool: Board, tmp_path: Path) -> None:
    comparison = Comparison(pool, ("minilm", TIMED))
    files = {file.relative_to(tmp_path).as_posix() for file in write(comparison, Header("Routers"), tmp_path)}
    assert {"report.html", "report.md", "results.json", "tables/routers.md", "figures/quality-over-cost.svg"} <= files
    page = (tmp_path / "report.html").read_text()
    assert "<h1>Routers</h1>" in page
    assert "Examples" not in page
    assert page.count("<table") == sum(name.endswith(".csv") for name in files)
    found = json.loads((tmp_path / "results.json").read_text())
    rows = {row["name"]: row for row in found["rows"]}
    assert rows["knows"]["against"]["length"]["beats"] == "yes"
    assert rows["knows"]["timing"]["p50_s"] == TIMED.p50_s
    assert found["groups"]["gsm8k"]["prompts"] == 80
    assert found["encoder"]["name"] == "minilm"
    before = page
    write(comparison, Header("Routers"), tmp_path)
    assert (tmp_path / "report.html").read_text() == before


def test_results_are_json_without_what_is_no_number(pair: Board) -> None:
    comparison = Comparison(pair)
    text = json.dumps(as_json(comparison, report(comparison, Header())), allow_nan=False)
    assert json.loads(text)["rows"]


def test_a_folder_that_cannot_be_written_to_is_named(pair: Board, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(ConfigError, match="taken"):
        write(Comparison(pair), Header(), tmp_path / "taken")


# ---- forecasts made elsewhere ---------------------------------------------------------------------


def test_forecasts_come_back_for_other_orders_of_prompts_and_members(tmp_path: Path) -> None:
    of = outcomes(8)
    made = replace(knowing(of, 0.4), scale=Scale.LOGIT, expected_usd=of.costs_usd, timing=TIMED, reads_vectors=True)
    forecast_files.save(tmp_path / "to" / "bert.npz", made, of)
    rows = [5, 1, 7]
    other = of.rows(rows).of(["dear", "cheap"])
    found = forecast_files.read(
        "bert", tmp_path / "to" / "bert.npz", replace(other, prompts=tuple(map(str.upper, other.prompts)))
    )
    assert found.quality == pytest.approx(made.quality[np.ix_(rows, [2, 0])])
    assert found.expected_usd == pytest.approx(of.costs_usd[np.ix_(rows, [2, 0])])
    assert (found.scale, found.timing, found.reads_vectors) == (Scale.LOGIT, TIMED, True)
    assert "read from bert.npz" in found.note


def test_a_file_that_any_program_wrote_with_numpy_is_taken(tmp_path: Path) -> None:
    of = outcomes(4)
    digests = [forecast_files.digest(prompt) for prompt in of.prompts]
    np.savez(tmp_path / "mine.npz", quality=of.scores, members=np.array(of.members), prompts=np.array(digests))
    found = forecast_files.read("mine", tmp_path / "mine.npz", of)
    assert found.quality.tolist() == of.scores.tolist()
    assert (found.timing, found.expected_usd, found.scale) == (None, None, Scale.SCORE)


def strange(of: Outcomes, **arrays: Any) -> dict[str, Any]:
    digests = np.array([forecast_files.digest(prompt) for prompt in of.prompts])
    return {"quality": of.scores, "members": np.array(of.members), "prompts": digests, **arrays}


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"prompts": np.array(["a", "b", "c", "d"])}, r"no forecast for 4 of 4 prompts, such as made-up:1"),
        ({"members": np.array(["cheap", "middle", "other"])}, r"for the members \['dear'\]"),
        ({"quality": np.zeros((3, 3))}, r"\(3, 3\) qualities for 4 prompts, 3 members"),
        ({"scale": np.array("stars")}, "holds no forecasts"),
    ],
)
def test_forecasts_of_something_else_are_refused(arrays: dict[str, Any], words: str, tmp_path: Path) -> None:
    of = outcomes(4)
    np.savez(tmp_path / "strange.npz", **strange(of, **arrays))
    with pytest.raises(ConfigError, match=words):
        forecast_files.read("strange", tmp_path / "strange.npz", of)
