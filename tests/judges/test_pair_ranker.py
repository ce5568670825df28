"""The pair ranker against the reference's numbers, whatever the layout, the batch, the order or the neighbours."""

from __future__ import annotations

import json
import logging
import math
import random
import shutil
from collections.abc import Iterator, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from coterie import Committee, ConfigError, RankAndFuse, ScriptedMember, Trace, replay
from coterie.judges.engine import Engine
from coterie.judges.keeping import Keep
from coterie.judges.pair_ranker import PairRanker, PairRankerWeights
from coterie.judges.pair_ranker.checkpoint import find
from coterie.judges.pair_ranker.encoding import Pair, PairEncoder
from coterie.judges.pair_ranker.judge import source_of
from coterie.methods.best_of import BestOf
from coterie.specs import build, describe
from coterie.trace import WorkDone
from coterie.types import Message
from golden import FOLDER, RANKER, golden, hf_layout

torch = pytest.importorskip("torch", reason="the pair ranker needs the extra torch")

TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine[Pair]]:
    loaded = PairRankerWeights(str(RANKER), device="cpu").load()
    yield loaded
    loaded.close()


def golden_pairs() -> list[tuple[Pair, float]]:
    found = golden()
    return [
        (Pair(source, texts[i], texts[j]), table[i][j])
        for source, texts, table in zip(found.inputs, found.candidates, found.logits, strict=True)
        for i, j in permutations(range(len(texts)), 2)
    ]


def logits(engine: Engine[Pair], pairs: Sequence[Pair]) -> list[float]:
    return [left - right for left, right in engine.score(pairs)]


def furthest(found: Sequence[float], wanted: Sequence[float]) -> float:
    return max(abs(a - b) for a, b in zip(found, wanted, strict=True))


# ---- the reference's numbers ------------------------------------------------------------------


@pytest.mark.parametrize("budget_tokens", [1, 700, 2048, 30_000])
@pytest.mark.parametrize("seed", [0, 1])
def test_golden_logits_whatever_the_batch_and_the_order(budget_tokens: int, seed: int) -> None:
    engine = PairRankerWeights(str(RANKER), device="cpu", budget_tokens=budget_tokens).load()
    rows = golden_pairs()
    random.Random(seed).shuffle(rows)
    found = logits(engine, [pair for pair, _ in rows])
    engine.close()
    assert furthest(found, [logit for _, logit in rows]) < TOLERANCE


def layouts(place: Path) -> dict[str, Path]:
    """The golden checkpoint in every layout that is read."""
    found = {"as published": RANKER, "PairRM-hf": hf_layout(place / "hf")}
    renamed = shutil.copytree(FOLDER, place / "renamed") / "ranker"
    (renamed / "config.json").rename(renamed / "ranker_config.json")
    found["ranker_config.json"] = renamed
    pickled = shutil.copytree(FOLDER, place / "pickled") / "ranker"
    from safetensors.torch import load_file

    state = load_file(pickled / "model.safetensors")
    state["single_head_layer.weight"] = torch.zeros(3)
    state["pretrained_model.embeddings.position_ids"] = torch.arange(4)[None]
    torch.save(state, pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    found["bin with leftover keys"] = pickled
    return found


def test_golden_logits_from_every_layout(tmp_path: Path) -> None:
    pairs = golden_pairs()
    for name, folder in layouts(tmp_path).items():
        engine = PairRankerWeights(str(folder), device="CPU").load()
        found = logits(engine, [pair for pair, _ in pairs])
        engine.close()
        assert furthest(found, [logit for _, logit in pairs]) < TOLERANCE, name


def test_a_relative_model_name_is_found_in_the_working_folder_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(RANKER, tmp_path / "alone" / "ranker")
    shutil.copytree(FOLDER / "base", tmp_path / "work" / "base")
    monkeypatch.chdir(tmp_path / "work")
    engine = PairRankerWeights(str(tmp_path / "alone" / "ranker"), device="cpu").load()
    pair, logit = golden_pairs()[0]
    assert furthest(logits(engine, [pair]), [logit]) < TOLERANCE
    engine.close()


# ---- what texts may hold ----------------------------------------------------------------------


TRICKY = [
    "<|source|> I am the source",
    "<|candidate1|><|candidate2|>",
    "a <|candidate|> b",
    "\uff1c|source|\uff1e in wide letters",  # NFKC makes the mark of it
    "[SEP] [CLS] [PAD]",
    "",
    " ",
    "\n\n",
    "日本語 🎉 \u0000 \u2028",
]


@pytest.mark.parametrize("text", TRICKY)
def test_marks_and_oddities_in_a_text_are_words_like_others(engine: Engine[Pair], text: str) -> None:
    encoder = PairEncoder(find(str(RANKER)))
    for pair in (Pair(text, "good", "bad"), Pair("asked", text, "bad"), Pair("asked", "good", text)):
        row = encoder.row(pair)
        at_marks = [row.ids[place] for place in row.marks]
        assert at_marks == list(encoder.marks[:3])
        assert sum(id_ in encoder.marks for id_ in row.ids) == 3
    assert all(map(math.isfinite, logits(engine, [Pair(text, text, "x")])))


def test_equal_candidates_are_computed_once_and_equal(engine: Engine[Pair]) -> None:
    fresh = PairRankerWeights(str(RANKER), device="cpu").load()
    pair = Pair("source", "one", "two")
    found = fresh.score([pair, pair, pair])
    again = fresh.score([pair])
    fresh.close()
    assert len({*found, *again}) == 1
    assert (fresh.spent.rows, fresh.spent.computed) == (4, 1)


def test_padding_is_next_to_nothing_where_pairs_are_many() -> None:
    """Of a forward that is given whole batches, as any but the packed one."""

    def silent(ids: Any, lengths: Any, marks: Any) -> Any:
        assert ids.shape[1] % 8 == 0
        assert lengths.max() <= ids.shape[1]
        return lambda: [(0.0, 0.0)] * len(ids)

    rng = random.Random(7)
    words = [" ".join("word" for _ in range(int(rng.lognormvariate(3.5, 0.6)))) for _ in range(44)]
    groups = [words[n : n + 11] for n in range(0, 44, 11)]
    asked = [Pair(f"question {n}", a, b) for n, group in enumerate(groups) for a, b in permutations(group, 2)]
    engine = Engine(PairEncoder(find(str(RANKER))).row, silent, budget_tokens=2_048, pad_to=8)
    engine.score(asked)
    engine.close()
    assert engine.spent.rows == 440
    assert engine.spent.computed > 300  # texts of equal lengths are equal
    assert 0 < engine.spent.padding < 0.05


def test_a_text_too_long_is_cut_at_the_chosen_end_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    long = " ".join(f"word{n}" for n in range(400))
    rows = {}
    for keep in ("start", "end"):
        weights = PairRankerWeights(str(RANKER), device="cpu", source_tokens=40, candidate_tokens=30, keep=keep)
        engine = weights.load()
        with caplog.at_level(logging.WARNING, "coterie"):
            engine.score([Pair("short", long, "x")])
            engine.score([Pair("other", long, "x")])
        rows[keep] = engine.encode(Pair("short", long, "x"))
        assert engine.spent.cut == 2
        engine.close()
    assert len(caplog.records) == 2  # one for each engine
    source = rows["start"].marks[1] - 1
    room = 30 + (40 - source) // 2
    assert all(row.marks[2] - row.marks[1] == room for row in rows.values())
    assert rows["start"].ids != rows["end"].ids


KEPT: list[tuple[Keep | None, Keep | None, Keep]] = [
    (None, None, "start"),
    (None, "end", "end"),
    ("end", None, "end"),
    ("end", "start", "start"),
    ("start", "end", "end"),
]


@pytest.mark.parametrize("layout", ["ranker", "model"])
@pytest.mark.parametrize(("said", "asked", "kept"), KEPT)
def test_the_end_that_is_kept_is_what_is_asked_for_or_what_the_checkpoint_says(
    tmp_path: Path, layout: str, said: Keep | None, asked: Keep | None, kept: Keep
) -> None:
    folder = shutil.copytree(FOLDER, tmp_path / "golden") / "ranker" if layout == "ranker" else hf_layout(tmp_path)
    lengths: dict[str, Any] = {"device": "cpu", "source_tokens": 40, "candidate_tokens": 30}
    wanted = PairRankerWeights(str(RANKER), keep=kept, **lengths).load()
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | ({"keep": said} if said else {})), encoding="utf-8")
    found = PairRankerWeights(str(folder), keep=asked, **lengths).load()
    for text in ("word " * 300, "a b c " * 300, " " * 20_000 + "x", "x" + " " * 20_000):
        pair = Pair(f"which? {text}", f"this {text} here", f"that {text} there")
        assert found.encode(pair) == wanted.encode(pair)
        assert found.encode(pair).cut
    found.close()
    wanted.close()


def test_a_judge_that_leaves_the_end_to_its_checkpoint_is_described_and_replayed_as_it_is(tmp_path: Path) -> None:
    folder = shutil.copytree(FOLDER, tmp_path / "golden") / "ranker"
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "keep": "end"}), encoding="utf-8")
    endings = ("yes", "no no", "perhaps it is", "7")
    members = [ScriptedMember(f"m{n}", ("word " * 300 + ending,)) for n, ending in enumerate(endings)]
    rankings = []
    for keep in (None, "end"):
        judge = PairRanker(str(folder), device="cpu", source_tokens=20, candidate_tokens=12, keep=keep)
        assert describe("judges", judge)["keep"] == keep
        assert build("judges", describe("judges", judge)) == judge
        traces: list[Trace] = []
        method = BestOf(tuple(member.name for member in members), judge=judge, rule="max_logits")
        with Committee(members, {"default": method}) as committee:
            answer = committee.ask("which?", on_trace=traces.append)
        again = replay(traces[0])
        assert (again.text, again.ranking) == (answer.text, answer.ranking)
        rankings.append(answer.ranking)
    assert rankings[0] == rankings[1]
    assert rankings[0] is not None
    assert len(set(rankings[0].scores.values())) == len(endings)  # all of them begin alike, so their ends were read


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"keep": "middle"}, "keep of the ranker in .* cannot be 'middle': it is 'start' or 'end'"),
        ({"source_maxlength": "long"}, "source_maxlength of the ranker in .* cannot be 'long'"),
        ({"n_tasks": [1]}, r"n_tasks of the ranker in .* cannot be \[1\]"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_name(tmp_path: Path, setting: dict[str, Any], said: str) -> None:
    folder = shutil.copytree(FOLDER, tmp_path / "golden") / "ranker"
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | setting), encoding="utf-8")
    with pytest.raises(ConfigError, match=said):
        PairRankerWeights(str(folder), device="cpu").load()


def test_the_rule_of_truncation_does_not_know_neighbours(engine: Engine[Pair]) -> None:
    weights = PairRankerWeights(str(RANKER), device="cpu", source_tokens=60, candidate_tokens=20)
    small = weights.load()
    long = " ".join(f"word{n}" for n in range(100))
    alone = small.score([Pair("a", long, "b")])
    small.close()
    fresh = weights.load()
    among = fresh.score([Pair(long, long, long[::-1]), Pair("a", long, "b"), Pair("a", "b", "c")])
    fresh.close()
    assert furthest([alone[0][0] - alone[0][1]], [among[1][0] - among[1][1]]) < TOLERANCE


# ---- other backbones and tasks ----------------------------------------------------------------


def test_an_encoder_decoder_backbone_reads_source_and_candidates_apart(tmp_path: Path) -> None:
    from safetensors.torch import save_file
    from transformers import T5Config

    from coterie.judges.pair_ranker import checkpoint, network

    torch.manual_seed(0)
    settings: Any = T5Config
    config = settings(
        vocab_size=2004, d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2, decoder_start_token_id=0
    )
    folder = tmp_path / "t5"
    folder.mkdir()
    made = network.PairNetwork(config, n_tasks=2)
    save_file({k: v.clone() for k, v in made.state_dict().items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_name": "base", "n_tasks": 2}), encoding="utf-8")
    base = folder / "base"
    base.mkdir()
    (base / "config.json").write_text(json.dumps(config.to_dict()), encoding="utf-8")
    shutil.copy(FOLDER / "base" / "tokenizer.json", base)
    assert checkpoint.find(str(folder)).n_tasks == 2
    pairs = [Pair("a question", "an answer", "another one"), Pair("a much longer question than that", "b", "c d e f")]
    one = PairRankerWeights(str(folder), device="cpu", budget_tokens=1).load()
    many = PairRankerWeights(str(folder), device="cpu", budget_tokens=10_000).load()
    alone, together = logits(one, pairs), logits(many, pairs)
    one.close()
    many.close()
    assert furthest(alone, together) < TOLERANCE
    assert abs(alone[0]) > TOLERANCE


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "config.json").unlink(), "neither config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "no JSON"),
        (lambda folder: (folder / "config.json").write_text("{}"), "neither model_name nor model_type"),
        (lambda folder: (folder / "model.safetensors").unlink(), "neither model.safetensors"),
    ],
)
def test_what_is_no_pair_ranker_is_refused_by_name(tmp_path: Path, spoil: object, said: str) -> None:
    folder = shutil.copytree(FOLDER, tmp_path / "golden") / "ranker"
    spoil(folder)  # type: ignore[operator]
    with pytest.raises(ConfigError, match=said):
        PairRankerWeights(str(folder), device="cpu").load()


def test_missing_weights_are_refused_by_name(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(FOLDER, tmp_path / "golden") / "ranker"
    state = load_file(folder / "model.safetensors")
    del state["head_layer.4.weight"]
    save_file(state, folder / "model.safetensors")
    with pytest.raises(ConfigError, match=r"head_layer\.4\.weight"):
        PairRankerWeights(str(folder), device="cpu").load()


def test_an_engine_that_is_closed_leaves_nobody_waiting() -> None:
    engine = PairRankerWeights(str(RANKER), device="cpu", budget_tokens=1).load()
    futures = engine.submit([Pair("q", f"a{n}", f"b{n}") for n in range(50)])
    engine.close()
    assert all(future.done() for future in futures)


# ---- as a judge -------------------------------------------------------------------------------


def test_it_ranks_a_committees_candidates_and_replays(tmp_path: Path) -> None:
    found = golden()
    texts = found.candidates[1]
    members = [ScriptedMember(f"m{n}", (text,)) for n, text in enumerate(texts)]
    names = tuple(member.name for member in members)
    judge = PairRanker(str(RANKER), device="cpu")
    method = BestOf(names, judge=judge, rule="max_logits")
    traces: list[Trace] = []
    with Committee(members, {"default": method, "fused": RankAndFuse(names, judge=judge)}) as committee:
        answer = committee.ask(found.inputs[1], on_trace=traces.append)
    assert answer.ranking is not None
    best = found.ranks[1].index(1)
    assert answer.text == texts[best]
    ranks = answer.ranking.ranks
    assert [ranks[f"c{n}"] for n in range(1, 6)] == found.ranks[1]
    scores = [answer.ranking.scores[f"c{n}"] or 0.0 for n in range(1, 6)]
    assert furthest(scores, found.scores[1]) < TOLERANCE
    (work,) = traces[0].of(WorkDone)
    assert work.actor == "pair_ranker"
    assert work.work in traces[0].critical_path.calls
    traces[0].save(tmp_path / "run.jsonl")
    assert replay(Trace.load(tmp_path / "run.jsonl")).text == answer.text


def test_the_source_is_the_question_or_the_conversation() -> None:
    assert source_of([Message("system", "Be brief."), Message("user", "Why?")]) == "Be brief.Why?"
    turns = [Message("user", "Who?"), Message("assistant", "Goethe."), Message("user", "When?")]
    assert source_of(turns) == "USER: Who?\nASSISTANT: Goethe.\nUSER: When?"
