"""The published PairRM itself, against the numbers in its own README, where its 1.7 GB are at hand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from coterie.compat.llm_blender import Blender
from coterie.judges.pair_ranker import PairRankerWeights
from coterie.judges.pair_ranker.opened import OpenPairRanker

pytest.importorskip("torch", reason="the pair ranker needs the extra torch")

FOLDER = "COTERIE_PAIRRM"
"""The environment variable that names a folder with llm-blender/PairRM (or PairRM-hf)."""


def published() -> str:
    """Where the checkpoint lies: the named folder, or the hub's cache. Skips where it is in neither."""
    if named := os.environ.get(FOLDER):
        return named
    from huggingface_hub import try_to_load_from_cache

    for name in ("llm-blender/PairRM", "llm-blender/PairRM-hf"):
        found = try_to_load_from_cache(name, "model.safetensors")
        if isinstance(found, str):
            return str(Path(found).parent)
    pytest.skip(f"llm-blender/PairRM is not in the hub's cache, and {FOLDER} names no folder with it")


@pytest.fixture(scope="module")
def ranker() -> Iterator[OpenPairRanker]:
    with OpenPairRanker.load(PairRankerWeights(published(), device="cpu", precision="float32")) as opened:
        yield opened


def test_the_readmes_logits(ranker: OpenPairRanker) -> None:
    found = ranker.compare_many(
        ["hello!", "I love you!"],
        ["hi!", "I hate you!"],
        ["f**k off!", "I love you, too!"],
        reading="a_first",
    )
    assert found == pytest.approx([1.9003021717071533, -1.2547134160995483], abs=1e-5)


def test_the_readmes_ranks(ranker: OpenPairRanker) -> None:
    inputs = ["hello, how are you!", "I love you!"]
    candidates = [
        ["get out!", "hi! I am fine, thanks!", "bye!"],
        ["I love you too!", "I hate you!", "Thanks! You're a good guy!"],
    ]
    assert [row.ranks for row in ranker.rank_many(inputs, candidates)] == [(3, 1, 2), (1, 3, 2)]
    with_the_old_face = Blender()
    with_the_old_face.loadranker(published(), device="cpu")
    assert with_the_old_face.rank(inputs, candidates).tolist() == [[3, 1, 2], [1, 3, 2]]
    with_the_old_face.close()
