"""Artifacts: every kind of router comes back from its folder as it was, and a folder that is not whole is refused."""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny_outcomes
import tiny_readers
from coterie.encoders.static import Static
from coterie.errors import ConfigError, MissingExtra
from coterie.outcomes.outcome import Lessons
from coterie.routers import artifact, kinds, npz
from coterie.routers.artifact import About, opened, save
from coterie.routers.forecast import Fitted, Kept, Queries, Vectors
from coterie.routers.length import LengthRecipe, LengthRouter
from coterie.routers.spending import Spending
from coterie.training.routing.kinds import RECIPES
from coterie.types import Price

TEXTS = (*tiny_readers.queries(12, seed=5), "", "été 日本 ☃", "a" * 5000)


def vectors(texts: tuple[str, ...]) -> Any:
    """Letters counted, at length 1."""
    letters = np.array([*tiny_readers.LETTERS, "z"])
    counts = np.array([[text.count(letter) for letter in letters] for text in texts], dtype=np.float64)
    lengths = np.sqrt((counts**2).sum(axis=1, keepdims=True))
    return (counts / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def fitted(kind: str, folder: Path, lessons: Lessons | None = None) -> Fitted:
    """A router of that kind, fitted to little."""
    if kind in tiny_outcomes.TEXT_KINDS:
        pytest.importorskip("torch", reason="this kind needs the extra torch")
    module, _, name = RECIPES[kind].partition(":")
    recipe = getattr(import_module(module), name)(**tiny_outcomes.settings(kind, folder))
    known = lessons or tiny_outcomes.lessons(n=40)
    assert known.outcomes is not None
    made: Fitted = recipe.fit(known, Vectors(vectors(known.outcomes.prompts)), lambda *_: None)
    return made


def asked(router: Fitted) -> Queries:
    return Queries(TEXTS, vectors(TEXTS) if router.reads in ("vectors", "both") else None)


def encoder(folder: Path) -> Static:
    folder.mkdir()
    return Static(tiny_outcomes.table(folder))


@pytest.fixture(scope="module")
def length() -> LengthRouter:
    return LengthRecipe().fit(tiny_outcomes.lessons(), Vectors(), lambda *_: None)


def rounding(kind: str) -> float:
    """A transformer's sums depend on where its weights lie in memory, and on the padding beside a text."""
    return 1e-5 if kind in tiny_outcomes.TEXT_KINDS else 0.0


# ---- every kind -----------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=kinds.FITTED)
def router(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """One of each kind; what it was fitted from is gone."""
    base = tmp_path_factory.mktemp("base")
    made = fitted(request.param, base)
    shutil.rmtree(base)
    return made


def test_a_router_comes_back_with_equal_forecasts(router: Fitted, tmp_path: Path) -> None:
    reads_vectors = router.reads in ("vectors", "both")
    about = About(
        encoder(tmp_path / "encoder") if reads_vectors else None,
        {"large": Price(1.0, 2.0)},
        Spending({"small": 3.5}, {"large": 0.25}),
        {"kind": "best"},
    )
    for name in ("one", "two"):
        save(router, tmp_path / name, about)
    again, twin = opened(tmp_path / "one"), opened(tmp_path / "two")
    assert again.digest == twin.digest
    before, after = router.forecast(asked(router)), again.fitted.forecast(asked(router))
    np.testing.assert_allclose(after.quality, before.quality, rtol=0, atol=rounding(router.kind))
    assert (before.uncertainty is None) == (after.uncertainty is None)
    if before.uncertainty is not None and after.uncertainty is not None:
        np.testing.assert_allclose(after.uncertainty, before.uncertainty, rtol=0, atol=rounding(router.kind))
    assert len(before.basis) == len(after.basis)
    same = ("kind", "members", "scale", "reads")
    assert [getattr(again.fitted, name) for name in same] == [getattr(router, name) for name in same]
    assert (again.prices, again.spending, again.decision) == (about.prices, about.spending, about.decision)
    assert again.encoder == about.encoder
    assert again.encoder_identity == (about.encoder.identity if about.encoder else "")


def test_a_forecast_does_not_depend_on_its_company(router: Fitted) -> None:
    together = asked(router)
    whole = router.forecast(together).quality
    assert whole.shape == (len(TEXTS), len(router.members))
    rows = [
        router.forecast(Queries((text,), None if together.vectors is None else together.vectors[n : n + 1])).quality[0]
        for n, text in enumerate(TEXTS)
    ]
    np.testing.assert_allclose(np.stack(rows), whole, rtol=0, atol=max(1e-12, rounding(router.kind)))


def test_every_fitted_kind_has_a_recipe() -> None:
    assert set(kinds.FITTED) == set(RECIPES)


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_any_text_is_forecast_alike_before_and_after(texts: list[str]) -> None:
    router = LengthRecipe().fit(tiny_outcomes.lessons(n=20), Vectors(), lambda *_: None)
    again = LengthRouter.load(Kept(router.members, {}, router.arrays(), Path()))
    queries = Queries(tuple(texts))
    np.testing.assert_array_equal(router.forecast(queries).quality, again.forecast(queries).quality)


# ---- whole or not at all --------------------------------------------------------------------------


def test_a_folder_that_is_taken_stays_as_it_is(length: LengthRouter, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(ConfigError, match="is there already, and not empty"):
        save(length, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]
    with pytest.raises(ConfigError, match="is there already"):
        save(length, tmp_path / "mine")


def test_an_empty_folder_and_one_that_is_not_there_yet_are_taken(length: LengthRouter, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("empty", "a/new/one"):
        save(length, tmp_path / name)
        assert opened(tmp_path / name).members == length.members


def test_what_cannot_be_written_leaves_nothing(length: LengthRouter, tmp_path: Path) -> None:
    class Broken(LengthRouter):
        def save(self, folder: Path) -> None:
            raise OSError("no space is left")

    with pytest.raises(OSError, match="no space"):
        save(Broken(length.members, length.curves, length.standard), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_router_that_reads_vectors_needs_an_encoder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="reads vectors: an encoder has to make them"):
        save(fitted("knn", tmp_path / "base"), tmp_path / "out")


def test_settings_that_are_no_json_are_refused(length: LengthRouter, tmp_path: Path) -> None:
    class Strange(LengthRouter):
        def settings(self) -> dict[str, Any]:
            return {"at": float("nan")}

    with pytest.raises(ValueError, match="JSON"):
        save(Strange(length.members, length.curves, length.standard), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


# ---- damaged and foreign folders ------------------------------------------------------------------


def told(folder: Path, **changed: Any) -> None:
    """Afterwards ``router.json`` says something else."""
    file = folder / artifact.ROUTER
    file.write_text(json.dumps({**json.loads(file.read_text()), **changed}))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"format": 2}, "has format 2; this version reads format 1"),
        ({"format": "1"}, "is no router of this program"),
        ({"kind": "lenght"}, "'lenght' is no kind of router: .*; did you mean 'length'"),
        ({"kind": None}, "is damaged|is no kind of router"),
        ({"members": ["small"]}, "1 members have no curves"),
        ({"members": 3}, "is damaged: TypeError"),
        ({"prices": {"small": {"usd": 1}}}, "is damaged: TypeError"),
        ({"spending": {"output_tokens": {"small": -1}, "cost_usd": {}}}, "output_tokens are amounts by member"),
        ({"spending": None}, "output_tokens are amounts by member"),
        ({"files": {"arrays.npz": "0" * 64}}, "'arrays.npz' is damaged, or another router's"),
        ({"files": {}}, "is damaged: KeyError"),
        ({"files": {"weights.bin": "0" * 64}}, "'weights.bin' is missing"),
        ({"files": {"../mine": "0" * 64}}, "'../mine' does not lie in it"),
    ],
)
def test_a_spoiled_description_is_refused(
    length: LengthRouter, tmp_path: Path, changed: dict[str, Any], says: str
) -> None:
    (tmp_path / "mine").write_text("")
    save(length, tmp_path / "out")
    told(tmp_path / "out", **changed)
    with pytest.raises(ConfigError, match=says):
        opened(tmp_path / "out")


def test_a_folder_that_holds_no_router_is_refused(length: LengthRouter, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ConfigError, match="holds no router"):
            opened(folder)
    for text, says in (("{", "is damaged"), ("[]", "is no router of this program"), ("[" * 10**5, "is damaged")):
        (tmp_path / artifact.ROUTER).write_text(text)
        with pytest.raises(ConfigError, match=says):
            opened(tmp_path)


def test_a_missing_key_is_damage(length: LengthRouter, tmp_path: Path) -> None:
    save(length, tmp_path / "out")
    file = tmp_path / "out" / artifact.ROUTER
    whole = json.loads(file.read_text())
    for key in set(whole) - {"format"}:
        file.write_text(json.dumps({name: value for name, value in whole.items() if name != key}))
        with pytest.raises(ConfigError, match="damaged"):
            opened(tmp_path / "out")


def test_arrays_of_another_router_are_refused(length: LengthRouter, tmp_path: Path) -> None:
    other = replace(length, curves=length.curves + 1)
    for router, name in ((length, "one"), (other, "two")):
        save(router, tmp_path / name)
    shutil.copy(tmp_path / "two" / "arrays.npz", tmp_path / "one" / "arrays.npz")
    with pytest.raises(ConfigError, match="another router's"):
        opened(tmp_path / "one")


def test_a_large_description_is_not_read(length: LengthRouter, tmp_path: Path, monkeypatch: Any) -> None:
    save(length, tmp_path / "out")
    monkeypatch.setattr(artifact, "MAX_JSON_BYTES", 10)
    with pytest.raises(ConfigError, match="is larger than 10 bytes"):
        opened(tmp_path / "out")


def test_a_kind_whose_package_is_missing_says_which(length: LengthRouter, tmp_path: Path, monkeypatch: Any) -> None:
    def needing(kind: str) -> Any:
        raise MissingExtra("this kind", "routers", "scipy")

    save(length, tmp_path / "out")
    monkeypatch.setattr(artifact, "loads", needing)
    with pytest.raises(MissingExtra, match="scipy"):
        opened(tmp_path / "out")


def test_another_encoders_vectors_are_refused(tmp_path: Path) -> None:
    router = fitted("knn", tmp_path / "base")
    save(router, tmp_path / "out", About(encoder(tmp_path / "encoder")))
    again = opened(tmp_path / "out")
    assert again.encoder is not None
    other = replace(again.encoder, max_tokens=7)  # type: ignore[type-var]
    with pytest.raises(ConfigError, match="cannot be compared with them"):
        again.checked(other)


# ---- arrays -----------------------------------------------------------------------------------------


def test_arrays_come_back_and_equal_ones_are_equal_bytes(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.zeros(0, dtype=np.uint8), "c": np.array(["x", "é"])}
    for name in ("one", "two"):
        npz.save(tmp_path / name, arrays)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    found = npz.load(tmp_path / "one")
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_objects_are_neither_written_nor_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        npz.save(tmp_path / "a", {"a": np.array([{}])})
    np.savez(tmp_path / "b.npz", a=np.array([{}], dtype=object))
    with pytest.raises(ConfigError, match="Object arrays cannot be loaded"):
        npz.load(tmp_path / "b.npz")


def test_what_would_fill_the_memory_is_not_read(tmp_path: Path, monkeypatch: Any) -> None:
    np.savez_compressed(tmp_path / "bomb.npz", a=np.zeros(10**6))
    with pytest.raises(ConfigError, match="are compressed"):
        npz.load(tmp_path / "bomb.npz")
    npz.save(tmp_path / "large.npz", {"a": np.zeros(100)})
    monkeypatch.setattr(npz, "MAX_BYTES", 100)
    with pytest.raises(ConfigError, match="at most 100 are read"):
        npz.load(tmp_path / "large.npz")


@pytest.mark.parametrize("content", [b"", b"PK\3\4 and no more", b"x" * 1000])
def test_a_damaged_file_of_arrays_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ConfigError, match="cannot be read"):
        npz.load(tmp_path / "a.npz")


def test_a_header_that_claims_more_than_there_is_is_refused(tmp_path: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
    header += b" " * (117 - len(header)) + b"\n"
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\0" * 8)
    with pytest.raises(ConfigError, match="cannot be read"):
        npz.load(tmp_path / "a.npz")
