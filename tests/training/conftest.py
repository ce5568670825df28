"""What the tests of training share: one tiny encoder, and one file of pairs."""

from __future__ import annotations

import pytest

import learnable


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    pytest.importorskip("torch", reason="training needs the extra train")
    return learnable.encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> str:
    return learnable.written(tmp_path_factory.mktemp("data") / "pairs.jsonl", learnable.pairs())
