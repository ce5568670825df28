"""A tiny Llama with random weights, twice: as transformers has it, and as a GGUF file that llama.cpp reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

LAYERS, WIDTH, INNER, HEADS, KEY_HEADS = 2, 64, 96, 4, 2

NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}

# SentencePiece's kinds of tokens, as GGUF numbers them.
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
VOCABULARY = (
    ("<unk>", UNKNOWN),
    ("<s>", CONTROL),
    ("</s>", CONTROL),
    *((f"<0x{byte:02X}>", BYTE) for byte in range(256)),
    ("\u2581", NORMAL),
)


@dataclass(frozen=True)
class TinyLlama:
    """One model in two forms."""

    torch: Any
    """A `LlamaForCausalLM` in 32-bit floats."""
    folder: Path
    """Its `config.json`."""
    gguf: Path


def made(place: Path) -> TinyLlama:
    """The model, its weights large enough that it is sure of something at every token."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=len(VOCABULARY), hidden_size=WIDTH, intermediate_size=INNER, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=KEY_HEADS, max_position_embeddings=512, rms_norm_eps=1e-5,
        initializer_range=0.12, bos_token_id=1, eos_token_id=2, pad_token_id=0, tie_word_embeddings=False,
    )  # fmt: skip
    model: Any = LlamaForCausalLM(config)
    model.eval()
    model.save_pretrained(place)
    path = place / "model.gguf"
    _write(path, {name: weight.numpy() for name, weight in model.state_dict().items()})
    return TinyLlama(model, place, path)


def _write(path: Path, weights: dict[str, Any]) -> None:
    import gguf

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_context_length(512)
    writer.add_block_count(LAYERS)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([text for text, _ in VOCABULARY])
    writer.add_token_scores([0.0] * len(VOCABULARY))
    writer.add_token_types([kind for _, kind in VOCABULARY])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    for name, weight in weights.items():
        writer.add_tensor(_gguf_name(name), _ordered(name, weight))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _gguf_name(name: str) -> str:
    stem = name.removesuffix(".weight")
    if not stem.startswith("model.layers."):
        return f"{NAMES[stem]}.weight"
    layer, _, module = stem.removeprefix("model.layers.").partition(".")
    return f"blk.{layer}.{NAMES[module]}.weight"


def _ordered(name: str, weight: Any) -> Any:
    """Rows of queries and keys in llama.cpp's order: row ``i`` and row ``i + half`` of a head become neighbours."""
    heads = HEADS if "q_proj" in name else KEY_HEADS if "k_proj" in name else 0
    if not heads:
        return weight
    size = len(weight) // heads
    order = [head * size + i + half * size // 2 for head in range(heads) for i in range(size // 2) for half in (0, 1)]
    return weight[order].copy()
