"""What the tests of training share: one tiny encoder, one file of pairs, and surroundings in which it is quick."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator

import pytest

import learnable


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    pytest.importorskip("torch", reason="training needs the extra train")
    return learnable.encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def quick() -> Iterator[None]:
    """Trainings without what takes longer than they do: charts are not drawn, as where matplotlib is not installed,
    and a Trainer, which collects garbage when it ends, does not look through all that was ever imported.
    """
    pytest.importorskip("transformers", reason="training needs the extra train")
    from coterie.training import fusing_bench, fusing_trainer, trainer  # noqa: F401

    gc.collect()
    gc.freeze()
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(sys.modules, "matplotlib.figure", None)
        yield
    gc.unfreeze()


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> str:
    return learnable.written(tmp_path_factory.mktemp("data") / "pairs.jsonl", learnable.pairs())
