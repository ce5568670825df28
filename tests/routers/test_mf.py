"""Matrix factorisation: what it says of members, RouteLLM's checkpoint, and what is kept."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from comparing import directions
from coterie.errors import ConfigError, RouterError
from coterie.prospects import Scale
from coterie.routers.forecast import Kept, Queries
from coterie.routers.kinds import loads
from coterie.routers.mf import MFRouter
from coterie.routers.routellm_members import MEMBERS

Array = NDArray[np.float32]


def drawn(members: int = 5, inner: int = 16, dimensions: int = 24, bias: bool = False, seed: int = 0) -> MFRouter:
    rng = np.random.default_rng(seed)
    shapes = [(members, inner), (inner, dimensions), (inner,)]
    embeddings, projection, classifier = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    constant = rng.standard_normal(inner).astype(np.float32) if bias else None
    return MFRouter(tuple(f"member {n}" for n in range(members)), embeddings, projection, classifier, constant)


def asked(vectors: Array) -> Queries:
    return Queries(("",) * len(vectors), vectors)


def by_hand(router: MFRouter, member: int, query: Array) -> float:
    """w2 . (P / |P| * (W1 q + b)), one number after the other."""
    row = router.embeddings[member].tolist()
    length = math.hypot(*row)
    total = 0.0
    for n, weight in enumerate(router.classifier.tolist()):
        hidden = math.fsum(a * b for a, b in zip(router.projection[n].tolist(), query.tolist(), strict=True))
        hidden += 0.0 if router.bias is None else float(router.bias[n])
        total += weight * row[n] / length * hidden
    return total


@pytest.mark.parametrize("bias", [False, True])
def test_the_score_is_the_formula_of_the_paper(bias: bool) -> None:
    router, queries = drawn(bias=bias), directions(3, 24)
    quality = router.forecast(asked(queries)).quality
    expected = [[by_hand(router, member, query) for member in range(5)] for query in queries]
    assert quality == pytest.approx(np.array(expected), abs=1e-5)
    assert (router.kind, router.scale, router.reads) == ("mf", Scale.LOGIT, "vectors")


def test_at_the_published_dimensions_there_are_204928_parameters() -> None:
    assert drawn(members=64, inner=128, dimensions=1536).parameters == 204_928


def test_how_long_a_members_row_is_does_not_matter() -> None:
    router = drawn()
    longer = MFRouter(router.members, router.embeddings * np.float32(7), router.projection, router.classifier)
    queries = asked(directions(4, 24))
    assert longer.forecast(queries).quality == pytest.approx(router.forecast(queries).quality, abs=1e-5)


@pytest.mark.parametrize("bias", [False, True])
def test_a_text_without_a_word_is_told_by_the_bias_alone(bias: bool) -> None:
    quality = drawn(bias=bias).forecast(asked(np.zeros((1, 24), np.float32))).quality
    assert bool(quality.any()) is bias


def test_a_member_that_was_never_compared_has_no_quality() -> None:
    router = drawn()
    router.embeddings[2] = np.nan
    quality = router.forecast(asked(directions(2, 24))).quality
    assert np.isnan(quality[:, 2]).all()
    assert np.isfinite(quality[:, [0, 1, 3, 4]]).all()


@pytest.mark.parametrize("dimensions", [24, 384])
def test_a_query_says_the_same_whatever_is_asked_beside_it(dimensions: int) -> None:
    router, queries = drawn(64, 128, dimensions), directions(33, dimensions)
    together = router.forecast(asked(queries)).quality
    alone = [router.forecast(asked(queries[n : n + 1])).quality for n in range(33)]
    assert np.array_equal(together, np.concatenate(alone))


@pytest.mark.parametrize("vectors", [None, directions(1, 23), directions(2, 24)])
def test_vectors_of_another_encoder_are_refused(vectors: Array | None) -> None:
    with pytest.raises(RouterError, match="1 vectors of 24 dimensions"):
        drawn().forecast(Queries(("a question",), vectors))


@pytest.mark.parametrize("bias", [False, True])
def test_what_was_kept_forecasts_the_same(bias: bool, tmp_path: Path) -> None:
    router, queries = drawn(bias=bias), asked(directions(4, 24))
    np.savez(tmp_path / "arrays.npz", **router.arrays())  # type: ignore[arg-type]  # a name could be an argument's
    with np.load(tmp_path / "arrays.npz") as arrays:
        back = loads("mf")(Kept(router.members, router.settings(), dict(arrays), tmp_path))
    assert np.array_equal(back.forecast(queries).quality, router.forecast(queries).quality)


def test_an_artifact_that_is_none_says_why(tmp_path: Path) -> None:
    router = drawn()
    arrays = dict(router.arrays())
    with pytest.raises(ConfigError, match="4 members have the shapes"):
        loads("mf")(Kept(router.members[:4], {}, arrays, tmp_path))
    with pytest.raises(ConfigError, match="a bias has the shape"):
        loads("mf")(Kept(router.members, {}, {**arrays, "bias": np.zeros(3)}, tmp_path))
    del arrays["projection"]
    with pytest.raises(ConfigError, match="lack 'projection'"):
        loads("mf")(Kept(router.members, {}, arrays, tmp_path))


# ---- RouteLLM's checkpoint ------------------------------------------------------------------------


def published(file: Path, router: MFRouter, **renamed: str) -> Path:
    """A random checkpoint of RouteLLM's layout."""
    numpy = pytest.importorskip("safetensors.numpy", reason="writing a checkpoint needs the extra torch")
    names = {"P": "P.weight", "text_proj": "text_proj.0.weight", "classifier": "classifier.0.weight", **renamed}
    held = {
        names["P"]: router.embeddings,
        names["text_proj"]: router.projection,
        names["classifier"]: router.classifier[None],
    }
    numpy.save_file(held, file)
    return file


def test_routellms_checkpoint_gives_its_win_rates(tmp_path: Path) -> None:
    made = drawn(64, 128, 1536, seed=4)
    router = MFRouter.published(published(tmp_path / "model.safetensors", made))
    assert router.parameters == 204_928
    (query,) = directions(1, 1536)
    (quality,) = router.forecast(asked(query[None])).quality
    strong, weak = (router.members.index(name) for name in ("gpt-4-1106-preview", "mixtral-8x7b-instruct-v0.1"))
    assert (strong, weak) == (24, 36)
    win_rate = 1.0 / (1.0 + math.exp(by_hand(made, 36, query) - by_hand(made, 24, query)))
    assert Scale.LOGIT.preference(quality[strong], quality[weak]) == pytest.approx(win_rate, abs=1e-5)


def test_the_arena_has_64_members_in_the_order_of_their_names() -> None:
    assert len(set(MEMBERS)) == 64
    assert list(MEMBERS) == sorted(MEMBERS)


def test_other_members_and_dimensions_can_be_published_too(tmp_path: Path) -> None:
    made, queries = drawn(3), asked(directions(2, 24))
    router = MFRouter.published(published(tmp_path / "model.safetensors", made), ("a", "b", "c"))
    assert router.members == ("a", "b", "c")
    assert np.array_equal(router.forecast(queries).quality, made.forecast(queries).quality)


def test_another_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no tensor 'text_proj.0.weight'"):
        MFRouter.published(published(tmp_path / "a", drawn(64), text_proj="text_proj.weight"))
    with pytest.raises(ConfigError, match="64 members have the shapes"):
        MFRouter.published(published(tmp_path / "b", drawn(63)))
    (tmp_path / "c").write_text("not tensors at all")
    with pytest.raises(ConfigError, match="can be read"):
        MFRouter.published(tmp_path / "c")
