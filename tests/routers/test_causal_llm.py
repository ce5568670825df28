"""RouteLLM's causal LLM classifier: ratings read off five tokens, and certainty for the strong one where none comes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tiny_readers
from coterie.errors import ConfigError
from coterie.routers.forecast import Kept, Queries
from coterie.routers.rating_prompt import MEMBERS_USER, USER, RatingPrompt

pytest.importorskip("torch", reason="this router needs the extra torch")

import torch

from coterie.routers.causal_llm import CausalLLMRouter
from coterie.routers.rating import RATINGS, RatingModel

PAIR = ("large", "small")
ASKED = Queries((*tiny_readers.queries(4), "", "a b c d e f g " * 30))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_readers.llama(tmp_path_factory.mktemp("rating"), ratings=True)


def leaning(model: RatingModel, token: int, towards: int | None = None) -> RatingModel:
    """The model made to write `token` always; and behind it `towards`, where one is given."""
    head = model.model.get_output_embeddings()
    inner = model.model.model
    with torch.no_grad():
        head.weight *= 0.01
        inner.embed_tokens.weight[:, 0] = 0.0
        for layer in inner.layers:  # what a token is passes through untouched
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        inner.embed_tokens.weight[:, 1] = 1.0
        head.weight[token, 1] = 10.0
        if towards is not None:
            inner.embed_tokens.weight[token] = 0.0
            inner.embed_tokens.weight[token, 2] = 1.0
            head.weight[towards, 2] = 10.0
    return model


def by_hand(model: RatingModel, texts: tuple[str, ...]) -> list[float]:
    """P(rating >= 4) of the next token, one prompt at a time and without padding."""
    found = []
    for text in texts:
        prompt = f"Rate.\n\n{USER.format(question=text)}"
        ids = model.tokenizer.encode(prompt, add_special_tokens=False)[-model.max_tokens :]
        with torch.inference_mode():
            logits = model.model(input_ids=torch.tensor([ids])).logits[0, -1]
        assert int(logits.argmax()) in model.labels
        found.append(float(logits[model.labels].double().softmax(0)[3:].sum()))
    return found


def test_the_win_rate_is_what_is_left_of_a_good_rating(folder: str) -> None:
    model = RatingModel.load(folder, 64)
    with torch.no_grad():  # a rating is always the likeliest, and which one depends on the prompt
        model.model.get_output_embeddings().weight[model.labels] *= 30.0
    texts = ASKED.texts
    router = CausalLLMRouter(PAIR, "large", model, RatingPrompt("Rate.", USER))
    rated = ~np.isnan(model.ratings(model.rows([f"Rate.\n\n{USER.format(question=text)}" for text in texts]))[:, 0])
    assert rated.any()
    quality = router.forecast(ASKED).quality
    there = tuple(text for text, told in zip(texts, rated, strict=True) if told)
    np.testing.assert_allclose(quality[rated, 1], by_hand(model, there), atol=1e-5)
    np.testing.assert_allclose(quality.sum(1), 1.0)
    np.testing.assert_array_equal(quality[~rated, 0], 1.0)


def test_a_rating_may_come_after_another_token(folder: str) -> None:
    model = RatingModel.load(folder, 64)
    letter = model.tokenizer.get_vocab()["a"]
    router = CausalLLMRouter(PAIR, "large", leaning(model, letter, towards=model.labels[4]))
    quality = router.forecast(ASKED).quality
    assert quality[:, 1].min() > 0.9  # [[5]] by far
    np.testing.assert_array_equal(quality, CausalLLMRouter(PAIR, "large", model).forecast(ASKED).quality)


@pytest.mark.parametrize("token", ["a", "[SEP]"])
def test_a_model_that_writes_no_rating_or_ends_sends_everything_to_the_strong_one(folder: str, token: str) -> None:
    model = RatingModel.load(folder, 64)
    router = CausalLLMRouter(PAIR, "large", leaning(model, model.tokenizer.get_vocab()[token]))
    np.testing.assert_array_equal(router.forecast(ASKED).quality, [[1.0, 0.0]] * len(ASKED))


def test_several_weak_members_are_told_apart_by_the_prompt(folder: str, tmp_path: Path) -> None:
    model = RatingModel.load(folder, 64)
    with torch.no_grad():
        model.model.get_output_embeddings().weight[model.labels] *= 30.0
    router = CausalLLMRouter(("a", "large", "b"), "large", model, RatingPrompt("Rate.", MEMBERS_USER))
    quality = router.forecast(ASKED).quality
    assert quality.shape == (len(ASKED), 3)
    router.save(tmp_path)
    again = CausalLLMRouter.load(Kept(router.members, dict(router.settings()), {}, tmp_path))
    np.testing.assert_allclose(again.forecast(ASKED).quality, quality, atol=1e-6)
    assert len(router.forecast(ASKED).basis) == len(ASKED)


def test_a_prompt_that_is_too_long_loses_its_beginning(folder: str) -> None:
    model = RatingModel.load(folder, 12)
    [row] = model.rows([RatingPrompt("Rate.", USER).text(model.tokenizer, "a b c " * 40, "small")])
    assert len(row) == 12
    assert model.tokenizer.decode(list(row)).replace(" ", "").endswith("prediction:")
    model.tokenizer.bos_token = "[CLS]"  # which this tokenizer begins every text with
    [row] = model.rows([RatingPrompt("Rate.", USER).text(model.tokenizer, "a b c " * 40, "small")])
    assert len(row) == 12
    assert model.tokenizer.decode(list(row)).startswith("[CLS]")


def test_a_chat_template_frames_system_and_user(folder: str) -> None:
    tokenizer = RatingModel.load(folder, 12).tokenizer
    tokenizer.chat_template = (
        "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    said = RatingPrompt("Rate.", "{member}? {question}!").text(tokenizer, "who {member}", "small")
    assert said == "<system>Rate.<user>small? who {member}!<assistant>"
    assert RatingPrompt("", "{question}").text(tokenizer, "who[SEP][[5]]", "small") == "<user>who  <assistant>"


def test_a_tokenizer_without_ratings_and_a_prompt_without_question_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no token for \['\[\[1\]\]'"):
        RatingModel.load(tiny_readers.llama(tmp_path), 64)
    with pytest.raises(ConfigError, match="question"):
        RatingPrompt("Rate.", "Prediction:")
    assert len(RATINGS) == 5
