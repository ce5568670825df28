"""The face of llm_blender: its documented behaviour, its numbers, and its defects mended."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import pytest

from coterie import ConfigError
from coterie.compat import llm_blender
from coterie.compat.llm_blender import CONVERSATION, Blender, get_topk_candidates_from_ranks
from golden import RANKER, golden

np = pytest.importorskip("numpy", reason="the compatibility module needs the extra torch")
torch = pytest.importorskip("torch", reason="the compatibility module needs the extra torch")


@pytest.fixture(scope="module")
def blender() -> Iterator[Blender]:
    made = Blender()
    made.loadranker(str(RANKER), device="cpu")
    yield made
    made.close()


# ---- the reference's numbers ------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_golden_scores_and_ranks(blender: Blender, batch_size: int) -> None:
    found = golden()
    scores = blender.rank(found.inputs, found.candidates, return_scores=True, batch_size=batch_size)
    ranks = blender.rank(found.inputs, found.candidates, batch_size=batch_size)
    assert scores.dtype == np.float32
    assert ranks.dtype == np.int32
    assert np.abs(scores - np.array(found.scores)).max() < 1e-6
    assert ranks.tolist() == found.ranks


def test_golden_scores_in_any_company(blender: Blender) -> None:
    found = golden()
    for n, (source, texts) in enumerate(zip(found.inputs, found.candidates, strict=True)):
        alone = blender.rank([source], [texts], return_scores=True)
        assert np.abs(alone[0] - np.array(found.scores[n])).max() < 1e-6
        turned = blender.rank([source], [texts[::-1]], return_scores=True)
        assert np.abs(turned[0][::-1] - np.array(found.scores[n])).max() < 1e-6


def test_compare_by_each_mode_as_the_reference_computes_it(blender: Blender) -> None:
    found = golden()
    pairs = list(permutations(range(5), 2))
    inputs = [found.inputs[0]] * len(pairs)
    a, b = ([found.candidates[0][pair[n]] for pair in pairs] for n in (0, 1))
    table = found.logits[0]
    wanted = {
        "[A,B]": [table[i][j] for i, j in pairs],
        "[B,A]": [table[j][i] for i, j in pairs],  # positive means that B is better
        "[A,B]+[B,A]": [table[i][j] - table[j][i] for i, j in pairs],  # the sum, not the mean
    }
    for mode, logits in wanted.items():
        found_logits = blender.compare(inputs, a, b, return_logits=True, mode=mode)  # type: ignore[arg-type]
        assert np.abs(found_logits - np.array(logits)).max() < 2e-6
        assert blender.compare(inputs, a, b, mode=mode).tolist() == (found_logits > 0).tolist()  # type: ignore[arg-type]


def test_instruction_and_input_are_joined_without_a_separator(blender: Blender) -> None:
    texts = [["x y", "z"]]
    apart = blender.rank(["world"], texts, instructions=["hello "], return_scores=True)
    joined = blender.rank(["hello world"], texts, return_scores=True)
    assert apart.tolist() == joined.tolist()


def test_ties_share_the_lower_rank(blender: Blender) -> None:
    ranks = blender.rank(["q"], [["same", "same", "other"]])
    assert sorted(ranks[0].tolist()) in ([1, 1, 3], [1, 2, 2])


def test_conversations_are_compared_in_the_training_format(blender: Blender) -> None:
    def talk(*answers: str) -> list[dict[str, str]]:
        users = ["Who wrote Faust?", "When?"]
        return [
            turn
            for user, answer in zip(users, answers, strict=True)
            for turn in ({"content": user, "role": "USER"}, {"content": answer, "role": "ASSISTANT"})
        ]

    a, b = talk("Goethe.", "In 1808."), talk("Schiller.", "Never.")
    found = blender.compare_conversations([a], [b], return_logits=True)
    asked = "USER: Who wrote Faust?\nAssistant: <Response 1>\nUSER: When?\nAssistant: <Response 2>"
    same = blender.compare(
        [asked],
        ["<Response 1>: Goethe.\n<Response 2>: In 1808."],
        ["<Response 1>: Schiller.\n<Response 2>: Never."],
        [CONVERSATION],
        return_logits=True,
    )
    assert found.tolist() == same.tolist()
    assert "coversation" in CONVERSATION
    with pytest.raises(ConfigError, match="USER turns are the same"):
        blender.compare_conversations([a], [[{"content": "Other?", "role": "USER"}, b[1], *b[2:]]])
    with pytest.raises(ConfigError, match="alternates"):
        blender.compare_conversations([a[:1]], [b[:1]])


def test_best_and_worst_of_n(blender: Blender) -> None:
    found = golden()
    best = blender.get_best_of_n(found.inputs, found.candidates, pairrm_cmp_type="full")
    assert best == [texts[ranks.index(1)] for texts, ranks in zip(found.candidates, found.ranks, strict=True)]
    worst = blender.get_worst_of_n(found.inputs, found.candidates, pairrm_cmp_type="full")
    assert worst == [texts[ranks.index(5)] for texts, ranks in zip(found.candidates, found.ranks, strict=True)]
    every = blender.get_best_of_n(found.inputs, found.candidates, return_all=True)
    assert [texts[0] for texts in every] == best  # sorted, which the reference's bubble is not
    assert [sorted(texts) for texts in every] == [sorted(texts) for texts in found.candidates]


def test_rank_with_a_reference_is_every_candidate_against_it(blender: Blender) -> None:
    found = golden()
    texts, table = found.candidates[0], found.logits[0]
    for mode, reference in {
        "longest": max(texts, key=len),
        "shortest": min(texts, key=len),
        "median_length": sorted(texts, key=len)[2],
        "first": texts[0],
        "last": texts[-1],
    }.items():
        scores = blender.rank_with_ref([found.inputs[0]], [texts], return_scores=True, ref_mode=mode)  # type: ignore[arg-type]
        r = texts.index(reference)
        wanted = [table[c][r] - table[r][c] if c != r else 0.0 for c in range(5)]
        assert scores.dtype == np.float64
        assert np.abs(scores[0] - np.array(wanted)).max() < 2e-6
    given = blender.rank_with_ref([found.inputs[0]], [texts], return_scores=True, ref_candidates=[texts[1]])
    assert abs(given[0][1]) < 1e-9


# ---- its defects, mended ----------------------------------------------------------------------


def test_mode_means_ref_mode_and_is_not_ignored(blender: Blender) -> None:
    texts = [["a", "a longer one", "the longest of them all"]]
    by_mode = blender.rank_with_ref(["q"], texts, return_scores=True, mode="shortest")
    by_ref_mode = blender.rank_with_ref(["q"], texts, return_scores=True, ref_mode="shortest")
    assert by_mode.tolist() == by_ref_mode.tolist()
    with pytest.raises(ConfigError, match="'nonsense'"):
        blender.rank_with_ref(["q"], texts, mode="nonsense")


def test_ragged_lists_one_candidate_and_none(blender: Blender) -> None:
    ranks = blender.rank(["a", "b"], [["x", "y", "z"], ["alone"]])
    assert [len(row) for row in ranks] == [3, 1]
    assert ranks[1].tolist() == [1]
    assert blender.get_best_of_n(["a", "b"], [["x"], ["y", "z"]])[0] == "x"
    with pytest.raises(ConfigError, match="no candidate"):
        blender.rank(["a"], [[]])
    with pytest.raises(ConfigError, match="1 inputs and 2 lists"):
        blender.rank(["a"], [["x"], ["y"]])


def test_special_pieces_in_texts_move_nothing(blender: Blender) -> None:
    texts = ["fine", "<|candidate1|> <|source|>", "[SEP] <|candidate2|>"]
    scores = blender.rank(["<|source|> q", "plain"], [texts, texts], return_scores=True)
    assert np.isfinite(scores).all()
    assert scores[1].tolist() == blender.rank(["plain"], [texts], return_scores=True)[0].tolist()


def test_nothing_of_the_callers_is_changed(blender: Blender) -> None:
    inputs, texts = ["q"], [["b", "a"]]
    blender.rank(inputs, texts)
    blender.get_best_of_n(inputs, texts)
    assert (inputs, texts) == (["q"], [["b", "a"]])


def test_the_bubble_is_seeded(blender: Blender) -> None:
    found = golden()
    once = blender.get_best_of_n(found.inputs, found.candidates)
    assert once == blender.get_best_of_n(found.inputs, found.candidates)
    assert all(text in texts for text, texts in zip(once, found.candidates, strict=True))


def test_without_a_ranker_it_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match="loadranker"):
        Blender().rank(["a"], [["b"]])
    with pytest.raises(ConfigError, match="loadfuser"):
        Blender().fuse(["a"], [["b"]])


def test_a_config_without_a_cache_folder_loads() -> None:
    made = Blender(ranker_config=llm_blender.RankerConfig(load_checkpoint=str(RANKER), device="cpu"))
    assert made.rank(["a"], [["b", "c"]]).shape == (1, 2)
    made.close()


def test_configurations_have_the_references_fields_and_go_to_plain_data_and_back() -> None:
    stored = {
        "ranker_type": "pairranker",
        "model_name": "microsoft/deberta-v3-large",
        "load_checkpoint": str(RANKER),
        "source_maxlength": 128,
        "candidate_maxlength": 128,
        "num_pos": 5,
    }
    config = llm_blender.RankerConfig.from_dict(stored)
    assert llm_blender.RankerConfig.from_dict(config.to_dict()) == config
    made = Blender(ranker_config=config)
    assert made.rank(["a"], [["b", "c"]]).shape == (1, 2)
    made.close()
    with pytest.raises(ConfigError, match="has no 'nonsense'"):
        llm_blender.BlenderConfig.from_dict({"nonsense": 1})
    with pytest.raises(ConfigError, match="quantised"):
        llm_blender.GenFuserConfig(load_in_4bit=True)
    with pytest.raises(ConfigError, match="load_checkpoint"):
        Blender(ranker_config=llm_blender.RankerConfig())


def test_it_is_called_as_trl_and_distilabel_call_it() -> None:
    made = Blender()
    made.loadranker(str(RANKER), device=torch.device("cpu"))
    ranks = made.rank(["q", "r"], [["a", "b b"], ["c", "d"]], return_scores=False, disable_tqdm=True)
    ranks -= 1  # in place, as TRL's judge does
    assert ranks[:, 0].tolist() == [int(r) for r in ranks[:, 0]]
    assert sorted(ranks[0].tolist()) == [0, 1]
    flip = np.array([True, False])
    scores = made.rank(["q", "r"], [["a", "b b"], ["c", "d"]], return_scores=True, disable_tqdm=True)
    kept = scores.copy()
    scores[flip] = scores[flip][:, ::-1]
    scores /= 2.0
    assert scores[0].tolist() == (kept[0][::-1] / 2).tolist()
    of_step = made.rank(["q"], [["a", "b", "c"]], instructions=["Be kind. "], return_scores=False, batch_size=50)
    assert (of_step - 1).max() == 2
    made.close()


def test_loading_another_ranker_closes_the_one_before() -> None:
    made = Blender()
    made.loadranker(str(RANKER), device="cpu")
    before = made.ranker
    made.loadranker(str(RANKER), device="cpu", source_maxlength=64)
    with pytest.raises(RuntimeError, match="closed"):
        before.compare("q", "a", "b")
    assert made.rank(["a"], [["b", "c"]]).shape == (1, 2)
    made.close()
    with pytest.raises(ConfigError, match="loadranker"):
        made.rank(["a"], [["b"]])


@pytest.mark.parametrize(("wrong", "said"), [("bubbles", "'bubble' or 'full', not 'bubbles'")])
def test_a_comparison_that_does_not_exist_is_refused(blender: Blender, wrong: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        blender.get_best_of_n(["q"], [["a", "b"]], pairrm_cmp_type=wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="not 'AB'"):
        blender.compare(["q"], ["a"], ["b"], mode="AB")  # type: ignore[arg-type]


def test_nothing_to_rank_is_an_empty_array(blender: Blender) -> None:
    assert blender.rank([], []).shape == (0, 0)
    assert blender.get_best_of_n([], []) == []
    assert blender.compare([], [], [], return_logits=True).tolist() == []


def test_best_and_worst_do_not_depend_on_the_neighbours(blender: Blender) -> None:
    found = golden()
    together = blender.get_worst_of_n(found.inputs, found.candidates)
    alone = [blender.get_worst_of_n([i], [texts])[0] for i, texts in zip(found.inputs, found.candidates, strict=True)]
    assert together == alone


def test_top_k_from_ranks() -> None:
    texts = [["a", "b", "c"]]
    assert get_topk_candidates_from_ranks([[3, 1, 2]], texts, 2) == [["b", "c"]]
    assert get_topk_candidates_from_ranks([[3, 1, 2]], texts) == [["b", "c", "a"]]


# ---- its signatures ---------------------------------------------------------------------------


def test_names_and_arguments_are_the_references() -> None:
    expected = {
        "rank": ["inputs", "candidates", "instructions", "return_scores", "batch_size"],
        "rank_with_ref": [
            "inputs", "candidates", "instructions", "return_scores", "batch_size", "ref_mode", "ref_candidates",
        ],
        "compare": [
            "inputs", "candidates_A", "candidates_B", "instructions", "batch_size", "return_logits", "mode",
        ],
        "compare_conversations": ["conversations_a", "conversations_b", "batch_size", "return_logits", "mode"],
        "get_best_of_n": ["inputs", "candidates", "instructions", "pairrm_cmp_type", "return_all", "batch_size"],
        "get_worst_of_n": ["inputs", "candidates", "instructions", "pairrm_cmp_type", "return_all", "batch_size"],
        "fuse": ["inputs", "candidates", "instructions", "batch_size"],
        "n_generate": ["model", "model_tokenizer", "inputs", "instructions", "n", "sampling_mode", "batch_size"],
        "best_of_n_generate": [
            "model", "model_tokenizer", "inputs", "instructions", "n", "sampling_mode", "batch_size",
            "pairrm_cmp_type", "return_all",
        ],
        "rank_and_fuse": ["inputs", "candidates", "instructions", "return_scores", "batch_size", "top_k"],
        "loadranker": ["ranker_path", "device"],
        "loadfuser": ["fuser_path", "device"],
    }  # fmt: skip
    for name, arguments in expected.items():
        found = list(inspect.signature(getattr(Blender, name)).parameters)[1:]
        assert [a for a in found if not a.endswith("kwargs") and a != "_ignored"] == arguments, name


# ---- fusing and generating --------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny_t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tiny_models import t5

    return t5(tmp_path_factory.mktemp("t5"))


def test_rank_and_fuse(blender: Blender, tiny_t5: Path) -> None:
    found = golden()
    blender.loadfuser(str(tiny_t5), device="cpu")
    fused, ranks = blender.rank_and_fuse(found.inputs, found.candidates, top_k=2, max_new_tokens=6)
    assert len(fused) == len(found.inputs)
    assert all(isinstance(text, str) for text in fused)
    assert ranks.tolist() == found.ranks
    _, scores = blender.rank_and_fuse(found.inputs, found.candidates, return_scores=True, max_new_tokens=2)
    assert np.abs(scores - np.array(found.scores)).max() < 1e-6
    best = get_topk_candidates_from_ranks(ranks, found.candidates, 2)
    assert blender.fuse(found.inputs, best, max_new_tokens=6, batch_size=1) == fused


def test_best_of_n_generated(blender: Blender, tiny_t5: Path) -> None:
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    model = AutoModelForSeq2SeqLM.from_pretrained(tiny_t5)
    tokenizer = AutoTokenizer.from_pretrained(tiny_t5)
    torch.manual_seed(1)
    sampled = blender.n_generate(model, tokenizer, ["one", "two"], ["do", ""], n=3, max_new_tokens=4)
    assert [len(texts) for texts in sampled] == [3, 3]
    best = blender.best_of_n_generate(model, tokenizer, ["one"], n=2, max_new_tokens=4)
    assert len(best) == 1
