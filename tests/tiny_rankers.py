"""Tiny judges' models with random weights, in the layouts that real ones have."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from golden import FOLDER

ENCODER = json.loads((FOLDER / "base" / "config.json").read_text(encoding="utf-8"))
"""The golden ranker's: a DeBERTa of two layers, which knows the golden tokenizer's 2000 pieces."""

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def ranker(place: Path, kind: str, n_tasks: int = 1, **settings: Any) -> Path:
    """A checkpoint as training writes one: `kind` is the `ranker_type`."""
    import torch
    from safetensors.torch import save_file
    from transformers import AutoConfig

    from coterie.judges.pointwise.network import RankerNetwork

    (place / "base").mkdir(parents=True)
    (place / "base" / "config.json").write_text(json.dumps(ENCODER), encoding="utf-8")
    shutil.copy(FOLDER / "tokenizer_with_prefix_tokens" / "tokenizer.json", place)
    lengths = {"source_maxlength": 64, "candidate_maxlength": 32}
    said = {"ranker_type": kind, "model_name": "base", "n_tasks": n_tasks, "drop_out": 0.05, **lengths, **settings}
    (place / "config.json").write_text(json.dumps(said), encoding="utf-8")
    torch.manual_seed(11)
    encoder = {**ENCODER, "vocab_size": 2004}
    network = RankerNetwork(AutoConfig.for_model(encoder.pop("model_type"), **encoder), kind, n_tasks)  # type: ignore[arg-type]
    for name, parameter in network.named_parameters():
        if "gates" in name:  # which begin as zeros, so that every row would go to the same experts
            torch.nn.init.normal_(parameter)
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, place / "model.safetensors")
    return place


def word_pieces(place: Path) -> Any:
    """BERT's kind of tokenizer, over single letters and signs."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*specials, *LETTERS, *(f"##{letter}" for letter in LETTERS), *"0123456789.,:;!?'\"{}[]()<>/-|"]
    vocabulary = {piece: n for n, piece in enumerate(pieces)}
    made: Any = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    fast: Any = PreTrainedTokenizerFast
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), specials, strict=True))
    wrapped = fast(tokenizer_object=made, **names)
    wrapped.save_pretrained(place)
    return wrapped


def bert(place: Path, task: str, positions: int = 48, n_labels: int = 1) -> Path:
    """A BERT for `MaskedLM` or `SequenceClassification`."""
    import torch
    import transformers

    vocabulary = len(word_pieces(place))
    torch.manual_seed(12)
    settings: Any = transformers.BertConfig
    config = settings(
        vocab_size=vocabulary, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=positions, num_labels=n_labels, initializer_range=0.5,
    )  # fmt: skip
    getattr(transformers, f"BertFor{task}")(config).save_pretrained(place)
    return place


def roberta(place: Path, positions: int = 40) -> Path:
    """A masked RoBERTa: it counts places from behind its padding's, which is piece 1."""
    import torch
    import transformers

    vocabulary = len(word_pieces(place))
    torch.manual_seed(13)
    settings: Any = transformers.RobertaConfig
    config = settings(
        vocab_size=vocabulary, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=positions, type_vocab_size=1, initializer_range=0.5, pad_token_id=1,
    )  # fmt: skip
    transformers.RobertaForMaskedLM(config).save_pretrained(place)
    return place


def deberta_reward(place: Path) -> Path:
    """A reward model laid out as OpenAssistant's."""
    import torch
    import transformers

    place.mkdir(parents=True, exist_ok=True)
    shutil.copy(FOLDER / "base" / "tokenizer.json", place)
    shutil.copy(FOLDER / "base" / "tokenizer_config.json", place)
    torch.manual_seed(14)
    settings: Any = transformers.DebertaV2Config
    config = settings(**{**ENCODER, "num_labels": 1})
    transformers.DebertaV2ForSequenceClassification(config).save_pretrained(place)
    return place


def llama_reward(place: Path) -> Path:
    """A reward model that is a decoder, with a tokenizer that begins every text with a piece of its own."""
    import torch
    import transformers
    from tokenizers import processors

    wrapped = word_pieces(place)
    wrapped.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A", pair="[CLS] $A $B", special_tokens=[("[CLS]", 2)]
    )
    wrapped.bos_token = "[CLS]"
    wrapped.save_pretrained(place)
    torch.manual_seed(15)
    settings: Any = transformers.LlamaConfig
    family: Any = transformers.LlamaForSequenceClassification
    config = settings(
        vocab_size=len(wrapped), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, pad_token_id=0, bos_token_id=2, eos_token_id=3, num_labels=1, initializer_range=0.5,
    )  # fmt: skip
    family(config).save_pretrained(place)
    return place
