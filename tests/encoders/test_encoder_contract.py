"""What every encoder in the registry promises, whatever it is handed."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

import numpy as np
import pytest
import tiny_encoders
from tiny_encoders import TEXTS, encoded, opened

from coterie import registry
from coterie.encoders import KINDS, from_plain, to_plain
from coterie.errors import ConfigError, RouterError
from coterie.house import House
from coterie.protocols import Encoder
from coterie.specs import build
from http_faults import FaultServer

EXACT = {"minilm, onnx", "minilm, int8", "minilm, numpy", "static", "endpoint"}
"""Those whose vectors do not depend at all on what stands beside a text."""
NAMES = sorted([*EXACT, "minilm, torch", "sentence_transformers"])


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Encoder]]:
    place = tmp_path_factory.mktemp("encoders")
    bert, table = str(tiny_encoders.bert(place / "bert")), str(tiny_encoders.table(place / "table"))
    sentences = str(tiny_encoders.sentence_transformers(place / "sentences"))
    with FaultServer({"e": tiny_encoders.answering}) as server:
        said: dict[str, Any] = {
            "minilm, onnx": {"kind": "minilm", "model": bert, "max_tokens": 32, "backend": "onnx", "threads": 2},
            "minilm, int8": {"kind": "minilm", "model": bert, "max_tokens": 32, "precision": "int8"},
            "minilm, numpy": {"kind": "minilm", "model": bert, "max_tokens": 32, "backend": "numpy"},
            "minilm, torch": {"kind": "minilm", "model": bert, "max_tokens": 32, "backend": "torch"},
            "static": {"kind": "static", "model": table},
            "endpoint": {"kind": "endpoint", "base_url": server.base_url, "model": "e", "extra": {"user": "tests"}},
            "sentence_transformers": {"kind": "sentence_transformers", "model": sentences, "device": "cpu"},
        }
        yield {name: build("encoders", settings) for name, settings in said.items()}


@pytest.fixture(params=NAMES)
def encoder(request: pytest.FixtureRequest, encoders: Mapping[str, Encoder]) -> Encoder:
    if request.param == "sentence_transformers":
        pytest.importorskip("sentence_transformers")
    return encoders[request.param]


def test_every_kind_of_the_registry_is_tried() -> None:
    ours = {name: place for name, place in registry.known("encoders").items() if place.startswith("coterie.")}
    assert ours == KINDS
    assert {name.partition(",")[0] for name in NAMES} == set(KINDS)


def test_vectors_have_length_1_and_their_texts_order(encoder: Encoder) -> None:
    async def work(open_encoder: Any) -> None:
        rows = await open_encoder.encode(TEXTS)
        assert rows.dtype == np.float32
        assert rows.shape == (len(TEXTS), open_encoder.dimensions)
        assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-6)
        assert (await open_encoder.encode(TEXTS[::-1]) == rows[::-1]).all()
        assert len(np.unique(rows, axis=0)) == len(TEXTS)

    opened(encoder, work)


def test_what_stands_beside_a_text_changes_nothing(
    request: pytest.FixtureRequest, encoders: Mapping[str, Encoder], encoder: Encoder
) -> None:
    together = encoded(encoder, [*TEXTS, TEXTS[0], "", TEXTS[2]])
    alone = np.concatenate([encoded(encoder, [text]) for text in TEXTS[:4]])
    name = next(name for name, each in encoders.items() if each is encoder)
    assert np.abs(together[:4] - alone).max() <= (0 if name in EXACT else 1e-5)
    assert (together[[6, 8]] == together[[0, 2]]).all()


def test_a_text_without_a_word_is_0(encoder: Encoder) -> None:
    rows = encoded(encoder, ["", "the cat", "  \n\t", "\u3000"])
    assert (rows[[0, 2, 3]] == 0).all()
    assert np.linalg.norm(rows[1]) == pytest.approx(1, abs=1e-6)


def test_no_text_is_no_row(encoder: Encoder) -> None:
    async def work(open_encoder: Any) -> None:
        assert (await open_encoder.encode([])).shape == (0, open_encoder.dimensions)

    opened(encoder, work)


def test_any_string_has_a_vector(encoder: Encoder) -> None:
    odd = ["a \ud800 b", "\x00", "Ω 東京 🙂 e\u0301", "a" * 100_000, "the cat " * 50_000, "[SEP] the [PAD] cat"]
    rows = encoded(encoder, odd)
    assert np.isfinite(rows).all()
    assert (encoded(encoder, ["a \ufffd b"]) == encoded(encoder, odd[:1])).all()


def test_one_text_instead_of_a_list_is_refused(encoder: Encoder) -> None:
    with pytest.raises(ConfigError, match="a list of texts"):
        encoded(encoder, "the cat")


def test_a_vector_is_the_callers_own(encoder: Encoder) -> None:
    async def work(open_encoder: Any) -> None:
        rows = await open_encoder.encode(TEXTS[:2])
        kept = rows.copy()
        rows[:] = 7
        assert (await open_encoder.encode(TEXTS[:2]) == kept).all()

    opened(encoder, work)


def test_many_may_ask_at_once(encoder: Encoder) -> None:
    async def work(open_encoder: Any) -> None:
        rows = await asyncio.gather(*(open_encoder.encode([text]) for text in [*TEXTS, *TEXTS]))
        assert np.abs(np.concatenate(rows) - np.tile(await open_encoder.encode(TEXTS), (2, 1))).max() == 0

    opened(encoder, work)


def test_a_closed_encoder_says_so(encoder: Encoder) -> None:
    async def go() -> None:
        async with encoder.open() as open_encoder:
            pass
        with pytest.raises(RouterError, match="was closed"):
            await open_encoder.encode(["the cat"])

    asyncio.run(go())


def test_it_is_a_value_and_a_house_opens_it_once(encoder: Encoder) -> None:
    twin = dataclasses.replace(cast(Any, encoder))
    assert twin == encoder
    assert hash(twin) == hash(encoder)
    assert twin.identity == encoder.identity

    async def go() -> None:
        async with House() as house:
            assert await house.once(encoder) is await house.once(twin)

    asyncio.run(go())


def test_it_goes_through_json_and_back(encoder: Encoder) -> None:
    again = from_plain(json.loads(json.dumps(to_plain(encoder))))
    assert again == encoder
    assert again.identity == encoder.identity


def test_backends_share_an_identity_and_other_settings_do_not(encoders: Mapping[str, Encoder]) -> None:
    identities = {name: encoder.identity for name, encoder in encoders.items()}
    of_minilm = {identities.pop(f"minilm, {backend}") for backend in ("onnx", "numpy", "torch")}
    assert len(of_minilm) == 1
    assert len(of_minilm | set(identities.values())) == 5
    for name, change in (
        ("minilm, onnx", {"max_tokens": 31}),
        ("minilm, onnx", {"keep": "end"}),
        ("static", {"dimensions": 4}),
        ("static", {"max_tokens": 7}),
        ("endpoint", {"model": "other"}),
        ("endpoint", {"dimensions": 3}),
        ("endpoint", {"max_characters": 5}),
        ("sentence_transformers", {"max_tokens": 5}),
    ):
        changed = dataclasses.replace(cast(Any, encoders[name]), **change)
        assert changed.identity != encoders[name].identity, (name, change)
