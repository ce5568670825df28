"""Tiny models with random weights in the published layouts, for what has no weights to be had offline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SENTENCE = (
    "Instruction: Input: Candidate Summarize candidates into a better one for the given instruction: "
    "hello world what is the capital of France Paris Berlin answer question 0: 1: 2: 3: : . ,"
)
WORDS = SENTENCE.split()


def _tokenizer(place: Path, specials: list[str], eos: str = "</s>", template: str | None = None) -> Any:
    """A word-level tokenizer with T5's special pieces."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: n for n, word in enumerate(dict.fromkeys([*specials, *WORDS]))}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast: Any = PreTrainedTokenizerFast
    wrapped = fast(
        tokenizer_object=made, eos_token=eos, pad_token="<pad>", unk_token="<unk>",
        additional_special_tokens=[s for s in specials if s.startswith(("<extra", "<|"))],
    )  # fmt: skip
    wrapped.chat_template = template
    wrapped.save_pretrained(place)
    return wrapped


SPECIALS = ["<pad>", "</s>", "<unk>", *(f"<extra_id_{n}>" for n in range(8))]


def t5(place: Path) -> Path:
    """A plain T5, as the published fusers are."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    tokenizer = _tokenizer(place, SPECIALS)
    torch.manual_seed(10)
    settings: Any = T5Config
    config = settings(
        vocab_size=len(tokenizer), d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2,
        decoder_start_token_id=0, pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    T5ForConditionalGeneration(config).save_pretrained(place)
    return place


def llama(place: Path) -> Path:
    """A decoder-only model."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = _tokenizer(place, SPECIALS)
    torch.manual_seed(10)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, pad_token_id=0, eos_token_id=1, bos_token_id=None,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(place)
    return place


CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] + ' ' + message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def chat_llama(place: Path) -> Path:
    """A decoder-only model with a chat template, as instruction-tuned ones have."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    specials = ["<pad>", "<|im_end|>", "<unk>", "<|im_start|>", "user", "assistant"]
    tokenizer = _tokenizer(place, specials, "<|im_end|>", CHAT_TEMPLATE)
    torch.manual_seed(10)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, pad_token_id=0, eos_token_id=1, bos_token_id=None, tie_word_embeddings=True,
        initializer_range=0.2,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(place)
    return place
