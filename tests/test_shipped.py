"""The trained parts that come with the package: found by name, and each with a card that says what it is worth."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from coterie import Committee, ConfigError, config, embedded, weights
from coterie.judges.pair_ranker import PairRanker
from coterie.shipped import HERE, PREFIX, folder, names
from coterie.trace import CandidateOffered

RANKER, FUSER = "coterie/pair-ranker-minilm", "coterie/fuser-smollm2"

MOST_MB = 30


def test_names_are_sorted_and_lead_to_folders_with_a_card() -> None:
    assert names() == tuple(sorted(names()))
    for name in names():
        place = folder(name)
        assert place is not None
        assert name == PREFIX + place.name
        assert isinstance(json.loads((place / "card.json").read_text(encoding="utf-8")), dict)


@pytest.mark.parametrize("name", ["llm-blender/PairRM", "./coterie/pair", "coterie", "", "/tmp/coterie/x", "COTERIE/x"])
def test_a_name_of_another_kind_is_none_of_them(name: str) -> None:
    assert folder(name) is None


@pytest.mark.parametrize("name", ["coterie/no-such-part", "coterie/", "coterie/../shipped", "coterie/__pycache__"])
def test_a_part_that_does_not_come_with_it_is_refused_by_name(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        folder(name)
    assert repr(name) in str(caught.value)
    assert all(known in str(caught.value) for known in names())


def test_they_are_small_and_say_what_they_are_worth() -> None:
    assert {RANKER, FUSER} <= set(names())
    files = [file for file in HERE.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    assert sum(file.stat().st_size for file in files) < MOST_MB * 1_000_000
    for name in names():
        place = folder(name)
        assert place is not None
        card = json.loads((place / "card.json").read_text(encoding="utf-8"))
        assert all(file["licence"] != "not stated" for file in card["data"]["files"])
        said = (place / "README.md").read_text(encoding="utf-8")
        assert "## Weaknesses" in said
        assert "Apache-2.0" in said
        assert "/tmp" not in said + json.dumps(card)


def test_the_ranker_prefers_an_answer_to_nonsense() -> None:
    pytest.importorskip("onnxruntime", reason="the shipped ranker needs the extra local")
    asked = {
        "What is the capital of France?": "The capital of France is Paris.",
        "Who wrote Romeo and Juliet?": "William Shakespeare wrote Romeo and Juliet.",
        "How many days has a week?": "A week has seven days.",
    }
    nonsense = "Bananas are yellow because, because, because of the the river"
    with Committee((), {}) as committee:
        for question, answer in asked.items():
            ranked = committee.rank(question, [nonsense, answer], judge=PairRanker(RANKER))
            assert ranked.best.text == answer


def test_the_ranker_needs_no_pytorch() -> None:
    pytest.importorskip("onnxruntime", reason="the shipped ranker needs the extra local")
    code = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\n"
        "from coterie.judges.pair_ranker import PairRankerWeights\n"
        "from coterie.judges.pair_ranker.encoding import Pair\n"
        f"engine = PairRankerWeights({RANKER!r}).load()\n"
        "left, right = engine.score([Pair('What is 2 + 2?', '2 + 2 is 4.', 'blue blue')])[0]\n"
        "engine.close(); assert left > right, (left, right)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.local_model
def test_the_embedded_committee_ranks_and_fuses_with_trained_parts() -> None:
    pytest.importorskip("xllamacpp")
    weights.pull("smollm2-135m-instruct")
    source = embedded.source(gemma=False)
    source["methods"]["rank_and_fuse"]["top_k"] = 2  # without Gemma only the first would be left
    with Committee.from_config(config.load(source, {})) as committee:
        answer = committee.ask("What is the capital of France?", "rank_and_fuse", seed=1)
    assert answer.text.strip()
    assert answer.how == "fused"
    assert [event.candidate.author for event in answer.trace.of(CandidateOffered)][-1] == "smollm2-fuser"
    assert {judgement.judge for judgement in answer.judgements} == {"pair_ranker"}
    assert not answer.failures
