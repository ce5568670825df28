"""The samples a table shares, against the room's other bootstrap and against plain reckoning."""

from __future__ import annotations

import random

import pytest

from coterie.evaluation.correlation import pearson, spearman
from coterie.evaluation.significance import Bootstrap, Estimate, estimate
from coterie.evaluation.significance import difference as paired

np = pytest.importorskip("numpy", reason="intervals need numpy")

from coterie.evaluation.resampling import Draws, correlations  # noqa: E402

MANY = Bootstrap(resamples=4000, seed=3)


def near(one: Estimate | None, other: Estimate, within: float) -> bool:
    assert one is not None
    pairs = ((one.value, other.value, 1e-12), (one.low, other.low, within), (one.high, other.high, within))
    return all(a is not None and b is not None and abs(a - b) <= close for a, b, close in pairs)


def test_of_one_example_a_prompt_it_is_the_rooms_other_bootstrap() -> None:
    rng = random.Random(0)
    ours = [float(rng.random() < 0.6) for _ in range(300)]
    theirs = [float(rng.random() < 0.5) for _ in range(300)]
    draws = Draws(range(300), MANY)
    ones = np.ones(300)
    assert near(draws.ratio((np.array(ours), ones)), estimate(ours, bootstrap=MANY), 0.006)
    found = draws.difference((np.array(ours), ones), (np.array(theirs), ones))
    assert near(found, paired(ours, theirs, bootstrap=MANY).estimate, 0.008)


def test_examples_of_one_prompt_are_no_evidence_of_their_own() -> None:
    rng = random.Random(1)
    values = [float(rng.random() < 0.5) for _ in range(100)]
    alone = Draws(range(100), MANY).ratio((np.array(values), np.ones(100)))
    copied = Draws([n % 100 for n in range(1000)], MANY).ratio((np.array(values * 10), np.ones(1000)))
    assert alone is not None
    assert copied is not None
    assert (copied.value, copied.low, copied.high) == pytest.approx((alone.value, alone.low, alone.high))
    assert (alone.n, copied.n) == (100, 1000)


def test_a_difference_is_of_the_examples_that_both_answer() -> None:
    draws = Draws(range(4), MANY)
    ours = (np.array([1.0, 1.0, 0.0, 0.0]), np.array([1.0, 1.0, 1.0, 0.0]))
    theirs = (np.array([0.0, 1.0, 0.0, 1.0]), np.array([1.0, 1.0, 0.0, 1.0]))
    found = draws.difference(ours, theirs)
    assert found is not None
    assert (found.value, found.n) == (0.5, 2)
    nothing = (np.zeros(4), np.zeros(4))
    assert draws.difference(ours, nothing) is None
    assert draws.ratio(nothing) is None


def test_weights_make_a_mean_over_pairs() -> None:
    found = Draws(range(2), MANY).ratio((np.array([3.0, 0.0]), np.array([3.0, 1.0])))
    assert found is not None
    assert (found.value, found.low, found.high) == (0.75, 0.0, 1.0)


def test_no_examples_at_all() -> None:
    draws = Draws([], MANY)
    assert draws.prompts == 0
    assert draws.ratio((np.zeros(0), np.zeros(0))) is None


@pytest.mark.parametrize("of_ranks", [False, True], ids=["pearson", "spearman"])
def test_counting_pairs_of_ranks_gives_the_same_correlation(of_ranks: bool) -> None:
    rng = random.Random(2)
    for _ in range(20):
        pairs = [(rng.randint(1, 6), rng.randint(1, 4)) for _ in range(30)]
        counts = np.zeros((1, 7, 5))
        for x, y in pairs:
            counts[0, x, y] += 1
        plain = (spearman if of_ranks else pearson)([x for x, _ in pairs], [y for _, y in pairs])
        assert correlations(counts, of_ranks=of_ranks)[0] == pytest.approx(plain)


def test_a_constant_rank_has_no_correlation_in_any_sample() -> None:
    counts = np.zeros((1, 3, 3))
    counts[0, 1, 1] = counts[0, 1, 2] = 4
    assert np.isnan(correlations(counts, of_ranks=True)).all()


def test_the_interval_of_a_correlation_is_that_of_plain_resampling() -> None:
    rng = random.Random(4)
    xs = [rng.randint(1, 5) for _ in range(80)]
    ys = [min(5, max(1, x + rng.randint(-1, 1))) for x in xs]
    value = pearson(xs, ys)
    assert value is not None
    found = Draws(range(80), MANY).correlation(
        value, {"A": [(n, x, y) for n, (x, y) in enumerate(zip(xs, ys, strict=True))]}, of_ranks=False
    )
    plain = []
    for _ in range(2000):
        sample = [rng.randrange(80) for _ in range(80)]
        plain.append(pearson([xs[n] for n in sample], [ys[n] for n in sample]))
    low, high = np.quantile(np.array(plain, dtype=float), [0.025, 0.975])
    assert near(found, Estimate(value, float(low), float(high), 80), 0.02)
