"""Rankers of one candidate at a time: their networks against plain formulas, their rows, checkpoints and judgements."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import random
import shutil
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from coterie import Committee, ConfigError, ScriptedMember, Trace, replay
from coterie.judges.pair_ranker.checkpoint import find
from coterie.judges.pair_ranker.segments import CANDIDATE, SOURCE, Segments
from coterie.judges.pointwise import Pointwise, SimCLS, SummaReranker
from coterie.judges.pointwise.encoding import Alone, AloneEncoder, Answer, AnswerEncoder
from coterie.judges.pointwise.judge import RankerJudge, cosine
from coterie.methods.best_of import BestOf
from coterie.specs import build, describe
from coterie.trace import WorkDone
from golden import RANKER, hf_layout

torch = pytest.importorskip("torch", reason="rankers need the extra torch")

JUDGES: dict[str, type[RankerJudge[Any]]] = {"pointwise": Pointwise, "simcls": SimCLS, "summareranker": SummaReranker}
TASKS = 2
SOURCES = ["What is the capital of France?", "Tell me a story about a dog and a cat. " * 4, ""]
TEXTS = ["Paris", "It is Rome, I am sure of it.", "", "a b c d e f g " * 4, "Paris"]
TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    from tiny_rankers import ranker

    place = tmp_path_factory.mktemp("rankers")
    return {kind: ranker(place / kind, kind, TASKS) for kind in JUDGES}


def judge(folders: dict[str, Path], kind: str, **settings: Any) -> RankerJudge[Any]:
    return JUDGES[kind](str(folders[kind]), device="cpu", **settings)


def scores(judge: RankerJudge[Any], rows: Sequence[tuple[str, Sequence[str]]]) -> list[list[float]]:
    """Of each source's texts, out of one engine."""
    engine = judge.load()
    try:
        return [asyncio.run(judge.scores(engine, source, texts)) for source, texts in rows]
    finally:
        engine.close()


def said(judge: RankerJudge[Any], source: str, *texts: str) -> list[float]:
    return scores(judge, [(source, texts)])[0]


def network(kind: str, n_tasks: int = TASKS, **settings: Any) -> Any:
    from transformers import AutoConfig

    from coterie.judges.pointwise.network import RankerNetwork
    from tiny_rankers import ENCODER

    encoder = {**ENCODER, **settings}
    torch.manual_seed(0)
    return RankerNetwork(AutoConfig.for_model(encoder.pop("model_type"), **encoder), kind, n_tasks)  # type: ignore[arg-type]


def batch(kind: str, rows: int = 4) -> tuple[Any, Any, Any]:
    ids = torch.arange(rows * 9).reshape(rows, 9) + 10
    marks = torch.tensor([[1, 5]] * rows) if kind == "pointwise" else torch.zeros(rows, 1, dtype=torch.long)
    return ids, torch.ones_like(ids), marks


every_kind = pytest.mark.parametrize("kind", JUDGES)


# ---- scores -----------------------------------------------------------------------------------


Alones = dict[tuple[str, str], float]


@pytest.fixture(scope="module")
def alones(folders: dict[str, Path]) -> dict[str, Alones]:
    """Of each kind the scores of all texts, each by an engine that reads nothing else."""
    asked = [(source, text) for source in SOURCES for text in dict.fromkeys(TEXTS)]
    return {kind: {(s, text): said(judge(folders, kind), s, text)[0] for s, text in asked} for kind in JUDGES}


@every_kind
@pytest.mark.parametrize("budget_tokens", [1, 150, 10_000])
def test_scores_know_neither_batch_nor_order_nor_neighbours(
    folders: dict[str, Path], alones: dict[str, Alones], kind: str, budget_tokens: int
) -> None:
    alone = alones[kind]
    wanted = list(alone)
    random.Random(budget_tokens).shuffle(wanted)
    ranker = judge(folders, kind, budget_tokens=budget_tokens)
    found = scores(ranker, [(source, [text]) for source, text in wanted] + [(source, TEXTS) for source in SOURCES])
    for (source, text), (score,) in zip(wanted, found, strict=False):
        assert score == pytest.approx(alone[source, text], abs=TOLERANCE)
    for source, together in zip(SOURCES, found[len(wanted) :], strict=True):
        assert together == pytest.approx([alone[source, text] for text in TEXTS], abs=TOLERANCE)


def loaded(folders: dict[str, Path], kind: str) -> Any:
    """The checkpoint's network, read without the engine."""
    from safetensors.torch import load_file

    made = network(kind, vocab_size=2004)
    made.load_state_dict(load_file(folders[kind] / "model.safetensors"))
    return made.double().eval()


@pytest.mark.parametrize("kind", ["pointwise", "summareranker"])
def test_a_score_is_the_mean_over_tasks_of_what_the_network_says(folders: dict[str, Path], kind: str) -> None:
    encoder = AnswerEncoder(find(str(folders[kind])), "marks" if kind == "pointwise" else "first")
    made = loaded(folders, kind)
    found = said(judge(folders, kind), SOURCES[0], *TEXTS)
    for text, score in zip(TEXTS, found, strict=True):
        row = encoder.row(Answer(SOURCES[0], text))
        ids = torch.tensor([row.ids])
        with torch.no_grad():
            tasks = made(ids, torch.ones_like(ids), torch.tensor([row.marks]))[0].tolist()
        assert len(tasks) == TASKS
        mean = sum(tasks) / TASKS
        wanted = mean if kind == "pointwise" else 1 / (1 + math.exp(-mean))
        assert score == pytest.approx(wanted, abs=1e-5)


def test_simcls_says_the_cosine_of_the_first_tokens_states(folders: dict[str, Path]) -> None:
    encoder = AloneEncoder(find(str(folders["simcls"])))
    made = loaded(folders, "simcls")

    def state(alone: Alone) -> Any:
        ids = torch.tensor([encoder.row(alone).ids])
        with torch.no_grad():
            return made.pretrained_model(input_ids=ids).last_hidden_state[0, 0]

    source = state(Alone(SOURCES[0], is_source=True))
    wanted = [float(torch.cosine_similarity(source, state(Alone(text)), dim=0)) for text in TEXTS]
    assert said(judge(folders, "simcls"), SOURCES[0], *TEXTS) == pytest.approx(wanted, abs=1e-5)


def test_simcls_reads_a_source_once_and_equal_candidates_once(folders: dict[str, Path]) -> None:
    ranker = judge(folders, "simcls")
    engine = ranker.load()
    found = asyncio.run(ranker.scores(engine, "a question", ["one", "two", "one"]))
    asyncio.run(ranker.scores(engine, "a question", ["three"]))
    engine.close()
    assert found[0] == found[2]
    assert (engine.spent.rows, engine.spent.computed) == (6, 4)


def test_a_cosine_is_symmetric_and_within_its_bounds(folders: dict[str, Path]) -> None:
    ranker = judge(folders, "simcls")
    engine = ranker.load()
    vectors = engine.score([Alone(text) for text in TEXTS])
    engine.close()
    assert [math.hypot(*vector) for vector in vectors] == pytest.approx([1.0] * len(TEXTS))
    for left in vectors:
        assert cosine(left, left) == pytest.approx(1.0)
        for right in vectors:
            assert cosine(left, right) == cosine(right, left)
            assert -1 <= cosine(left, right) <= 1
    third = (3**-0.5,) * 3  # whose squares sum to a little more than 1
    assert cosine(third, third) <= 1
    assert cosine(third, tuple(-x for x in third)) >= -1


def test_a_chance_stays_one_for_logits_of_any_size(folders: dict[str, Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    for logit in (-1e5, 1e5):
        folder = shutil.copytree(folders["summareranker"], tmp_path / str(logit))
        state = load_file(folder / "model.safetensors")
        for task in range(TASKS):
            state[f"head_layer.towers.{task}.bias"][:] = logit
        save_file(state, folder / "model.safetensors")
        (chance,) = said(SummaReranker(str(folder), device="cpu"), "q", "a")
        assert chance == (1.0 if logit > 0 else 0.0)


# ---- the mixture of experts -------------------------------------------------------------------


def plainly(layers: Any, x: Any) -> Any:
    """fc2(ReLU(fc1(x)))."""
    return layers[2].weight @ torch.clamp(layers[0].weight @ x + layers[0].bias, min=0) + layers[2].bias


def mixture(head: Any, state: Any) -> list[float]:
    """The logits of one row, expert after expert and task after task, as the formulas stand."""
    shared = plainly(head.bottom, state)
    logits = []
    for gate, tower in zip(head.gates, head.towers, strict=True):
        weights = shared @ gate.clean
        kept = sorted(range(len(weights)), key=lambda e: -float(weights[e]))[: gate.k]
        total = sum(math.exp(weights[e]) for e in kept)
        mixed = sum(math.exp(weights[e]) / total * torch.exp(plainly(head.experts[e], shared)) for e in kept)
        logits.append(float(tower.weight[0] @ torch.log(mixed) + tower.bias[0]))
    return logits


def head(n_tasks: int, width: int = 6) -> Any:
    from coterie.judges.pointwise.heads import MixtureHead

    torch.manual_seed(n_tasks)
    made = MixtureHead(width, n_tasks).double()
    for gate in made.gates:
        torch.nn.init.normal_(gate.clean)
        torch.nn.init.normal_(gate.noise)
    return made


@pytest.mark.parametrize("n_tasks", [1, 2, 3])
def test_the_mixture_says_what_the_formulas_say(n_tasks: int) -> None:
    made = head(n_tasks).eval()
    assert (len(made.experts), len(made.gates), len(made.towers)) == (2 * n_tasks, n_tasks, n_tasks)
    states = torch.randn(5, 1, 6, dtype=torch.float64)
    with torch.no_grad():
        found = made(states)
        assert float(made.auxiliary_loss) == 0
        for row, state in enumerate(states[:, 0]):
            assert found[row].tolist() == pytest.approx(mixture(made, state), abs=1e-12)


def kth_greatest_of_the_others(values: Sequence[float], own: int, k: int) -> float:
    return sorted((value for n, value in enumerate(values) if n != own), reverse=True)[k - 1]


def squared_variation(amounts: Sequence[float]) -> float:
    mean = sum(amounts) / len(amounts)
    return sum((amount - mean) ** 2 for amount in amounts) / (len(amounts) - 1) / mean**2


@pytest.mark.parametrize("n_tasks", [1, 2, 3])
def test_in_training_gates_are_noisy_and_uneven_use_costs(n_tasks: int) -> None:
    made = head(n_tasks).train()
    states = torch.randn(7, 1, 6, dtype=torch.float64)
    torch.manual_seed(5)
    with torch.no_grad():
        made(states)
        shared = torch.stack([plainly(made.bottom, state) for state in states[:, 0]])
        torch.manual_seed(5)
        cost = 0.0
        for gate in made.gates:
            clean = shared @ gate.clean
            deviation = torch.log(1 + torch.exp(shared @ gate.noise)) + 1e-2
            noisy = clean + torch.randn_like(clean) * deviation
            importance, load = [0.0] * len(made.experts), [0.0] * len(made.experts)
            for row in range(len(states)):
                values = noisy[row].tolist()
                kept = sorted(range(len(values)), key=lambda e: -values[e])[: gate.k]
                total = sum(math.exp(values[e]) for e in kept)
                for e in range(len(values)):
                    importance[e] += math.exp(values[e]) / total if e in kept else 0.0
                    over = float(clean[row, e]) - kth_greatest_of_the_others(values, e, gate.k)
                    load[e] += (1 + math.erf(over / float(deviation[row, e]) / math.sqrt(2))) / 2
            cost += squared_variation(importance) + squared_variation(load)
    assert float(made.auxiliary_loss) == pytest.approx(1e-2 * cost, rel=1e-9)


def test_experts_are_mixed_without_overflow() -> None:
    made = head(2).double()
    with torch.no_grad():
        for expert in made.experts:
            expert[2].bias += 1e4  # exp of which is no number
    made.eval()
    state = torch.randn(1, 1, 6, dtype=torch.float64)
    assert torch.isfinite(made(state)).all()


@pytest.mark.parametrize("amounts", [[2.0, 2.0, 2.0], [5.0]])
def test_even_use_costs_nothing(amounts: list[float]) -> None:
    from coterie.judges.pointwise.heads import squared_variation

    assert float(squared_variation(torch.tensor(amounts))) == 0


# ---- training ---------------------------------------------------------------------------------


@every_kind
def test_what_a_network_says_has_its_kinds_shape(kind: str) -> None:
    found = network(kind).eval()(*batch(kind))
    assert found.shape == ((4, 64) if kind == "simcls" else (4, TASKS))


@every_kind
def test_every_weight_of_a_head_is_reached_by_the_gradient(kind: str) -> None:
    made = network(kind).train()
    wanted = made(*batch(kind, rows=8))
    ((wanted * torch.randn_like(wanted)).sum() + made.auxiliary_loss).backward()
    for name, parameter in made.named_parameters():
        if "rel_embeddings" in name or parameter.grad is None:
            continue
        assert torch.isfinite(parameter.grad).all(), name
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in made.head_layer.parameters())
    assert made.pretrained_model.embeddings.word_embeddings.weight.grad.any()


@every_kind
def test_only_the_mixture_has_an_auxiliary_loss_and_only_in_training(kind: str) -> None:
    made = network(kind).train()
    made(*batch(kind))
    assert (float(made.auxiliary_loss.detach()) > 0) == (kind == "summareranker")
    made.eval()(*batch(kind))
    assert float(made.auxiliary_loss) == 0


@every_kind
def test_padding_changes_nothing(kind: str) -> None:
    made = network(kind).double().eval()
    ids, attended, marks = batch(kind)
    more = torch.nn.functional.pad
    with torch.no_grad():
        bare = made(ids, attended, marks)
        padded = made(more(ids, (0, 5)), more(attended, (0, 5)), marks)
    assert torch.allclose(bare, padded, atol=1e-9)


# ---- rows -------------------------------------------------------------------------------------


TRICKY = [
    "<|source|> I am the source",
    "<|candidate1|><|candidate|>",
    "\uff1c|candidate|\uff1e in wide letters",  # NFKC makes the mark of it
    "[SEP] [CLS] [PAD]",
    "",
    "日本語 🎉 \u0000 \u2028",
]


@pytest.mark.parametrize("text", TRICKY)
def test_marks_and_oddities_in_a_text_are_words_like_others(folders: dict[str, Path], text: str) -> None:
    found = find(str(folders["pointwise"]))
    marks = Segments(found).marks
    encoder = AnswerEncoder(found, "marks")
    for answer in (Answer(text, "good"), Answer("asked", text)):
        row = encoder.row(answer)
        assert [row.ids[place] for place in row.marks] == [marks[SOURCE], marks[CANDIDATE]]
        assert sum(id_ in marks for id_ in row.ids) == 2
    alone = AloneEncoder(found)
    for is_source in (True, False):
        row = alone.row(Alone(text, is_source=is_source))
        assert row.ids[1] == marks[SOURCE if is_source else CANDIDATE]
        assert sum(id_ in marks for id_ in row.ids) == 1


def test_a_candidate_has_its_own_room_and_what_the_source_leaves(folders: dict[str, Path]) -> None:
    found = find(str(folders["pointwise"]), source_maxlength=20, candidate_maxlength=10)
    long = "word " * 100
    both, short = (AnswerEncoder(found, "marks").row(Answer(source, long)) for source in (long, "hi"))
    assert len(both.ids) == len(short.ids) == 30
    assert both.marks[1] - 1 == 20 > short.marks[1] - 1
    assert both.cut
    assert not AnswerEncoder(found, "marks").row(Answer("hi", "there")).cut
    assert [len(AloneEncoder(found).row(Alone(long, is_source=source)).ids) for source in (True, False)] == [20, 10]


@every_kind
def test_a_text_too_long_is_cut_at_the_chosen_end_and_said_once(
    folders: dict[str, Path], kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    long = " ".join(f"word{n}" for n in range(200))
    found = {}
    for keep in ("start", "end"):
        ranker = judge(folders, kind, keep=keep, source_tokens=20, candidate_tokens=12)
        with caplog.at_level(logging.WARNING, "coterie"):
            found[keep] = scores(ranker, [("short", [long, long[:9000], "x"]), ("short", [long + " more"])])
    assert len(caplog.records) == 2  # one for each engine
    assert found["start"][0][0] == found["start"][1][0]
    assert found["end"][0][0] != found["end"][1][0]
    assert found["start"][0][2] == pytest.approx(found["end"][0][2], abs=TOLERANCE)


@every_kind
def test_the_end_that_is_kept_is_what_the_checkpoint_says_unless_told(kind: str, tmp_path: Path) -> None:
    from tiny_rankers import ranker

    folders = {kind: ranker(tmp_path / kind, kind, TASKS, keep="end", source_maxlength=20, candidate_maxlength=12)}
    long = " ".join(f"word{n}" for n in range(200))
    asked = [(long, [f"{long} yes", f"{long} no", "short"])]
    left_out, end, start = (scores(judge(folders, kind, keep=keep), asked) for keep in (None, "end", "start"))
    assert left_out == end
    assert left_out[0][0] != left_out[0][1]
    assert start[0][0] == start[0][1]
    for keep in (None, "end"):
        made = judge(folders, kind, keep=keep)
        assert build("judges", describe("judges", made)) == made


def test_what_is_cut_because_it_has_too_many_characters_is_said_to_be_cut(folders: dict[str, Path]) -> None:
    found = find(str(folders["pointwise"]))
    blank = "\n" * 1_000_000  # which is one token
    for text in (f"{blank}x", f"x{blank}", blank):
        row = AnswerEncoder(found, "marks").row(Answer("why?", text))
        assert row.cut
        assert len(row.ids) < 30
    assert not AnswerEncoder(found, "marks").row(Answer("why?", "\n" * 1000)).cut


# ---- checkpoints ------------------------------------------------------------------------------


@every_kind
def test_a_checkpoint_of_another_kind_is_refused_by_name(folders: dict[str, Path], kind: str) -> None:
    for other in JUDGES:
        if other != kind:
            with pytest.raises(ConfigError, match=f"type '{other}', and this judge runs '{kind}' alone"):
                JUDGES[kind](str(folders[other]), device="cpu").load()
    with pytest.raises(ConfigError, match="type 'pairranker'"):
        JUDGES[kind](str(RANKER), device="cpu").load()


@pytest.mark.parametrize("kind", ["simcls", "summareranker"])
def test_only_a_pointwise_ranker_may_be_a_plain_model(tmp_path: Path, kind: str) -> None:
    with pytest.raises(ConfigError, match=f"type None, and this judge runs '{kind}'"):
        JUDGES[kind](str(hf_layout(tmp_path)), device="cpu").load()


def test_a_template_is_for_reward_models(folders: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match="reads no template"):
        Pointwise(str(folders["pointwise"]), device="cpu", template="{source} {candidate}").load()


def resaved(folder: Path, change: Any) -> Path:
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors")
    return folder


def reconfigured(folder: Path, file: str, **settings: Any) -> Path:
    said = json.loads((folder / file).read_text(encoding="utf-8"))
    (folder / file).write_text(json.dumps({**said, **settings}), encoding="utf-8")
    return folder


SPOILT = {
    "weights missing": (
        lambda folder: resaved(folder, lambda state: state.pop("head_layer.2.weight")),
        r"no pointwise ranker's.*head_layer\.2\.weight",
    ),
    "weights too many": (
        lambda folder: resaved(folder, lambda state: state.update(odd=torch.zeros(1))),
        "no pointwise ranker's.*odd",
    ),
    "another number of tasks": (
        lambda folder: reconfigured(folder, "config.json", n_tasks=TASKS + 1),
        "no pointwise ranker's.*size mismatch",
    ),
    "an encoder-decoder": (
        lambda folder: (folder / "base" / "config.json").write_text('{"model_type": "t5"}'),
        "'t5' is an encoder-decoder",
    ),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "neither model.safetensors"),
    "no configuration": (lambda folder: (folder / "config.json").unlink(), "neither config.json"),
}


@pytest.mark.parametrize(("spoil", "why"), SPOILT.values(), ids=SPOILT)
def test_a_checkpoint_that_does_not_fit_is_refused_by_name(
    folders: dict[str, Path], tmp_path: Path, spoil: Any, why: str
) -> None:
    folder = shutil.copytree(folders["pointwise"], tmp_path / "spoilt")
    spoil(folder)
    with pytest.raises(ConfigError, match=f"(?s){why}"):
        Pointwise(str(folder), device="cpu").load()


def test_rows_longer_than_the_encoder_has_places_for_are_refused_in_time(tmp_path: Path) -> None:
    from safetensors.torch import save_file
    from transformers import BertConfig

    from coterie.judges.pointwise.network import RankerNetwork
    from tiny_rankers import word_pieces

    settings: Any = BertConfig
    config = settings(
        vocab_size=2004, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=40,
    )  # fmt: skip
    word_pieces(tmp_path)
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text(json.dumps(config.to_dict()), encoding="utf-8")
    said_ = {"ranker_type": "pointwise", "model_name": "base", "source_maxlength": 30, "candidate_maxlength": 11}
    (tmp_path / "config.json").write_text(json.dumps(said_), encoding="utf-8")
    save_file(RankerNetwork(config, "pointwise").state_dict(), tmp_path / "model.safetensors")
    with pytest.raises(ConfigError, match="40 places apart, and rows may have 41 tokens"):
        Pointwise(str(tmp_path), device="cpu").load()
    fitting = Pointwise(str(tmp_path), device="cpu", candidate_tokens=10)
    assert all(map(math.isfinite, said(fitting, "why? " * 30, "b " * 50, "a")))


# ---- reward models ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rewards(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    import tiny_rankers

    place = tmp_path_factory.mktemp("rewards")
    return {
        "bert": tiny_rankers.bert(place / "bert", "SequenceClassification", positions=64),
        "deberta": tiny_rankers.deberta_reward(place / "deberta"),
        "llama": tiny_rankers.llama_reward(place / "llama"),
    }


TEMPLATE = "human: {source} bot: {candidate}"
REWARDED = [("how are you?", "i am well"), ("how are you?", ""), ("", "what?"), ("a {candidate} b", "{source}")]


def reward(folder: Path, *texts: str) -> float:
    """What transformers makes of a text, or a pair of texts."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    family: Any = AutoModelForSequenceClassification
    model = family.from_pretrained(folder).eval()
    typed = model.config.model_type == "bert"
    batch = ([text] for text in texts)  # alone, an empty second text would be taken for none
    read = AutoTokenizer.from_pretrained(folder)(*batch, return_tensors="pt", return_token_type_ids=typed)
    with torch.no_grad():
        return float(model(**read).logits)


@pytest.mark.parametrize("name", ["bert", "deberta"])
@pytest.mark.parametrize("budget_tokens", [1, 10_000])
def test_a_reward_model_reads_a_text_pair_as_transformers_does(
    rewards: dict[str, Path], name: str, budget_tokens: int
) -> None:
    ranker = Pointwise(str(rewards[name]), device="cpu", budget_tokens=budget_tokens)
    found = scores(ranker, [(source, [text]) for source, text in REWARDED])
    wanted = [[reward(rewards[name], source, text)] for source, text in REWARDED]
    assert [score for (score,) in found] == pytest.approx([score for (score,) in wanted], abs=1e-5)
    assert len({round(score, 4) for (score,) in found}) == len(REWARDED)


@pytest.mark.parametrize("begun", ["", "[CLS]"])
def test_a_reward_model_that_is_a_decoder_reads_a_template(rewards: dict[str, Path], begun: str) -> None:
    ranker = Pointwise(str(rewards["llama"]), device="cpu", template=begun + TEMPLATE)
    found = scores(ranker, [(source, [text]) for source, text in REWARDED])
    wanted = [reward(rewards["llama"], f"human: {source} bot: {text}") for source, text in REWARDED]
    assert [score for (score,) in found] == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("name", ["bert", "llama"])
@pytest.mark.parametrize("spelled", ["[SEP]", "[CLS]", "[MASK]", "[PAD]"])
def test_a_special_piece_in_a_text_ends_nothing(rewards: dict[str, Path], name: str, spelled: str) -> None:
    ranker = Pointwise(str(rewards[name]), device="cpu", template=TEMPLATE if name == "llama" else "")
    plain, spoken, asked = scores(
        ranker, [("what?", ["a b"]), ("what?", [f"a {spelled} b"]), (f"what? {spelled}", ["a b"])]
    )
    assert plain == spoken == asked


@pytest.mark.parametrize("name", ["bert", "llama"])
@pytest.mark.parametrize("keep", ["start", "end"])
def test_a_reward_models_texts_are_cut_each_at_the_chosen_end(
    rewards: dict[str, Path], name: str, keep: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings: dict[str, Any] = {"keep": keep, "template": TEMPLATE if name == "llama" else ""}
    ranker = Pointwise(str(rewards[name]), device="cpu", source_tokens=6, candidate_tokens=4, **settings)
    source, text = "a b c d e f g h", "q r s t u v w x"
    kept = (source[:11], text[:7]) if keep == "start" else (source[-11:], text[-7:])
    with caplog.at_level(logging.WARNING, "coterie"):
        (found,) = said(ranker, source, text)
    assert len(caplog.records) == 1
    texts = (TEMPLATE.format(source=kept[0], candidate=kept[1]),) if name == "llama" else kept
    assert found == pytest.approx(reward(rewards[name], *texts), abs=1e-5)


def test_a_reward_model_reads_no_more_than_it_has_places_for(rewards: dict[str, Path]) -> None:
    ranker = Pointwise(str(rewards["bert"]), device="cpu")
    engine = ranker.load()
    row = engine.encode(Answer("a " * 1000, "b " * 1000))
    assert len(row.ids) == 64
    assert row.ids.count(row.ids[1]) == 31  # the other half, and [CLS] and two [SEP], are the candidate's
    assert all(map(math.isfinite, asyncio.run(ranker.scores(engine, "a " * 1000, ["b " * 1000, ""]))))
    engine.close()


def test_what_is_no_reward_model_is_refused_by_name(rewards: dict[str, Path], tmp_path: Path) -> None:
    from tiny_rankers import bert

    several = bert(tmp_path / "several", "SequenceClassification", n_labels=3)
    headless = bert(tmp_path / "headless", "MaskedLM")
    refused = {
        "3 logits; a reward model has one": Pointwise(str(several)),
        r"no model for SequenceClassification: its weights lack .*'classifier\.weight'": Pointwise(str(headless)),
        "is a decoder: say its template": Pointwise(str(rewards["llama"])),
        "reads a text pair: leave out template": Pointwise(str(rewards["bert"]), template=TEMPLATE),
        "needs {source}, and {candidate} behind it": Pointwise(str(rewards["llama"]), template="{candidate} {source}"),
    }
    for why, ranker in refused.items():
        with pytest.raises(ConfigError, match=why):
            ranker.load()


# ---- as judges --------------------------------------------------------------------------------


@every_kind
def test_it_ranks_a_committees_candidates_and_replays(folders: dict[str, Path], kind: str, tmp_path: Path) -> None:
    texts = TEXTS[:2] + TEXTS[3:4]
    members = [ScriptedMember(f"m{n}", (text,)) for n, text in enumerate(texts)]
    ranker = judge(folders, kind)
    method = BestOf(tuple(member.name for member in members), judge=ranker, rule="mean")
    traces: list[Trace] = []
    with Committee(members, {"default": method}) as committee:
        answer = committee.ask(SOURCES[0], on_trace=traces.append)
    wanted = said(ranker, SOURCES[0], *texts)
    assert answer.text == texts[wanted.index(max(wanted))]
    assert answer.ranking is not None
    found = [answer.ranking.scores[f"c{n}"] for n in range(1, 4)]
    assert found == pytest.approx(wanted, abs=TOLERANCE)
    in_order = [answer.ranking.scores[id_] or 0.0 for id_ in answer.ranking.order]
    assert all(better >= worse for better, worse in pairwise(in_order))
    (work,) = traces[0].of(WorkDone)
    assert work.actor == kind
    traces[0].save(tmp_path / "run.jsonl")
    assert replay(Trace.load(tmp_path / "run.jsonl")).text == answer.text


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    """One thread a forward: tiny ones are quicker so."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("kind", JUDGES)
def test_training_in_half_precision_reaches_every_weight(kind: str) -> None:
    made = network(kind).train()
    ids = torch.randint(5, 60, (4, 12))
    marks = torch.tensor([[1, 5]] * 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        read = made(ids, torch.ones_like(ids), marks)
    balance = made.auxiliary_loss if kind == "summareranker" else 0.0
    (read.float().square().sum() + balance).backward()
    without = [name for name, weight in made.named_parameters() if weight.requires_grad and weight.grad is None]
    assert all("pooler" in name or "position" in name for name in without), without
