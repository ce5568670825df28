"""Metrics with a network, against other programs' numbers and against plain loops over single pairs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from metric_models import bart, bert, gpt2

from coterie.errors import ConfigError
from coterie.evaluation.metrics import build
from coterie.evaluation.metrics.bartscore import BartScore
from coterie.evaluation.metrics.bertscore import BertScore
from coterie.evaluation.metrics.bleurt import Bleurt
from coterie.evaluation.metrics.likelihood import Likelihood

torch = pytest.importorskip("torch", reason="metrics with a network need the extra torch")

PAIRS = [
    ("The cat sat on the mat.", "A cat sits under the table!"),
    ("Paris", "Paris is the capital of France."),
    ("it rains, it rains and it rains", "the dog"),
    ("你好 🙂", "é 你好!"),
    ("Berlin was a dog?", "Berlin was a dog?"),
    (" the cat " + "and it rains " * 20, "the cat and the dog"),
]
"""The last hypothesis is longer than the tiny encoder's 24 positions."""
HYPOTHESES, REFERENCES = [h for h, _ in PAIRS], [r for _, r in PAIRS]

BY_BERT_SCORE = {
    1: [0.831628, 0.787682, 0.787845, 0.796488, 1.0, 0.837606],
    2: [0.780230, 0.942896, 0.953059, 0.891642, 1.0, 0.866357],
    3: [0.604315, 0.885944, 0.939303, 0.954777, 1.0, 0.787072],
}
"""F1 of `PAIRS` by layer, by ``bert-score`` 0.3.13 (transformers 5.23) on the same tiny encoder, one pair at a time."""


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def summariser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bart(tmp_path_factory.mktemp("bart"))


@pytest.fixture(scope="module")
def other_summariser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bart(tmp_path_factory.mktemp("bart"), seed=11)


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "begins"])
def writer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gpt2(tmp_path_factory.mktemp("gpt2"), begins=request.param)


def scores(name: str, hypotheses: Sequence[str], references: Sequence[str], **settings: Any) -> list[float | None]:
    with build(
        name, device="cpu", **{k: str(v) if isinstance(v, Path) else v for k, v in settings.items()}
    ).open() as m:
        return m.score(hypotheses, references)


def loaded(family: str, folder: Path) -> tuple[Any, Any]:
    import transformers

    model = getattr(transformers, family).from_pretrained(folder).eval()
    return model, transformers.AutoTokenizer.from_pretrained(folder)


def close(found: Sequence[float | None], wanted: Sequence[float], tolerance: float = 1e-5) -> bool:
    return all(a is not None and abs(a - b) < tolerance for a, b in zip(found, wanted, strict=True))


# ---- BERTScore --------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_bertscore_has_the_references_numbers(layer: int, encoder: Path) -> None:
    found = scores("bertscore", HYPOTHESES, REFERENCES, model=encoder, num_layers=layer)
    assert close(found, BY_BERT_SCORE[layer])


@pytest.mark.parametrize("layer", [0, 1, 3])
def test_bertscore_is_the_mean_of_the_best_cosines(layer: int, encoder: Path) -> None:
    model, tokenizer = loaded("AutoModel", encoder)

    def states(text: str) -> Any:
        ids = tokenizer(text, return_tensors="pt").input_ids
        with torch.no_grad():
            return model(ids, output_hidden_states=True).hidden_states[layer][0]

    def by_hand(hypothesis: str, reference: str) -> float:
        cosines = torch.nn.functional.cosine_similarity(states(hypothesis)[:, None], states(reference)[None], dim=-1)
        precision = sum(max(row) for row in cosines.tolist()[1:-1]) / (len(cosines) - 2)
        recall = sum(max(row) for row in cosines.T.tolist()[1:-1]) / (len(cosines.T) - 2)
        return float(2 * precision * recall / (precision + recall))

    found = scores("bertscore", HYPOTHESES[:5], REFERENCES[:5], model=encoder, num_layers=layer)
    assert close(found, [by_hand(*pair) for pair in PAIRS[:5]])


def test_bertscore_of_the_installed_reference(encoder: Path) -> None:
    reference = pytest.importorskip("bert_score", reason="bert-score is not installed; its numbers stand above")
    scorer = reference.BERTScorer(model_type=str(encoder), num_layers=2, device="cpu", batch_size=1)
    wanted = scorer.score(HYPOTHESES, REFERENCES, batch_size=1)[2].tolist()
    assert close(scores("bertscore", HYPOTHESES, REFERENCES, model=encoder, num_layers=2), wanted)


def test_bertscore_of_texts_without_tokens(encoder: Path) -> None:
    """The normaliser drops control characters, so that only special tokens are left; or they are all there was."""
    found = scores(
        "bertscore", ["", "\x00", "[SEP]", "cat", "cat"], ["cat", "cat", "cat", "\x00", "[CLS]"],
        model=encoder, num_layers=2,
    )  # fmt: skip
    assert found == [0.0, 0.0, 0.0, None, None]


def test_bertscore_must_know_which_layer(encoder: Path) -> None:
    assert BertScore().layers == 9
    assert BertScore(num_layers=3).layers == 3
    with pytest.raises(ConfigError, match="say num_layers for"):
        scores("bertscore", ["a"], ["a"], model=encoder)
    with pytest.raises(ConfigError, match=r"lack \['encoder\.layer\.3\..* and 64 in all"):
        scores("bertscore", ["a"], ["a"], model=encoder, num_layers=7)


def test_bertscore_wants_an_encoder(summariser: Path) -> None:
    with pytest.raises(ConfigError, match="is an encoder and a decoder"):
        scores("bertscore", ["a"], ["a"], model=summariser, num_layers=2)


# ---- BARTScore --------------------------------------------------------------------------------


def by_bart(folder: Path, hypothesis: str, reference: str) -> float:
    """What transformers calls the loss of the reference as labels, all its tokens counted, less than 0."""
    model, tokenizer = loaded("AutoModelForSeq2SeqLM", folder)
    source, target = (tokenizer(text, return_tensors="pt").input_ids for text in (hypothesis, reference))
    assert target[0, 0] == tokenizer.cls_token_id
    assert target[0, -1] == tokenizer.sep_token_id
    with torch.no_grad():
        return -float(model(input_ids=source, labels=target).loss)


@pytest.mark.parametrize("budget_tokens", [1, 64, 10_000])
def test_bartscore_is_the_mean_over_all_tokens_of_the_reference(budget_tokens: int, summariser: Path) -> None:
    pairs = [*PAIRS, ("", "the cat"), ("  ", "the cat")]
    found = scores(
        "bartscore", [h for h, _ in pairs], [r for _, r in pairs], model=summariser, budget_tokens=budget_tokens
    )
    assert close(found, [by_bart(summariser, *pair) for pair in pairs])
    assert len({round(score or 0, 4) for score in found[:6]}) == 6


def test_bartscore_divides_by_the_special_tokens_too(summariser: Path) -> None:
    model, tokenizer = loaded("AutoModelForSeq2SeqLM", summariser)
    source = tokenizer("the dog", return_tensors="pt").input_ids
    start = 2
    opening, cat, closing = tokenizer("cat").input_ids
    with torch.no_grad():
        logits = model(input_ids=source, decoder_input_ids=torch.tensor([[start, opening, cat]])).logits[0]
    logs = logits.log_softmax(-1)
    wanted = float(logs[0, opening] + logs[1, cat] + logs[2, closing]) / 3
    assert close(scores("bartscore", ["the dog"], ["cat"], model=summariser), [wanted])


def test_bartscore_reads_the_beginning_of_what_is_too_long(summariser: Path) -> None:
    long, short = "the cat " * 30, "the cat " * 4
    found = scores("bartscore", [long], [long], model=summariser, max_tokens=10)
    assert close(found, [by_bart(summariser, short, short)])
    beyond = "the cat " * 1000
    assert close(scores("bartscore", ["a"], [beyond], model=summariser), [by_bart(summariser, "a", "the cat " * 511)])


@pytest.mark.parametrize("names", ["all", "one of the shared matrix"])
def test_bartscore_takes_weights_from_a_file(
    names: str, summariser: Path, other_summariser: Path, tmp_path: Path
) -> None:
    state = loaded("AutoModelForSeq2SeqLM", other_summariser)[0].state_dict()
    if names != "all":
        shared = ("lm_head.weight", "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight")
        state = {name: tensor for name, tensor in state.items() if name not in (*shared, "final_logits_bias")}
    torch.save(state, tmp_path / "bart_score.pth")
    found = scores("bartscore", HYPOTHESES, REFERENCES, model=summariser, weights=tmp_path / "bart_score.pth")
    wanted = scores("bartscore", HYPOTHESES, REFERENCES, model=other_summariser)
    assert found == wanted
    assert found != scores("bartscore", HYPOTHESES, REFERENCES, model=summariser)


def test_bartscore_refuses_weights_of_something_else(summariser: Path, tmp_path: Path) -> None:
    state = loaded("AutoModelForSeq2SeqLM", summariser)[0].state_dict()
    name = "model.decoder.layers.0.fc1.bias"
    wrong = {
        "short.pth": ({k: v for k, v in state.items() if k != name}, rf"it lacks \['{name}'\] and adds \[\]"),
        "more.pth": ({**state, "head.weight": torch.zeros(1)}, r"it lacks \[\] and adds \['head.weight'\]"),
        "shape.pth": ({**state, name: torch.zeros(1)}, "cannot be loaded as weights"),
        "code.pth": (BartScore(), "cannot be loaded as weights"),
    }
    for file, (content, message) in wrong.items():
        torch.save(content, tmp_path / file)
        with pytest.raises(ConfigError, match=message):
            scores("bartscore", ["a"], ["a"], model=summariser, weights=tmp_path / file)
    with pytest.raises(ConfigError, match=r"absent\.pth' cannot be loaded as weights"):
        scores("bartscore", ["a"], ["a"], model=summariser, weights=tmp_path / "absent.pth")


def test_a_network_that_lacks_weights_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = bart(tmp_path / "bart")
    state = load_file(folder / "model.safetensors")
    state.pop("model.encoder.layers.1.fc2.weight")
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ConfigError, match=r"lack \['model.encoder.layers.1.fc2.weight'\] and 1 in all"):
        scores("bartscore", ["a"], ["a"], model=folder)


# ---- BLEURT -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rater(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bert(tmp_path_factory.mktemp("bleurt"), outputs=1)


def test_bleurt_is_the_networks_rating_of_reference_and_hypothesis(rater: Path) -> None:
    model, tokenizer = loaded("AutoModelForSequenceClassification", rater)

    def by_hand(hypothesis: str, reference: str) -> float:
        first, second = (tokenizer(text, add_special_tokens=False).input_ids for text in (reference, hypothesis))
        ids = torch.tensor([[2, *first, 3, *second, 3]])
        segments = torch.tensor([[0] * (len(first) + 2) + [1] * (len(second) + 1)])
        with torch.no_grad():
            return float(model(input_ids=ids, token_type_ids=segments).logits)

    assert (tokenizer.cls_token_id, tokenizer.sep_token_id) == (2, 3)
    pairs = [*PAIRS[:5], ("", "the cat")]
    found = scores("bleurt", [h for h, _ in pairs], [r for _, r in pairs], model=rater)
    assert close(found, [by_hand(*pair) for pair in pairs])
    assert close(
        scores("bleurt", ["the cat " * 9], ["dog"], model=rater, max_tokens=8), [by_hand("the cat the cat", "dog")]
    )


def test_bleurt_reads_the_beginnings_of_two_long_texts(rater: Path) -> None:
    long, other = "the cat sat " * 2_000, "a dog sits " * 2_000
    found = scores("bleurt", [long, long, "a"], [other, "a", long], model=rater, max_tokens=9)
    kept = [("the cat sat", "a dog sits"), ("the cat sat the cat", "a"), ("a", "the cat sat the cat")]
    wanted = scores("bleurt", [h for h, _ in kept], [r for _, r in kept], model=rater)
    assert close(found, [score or 0.0 for score in wanted])


def test_bleurt_is_told_from_other_classifiers(tmp_path: Path, rater: Path) -> None:
    classifier = bert(tmp_path / "two", outputs=2)
    with pytest.raises(ConfigError, match="has 2 outputs, and BLEURT one"):
        scores("bleurt", ["a"], ["a"], model=classifier)
    config = json.loads((rater / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "bleurt"}))
    with pytest.raises(ConfigError, match="cannot be loaded as a metric's model"):
        scores("bleurt", ["a"], ["a"], model=tmp_path)
    assert Bleurt().max_tokens == 128


# ---- likelihood -------------------------------------------------------------------------------


def by_writer(folder: Path, prompt: str, reference: str) -> float:
    """What transformers calls the loss of the reference's tokens after the prompt's, less than 0."""
    model, tokenizer = loaded("AutoModelForCausalLM", folder)
    before = tokenizer(prompt).input_ids
    after = tokenizer(reference, add_special_tokens=False).input_ids
    with torch.no_grad():
        labels = torch.tensor([[-100] * len(before) + after])
        return -float(model(input_ids=torch.tensor([before + after]), labels=labels).loss)


@pytest.mark.parametrize("budget_tokens", [1, 10_000])
def test_likelihood_is_the_mean_over_the_references_tokens(budget_tokens: int, writer: Path) -> None:
    found = scores("likelihood", HYPOTHESES[:5], REFERENCES[:5], model=writer, budget_tokens=budget_tokens)
    assert close(found, [by_writer(writer, hypothesis + "\n", reference) for hypothesis, reference in PAIRS[:5]])


def test_likelihood_reads_the_source_first(writer: Path) -> None:
    with Likelihood(str(writer), device="cpu", join=" . ").open() as metric:
        found = metric.score(["paris", "", " "], ["berlin cat"] * 3, ["capital of france ?", "the cat", ""])
    wanted = [
        by_writer(writer, prompt, "berlin cat") for prompt in ("capital of france ? . paris . ", "the cat . ", "")
    ]
    assert close(found, wanted)


def test_likelihood_of_what_nothing_precedes_is_unknown(writer: Path) -> None:
    first, second, third = scores("likelihood", ["", "", "the"], ["cat", "the cat", "\x00"], model=writer)
    begins = bool(loaded("AutoModelForCausalLM", writer)[1]("").input_ids)
    assert (first is None) is (not begins)
    assert second is not None
    assert third is None


def test_likelihood_keeps_the_prompts_end_and_the_references_beginning(writer: Path) -> None:
    with Likelihood(str(writer), device="cpu", prompt_tokens=2, reference_tokens=3).open() as metric:
        found = metric.score(["it rains and the dog"], ["cat sat on the mat"])
        assert metric.cut == 2
    assert close(found, [by_writer(writer, "the dog", "cat sat on")])


def test_likelihood_stays_inside_the_window(writer: Path) -> None:
    with Likelihood(str(writer), device="cpu").open() as metric:
        found = metric.score(["the cat " * 100], ["it rains " * 100])
        assert metric.cut == 2
    prompt = "cat " + "the cat " * 7
    assert close(found, [by_writer(writer, prompt, "it rains " * 8)])


def test_likelihood_has_positive_windows() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Likelihood("x", prompt_tokens=0)
