"""Tiny networks for metrics, in the published layouts, their weights drawn from a generator that never changes.

So numbers of other programs on them can stand in the tests.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

SENTENCE = (
    "the a cat cats dog sat sits on under mat table paris berlin is was capital of france and it rains "
    ". , ! ? é 你好 🙂"
)
WORDS = SENTENCE.split()


def bert(place: Path, *, outputs: int | None = None) -> Path:
    """An encoder of three layers, or a sequence classifier upon it."""
    from transformers import BertConfig, BertForSequenceClassification, BertModel

    size = _tokenizer(place, ["[PAD]", "[UNK]", "[CLS]", "[SEP]"], "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", 24)
    settings: Any = BertConfig
    config = settings(
        vocab_size=size, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=2,
        max_position_embeddings=24, pad_token_id=0, num_labels=outputs or 2,
    )  # fmt: skip
    _save(BertForSequenceClassification(config) if outputs else BertModel(config), place)
    return place


def bart(place: Path, seed: int = 10) -> Path:
    """An encoder-decoder."""
    from transformers import BartConfig, BartForConditionalGeneration

    size = _tokenizer(place, ["<s>", "<pad>", "</s>", "<unk>"], "<s> $A </s>", "<s> $A </s> </s> $B </s>", 1024)
    settings: Any = BartConfig
    config = settings(
        vocab_size=size, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=48, decoder_ffn_dim=48, max_position_embeddings=1024,
        bos_token_id=0, pad_token_id=1, eos_token_id=2, decoder_start_token_id=2, forced_eos_token_id=2,
    )  # fmt: skip
    _save(BartForConditionalGeneration(config), place, seed)
    return place


def gpt2(place: Path, *, begins: bool = False) -> Path:
    """A decoder-only model with a window of 32 tokens; its tokenizer puts a beginning before a text, or not."""
    from transformers import GPT2Config, GPT2LMHeadModel

    size = _tokenizer(place, ["<s>", "<pad>", "</s>", "<unk>"], "<s> $A" if begins else "$A", "$A $B", 10**30)
    settings: Any = GPT2Config
    config = settings(
        vocab_size=size, n_embd=32, n_layer=2, n_head=2, n_positions=32, bos_token_id=0, pad_token_id=1, eos_token_id=2
    )
    _save(GPT2LMHeadModel(config), place)
    return place


def aligner(place: Path, seed: int = 12, **settings: Any) -> Path:
    """AlignScore in the layout of its published checkpoints, with its encoder's configuration and tokenizer beside it.

    The network is a RoBERTa that reads 40 tokens.
    """
    import torch
    from transformers import RobertaConfig, RobertaForMaskedLM, RobertaModel

    size = _tokenizer(place, ["<s>", "<pad>", "</s>", "<unk>"], "<s> $A </s>", "<s> $A </s> </s> $B </s>", 40)
    made: Any = RobertaConfig
    config = made(
        vocab_size=size, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=42, type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2, **settings
    )  # fmt: skip
    network = torch.nn.Module()
    network.base_model = RobertaModel(config)
    network.mlm_head = RobertaForMaskedLM(config).lm_head
    network.bin_layer = torch.nn.Linear(32, 2)
    network.tri_layer = torch.nn.Linear(32, 3)
    network.reg_layer = torch.nn.Linear(32, 1)
    _draw(network, seed)
    state = {"base_model.embeddings.position_ids": torch.arange(42)[None], **network.state_dict()}
    leftovers = {"epoch": 2, "pytorch-lightning_version": "1.7.7", "hyper_parameters": {"model": "roberta-large"}}
    config.save_pretrained(place)
    torch.save({**leftovers, "state_dict": state}, place / "AlignScore-large.ckpt")
    return place


def _tokenizer(place: Path, specials: list[str], single: str, pair: str, longest: int) -> int:
    """Lower-case words and punctuation marks; what it does not know is unknown. The size of its vocabulary."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    names = {name: n for n, name in enumerate([*specials, *WORDS])}
    unknown = next(name for name in specials if "unk" in name.lower())
    made = Tokenizer(models.WordLevel(names, unk_token=unknown))
    made.normalizer = normalizers.BertNormalizer(strip_accents=False)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[(name, names[name]) for name in specials]
    )
    first, last = ("[CLS]", "[SEP]") if "[CLS]" in names else ("<s>", "</s>")
    fast: Any = PreTrainedTokenizerFast
    fast(
        tokenizer_object=made, model_max_length=longest, unk_token=unknown, cls_token=first, sep_token=last,
        bos_token=first, eos_token=last, pad_token=next(name for name in specials if "pad" in name.lower()),
    ).save_pretrained(place)  # fmt: skip
    return len(names)


def _save(model: Any, place: Path, seed: int = 10) -> None:
    _draw(model, seed)
    model.save_pretrained(place)


def _draw(model: Any, seed: int) -> None:
    import numpy as np
    import torch

    drawn = np.random.RandomState(seed)  # numpy promises that this one draws the same numbers for ever
    with torch.no_grad():
        for _, parameter in sorted(model.named_parameters()):
            if parameter.dim() > 1:  # norms and biases stay as they are made: drawn ones make all tokens alike
                parameter.copy_(torch.from_numpy(drawn.standard_normal(tuple(parameter.shape)) * 0.3))
