"""Tiny encoders with random weights in the published layouts, and an endpoint on loopback: test support, no test."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from coterie.protocols import Encoder, OpenEncoder
from http_faults import Body, Reply

T = TypeVar("T")

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = "the cat sat on a mat and dog ran where is capital of france paris question write code in python ? ! , . [ ]"
LAYERS, HEADS, WIDTH, WIDE, PLACES = 2, 2, 16, 32, 64
TEXTS = (
    "the cat sat on a mat",
    "where is the capital of france ?",
    "write python code , and question the dog",
    "a dog",
    "unheard of !",
    " ".join(["the dog ran and the cat sat"] * 30),
)


def encoded(encoder: Encoder, texts: Sequence[str]) -> NDArray[np.float32]:
    """The texts' vectors, from an encoder opened for them alone."""
    return opened(encoder, lambda open_encoder: open_encoder.encode(texts))


def opened(encoder: Encoder, work: Callable[[OpenEncoder], Awaitable[T]]) -> T:
    """What `work` makes of the open encoder."""

    async def go() -> T:
        async with encoder.open() as open_encoder:
            return await work(open_encoder)

    return asyncio.run(go())


def tokenizer(*, framed: bool = True) -> Any:
    """BERT's, with a few words and letters; cut and padded by itself, as published files often are."""
    pieces = [*SPECIALS, *dict.fromkeys(WORDS.split()), *"bcdefgh", *(f"##{letter}" for letter in "abcdefgh")]
    made = Tokenizer(models.WordPiece({piece: n for n, piece in enumerate(pieces)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.add_special_tokens(list(SPECIALS))
    if framed:
        made.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
        made.enable_truncation(8)
        made.enable_padding(length=8)
    return made


def bert(folder: Path, kind: str = "float32", **config: Any) -> Path:
    """A BERT of random weights, whose attention is far from even."""
    folder.mkdir(parents=True, exist_ok=True)
    made = tokenizer()
    made.save(str(folder / "tokenizer.json"))
    said = {
        "model_type": "bert", "hidden_act": "gelu", "hidden_size": WIDTH, "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS, "intermediate_size": WIDE, "max_position_embeddings": PLACES,
        "type_vocab_size": 2, "vocab_size": made.get_vocab_size(), "layer_norm_eps": 1e-12, **config,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(said), encoding="utf-8")
    save_file({name: array.astype(kind) for name, array in _weights(made.get_vocab_size())}, _file(folder))
    return folder


def sentence_transformers(folder: Path) -> Path:
    """The same as a folder of sentence-transformers: the mean of the last states."""
    from transformers import PreTrainedTokenizerFast

    bert(folder)
    fast: Any = PreTrainedTokenizerFast
    plain = tokenizer()
    plain.no_padding()
    plain.no_truncation()
    fast(tokenizer_object=plain, **{f"{s[1:-1].lower()}_token": s for s in SPECIALS}).save_pretrained(folder)
    places = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    listed = [
        {"idx": n, "name": str(n), "path": place, "type": f"sentence_transformers.models.{kind}"}
        for n, (kind, place) in enumerate(places.items())
    ]
    (folder / "modules.json").write_text(json.dumps(listed), encoding="utf-8")
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": PLACES}), encoding="utf-8")
    for place in ("1_Pooling", "2_Normalize"):
        (folder / place).mkdir()
    pooling = {"word_embedding_dimension": WIDTH, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling), encoding="utf-8")
    return folder


def table(folder: Path) -> Path:
    """A static encoder's table in float16, and its tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    made = tokenizer(framed=False)
    made.save(str(folder / "tiny_tokenizer_config.json"))
    rows = np.random.default_rng(3).normal(size=(made.get_vocab_size(), WIDTH))
    save_file({"embedding.weight": rows.astype(np.float16)}, _file(folder))
    return folder


def answering(body: Body, _nth: int) -> Reply:
    """A well-behaved endpoint: each text has a vector of its own. It takes no empty text, and answers out of order."""
    if not all(body["input"]):
        return Reply(status=400, error={"message": "an input is empty"})
    items = [{"index": n, "embedding": vector(text)} for n, text in enumerate(body["input"])]
    return embeddings(items[::-1])


def vector(text: str) -> list[float]:
    """Eight numbers that depend on every character."""
    return [float(x) for x in np.random.default_rng(zlib.crc32(text.encode())).normal(size=8).round(6)]


def embeddings(items: object) -> Reply:
    """An answer with these items."""
    return Reply(body=json.dumps({"object": "list", "data": items, "model": "e"}).encode())


def _file(folder: Path) -> str:
    return str(folder / "model.safetensors")


def _weights(vocabulary: int) -> list[tuple[str, NDArray[np.float64]]]:
    draws = np.random.default_rng(7)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (vocabulary, WIDTH),
        "embeddings.position_embeddings.weight": (PLACES, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
    }
    norms = ["embeddings.LayerNorm"]
    for n in range(LAYERS):
        layer = f"encoder.layer.{n}"
        linear = {f"attention.self.{part}": (WIDTH, WIDTH) for part in ("query", "key", "value")}
        linear |= {
            "attention.output.dense": (WIDTH, WIDTH), "intermediate.dense": (WIDE, WIDTH),
            "output.dense": (WIDTH, WIDE),
        }  # fmt: skip
        for name, shape in linear.items():
            shapes |= {f"{layer}.{name}.weight": shape, f"{layer}.{name}.bias": shape[:1]}
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    drawn = [(name, draws.normal(scale=0.5, size=shape)) for name, shape in shapes.items()]
    scales = [(f"{name}.weight", 1 + draws.normal(scale=0.2, size=WIDTH)) for name in norms]
    return [*drawn, *scales, *((f"{name}.bias", draws.normal(scale=0.2, size=WIDTH)) for name in norms)]
