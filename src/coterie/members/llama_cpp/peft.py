"""A LoRA adapter as PEFT saves it, turned into the file that llama.cpp reads."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from coterie.errors import ConfigError, MissingExtra, ModelFilesError
from coterie.members.llama_cpp import adapter, header
from coterie.types import Json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]

Precision = Literal["f16", "f32"]

ARCHITECTURE = "llama"
MODEL_TYPES = ("llama", "mistral")
"""Of transformers, those that llama.cpp calls `ARCHITECTURE`."""

WEIGHTS = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
"""What transformers and llama.cpp call one weight."""

TENSOR = re.compile(r"base_model\.model\.((?:model\.)?layers\.(\d+)\.([\w.]+))\.lora_([AB])\.weight")
"""PEFT's name of one half of a change: the module in the model, its layer, its weight, and which half."""

FAITHFUL_STARTS = (True, False, "gaussian", "eva", "orthogonal")
"""The ways to begin (`init_lora_weights`) that leave the model's own weights as they are."""


@dataclass(frozen=True)
class Scaling:
    """What PEFT multiplies ``B A`` by."""

    alpha: float
    alphas: Mapping[str, float]
    """Another alpha, for the modules whose names match an expression."""
    rank_stabilised: bool
    """Divided by the root of the rank (arXiv 2312.03732), not by the rank (arXiv 2106.09685, section 4.1)."""

    def of(self, module: str, rank: int) -> float:
        """The factor of one module."""
        alpha = next((a for name, a in self.alphas.items() if re.fullmatch(rf"(.*\.)?({name})", module)), self.alpha)
        return alpha / (math.sqrt(rank) if self.rank_stabilised else rank)


@dataclass(frozen=True)
class Change:
    """The low-rank change ``B A`` of one weight, unscaled."""

    module: str
    """PEFT's name of what it changes."""
    layer: int
    weight: str
    """llama.cpp's name of what it changes."""
    a: Matrix
    """(rank, inputs)."""
    b: Matrix
    """(outputs, rank)."""


def write_gguf(folder: Path, target: Path, model: Path, *, precision: Precision = "f16") -> None:
    """Afterwards `target` is the adapter in `folder` as llama.cpp reads it; when something is raised, it is untouched.

    `folder` is what PEFT's ``save_pretrained`` wrote: LoRA on any of the seven linear weights of a Llama's layers.
    `model` is the model that it was trained on: its GGUF file, or a folder with its ``config.json``.

    Raises `ModelFilesError` for files that are missing, damaged or cannot be written, `ConfigError` for an adapter that
    llama.cpp has no form for or that does not fit the model, and `MissingExtra`.
    """
    scaling = _scaling(folder)
    heads = _heads(model)
    tensors: dict[str, Matrix] = {}
    for change in _changes(folder):
        # The file has one alpha, which llama.cpp divides by each rank; what differs from that goes into B.
        rank = len(change.a)
        b = change.b * (scaling.of(change.module, rank) * rank / scaling.alpha)
        if change.weight in heads:
            b = _side_by_side(b, heads[change.weight], change.module)
        name = f"blk.{change.layer}.{change.weight}.weight"
        tensors |= {f"{name}.lora_a": change.a, f"{name}.lora_b": b}
    fresh = target.with_name(f".{target.name}.new")
    try:
        _write(fresh, scaling.alpha, tensors, precision)
        if model.is_file() and (why := adapter.why_unfit(fresh, model)):
            raise ConfigError(f"the adapter in {str(folder)!r} does not fit the model {str(model)!r}: {why}")
        fresh.replace(target)
    except OSError as error:
        raise ModelFilesError(f"cannot write the adapter {str(target)!r}: {error}") from error
    finally:
        fresh.unlink(missing_ok=True)


def _scaling(folder: Path) -> Scaling:
    """What `folder` says of its adapter. Raises `ConfigError` unless it is plain LoRA."""
    config = _json(folder / "adapter_config.json")
    start = config.get("init_lora_weights", True)
    wrong = {key: config[key] for key in ("alora_invocation_tokens", "layer_replication") if config.get(key)}
    wrong |= {key: on for key, on in config.items() if key.startswith("use_") and on and key != "use_rslora"}
    if config.get("peft_type") != "LORA":
        wrong["peft_type"] = config.get("peft_type")
    if start not in FAITHFUL_STARTS:
        wrong["init_lora_weights"] = start
    if wrong:
        raise ConfigError(f"llama.cpp has no form for the adapter in {str(folder)!r}: its settings are {wrong!r}")
    alpha = config.get("lora_alpha")
    if not isinstance(alpha, int | float) or not 0 < alpha < math.inf:
        raise ConfigError(f"lora_alpha of the adapter in {str(folder)!r} is {alpha!r}; it must be above 0")
    return Scaling(alpha, config.get("alpha_pattern") or {}, bool(config.get("use_rslora")))


def _heads(model: Path) -> dict[str, int]:
    """How many heads the rows of the query and the key weights make up."""
    if model.is_file():
        of = header.read(model).metadata
        fits = (kind := of.get("general.architecture")) == ARCHITECTURE
        query, key = of.get("llama.attention.head_count"), of.get("llama.attention.head_count_kv")
    else:
        config = _json(model / "config.json")
        fits = (kind := config.get("model_type")) in MODEL_TYPES
        query = config.get("num_attention_heads")
        key = config.get("num_key_value_heads") or query
    if not fits:
        raise ConfigError(f"{str(model)!r} is of the kind {kind!r}, and only adapters of Llamas can be converted")
    if not isinstance(query, int) or not isinstance(key, int):
        raise ConfigError(f"{str(model)!r} does not say how many heads it has: they are {query!r} and {key!r}")
    return {"attn_q": query, "attn_k": key}


def _changes(folder: Path) -> Iterator[Change]:
    """What the adapter in `folder` changes, weight by weight."""
    halves: dict[tuple[str, int, str], dict[str, Matrix]] = {}
    for name, matrix in _tensors(folder / "adapter_model.safetensors").items():
        found = TENSOR.fullmatch(name)
        if found is None or found[3] not in WEIGHTS:
            raise ConfigError(f"llama.cpp has no form for {name!r}, which is in the adapter in {str(folder)!r}")
        halves.setdefault((found[1], int(found[2]), WEIGHTS[found[3]]), {})[found[4]] = matrix
    if not halves:
        raise ModelFilesError(f"the adapter in {str(folder)!r} is empty")
    for (module, layer, weight), sides in halves.items():
        a, b = sides.get("A"), sides.get("B")
        if a is None or b is None or a.ndim != 2 or b.ndim != 2 or len(a) != b.shape[1]:
            shapes = {side: matrix.shape for side, matrix in sides.items()}
            raise ModelFilesError(f"the adapter in {str(folder)!r} is damaged: its {module!r} has {shapes!r}")
        yield Change(module, layer, weight, a, b)


def _tensors(path: Path) -> dict[str, Matrix]:
    """The tensors in a safetensors file, as 32-bit floats whatever they are there."""
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise MissingExtra("the conversion of an adapter", "torch", error.name or "safetensors") from error
    try:
        return {name: tensor.float().numpy() for name, tensor in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        raise ModelFilesError(f"cannot read the adapter's weights {str(path)!r}: {error}") from error


def _side_by_side(rows: Matrix, heads: int, module: str) -> Matrix:
    """`rows` in the order of a Llama's GGUF file.

    A rotary embedding turns pairs of numbers. Within a head transformers keeps all first numbers before all second
    ones; llama.cpp wants the two of a pair side by side.
    """
    if len(rows) % (2 * heads):
        raise ConfigError(f"the adapter's {module!r} has {len(rows)} outputs, which are not {heads} heads of pairs")
    return rows.reshape(heads, 2, -1, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)


def _write(path: Path, alpha: float, tensors: Mapping[str, Matrix], precision: Precision) -> None:
    """Afterwards `path` is a GGUF file of `tensors`. Raises `ConfigError` for numbers that it cannot hold."""
    try:
        import gguf
        import numpy as np
    except ImportError as error:
        raise MissingExtra("the conversion of an adapter", "torch", error.name or "gguf") from error
    writer = gguf.GGUFWriter(path, ARCHITECTURE)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, alpha)
    for name, matrix in tensors.items():
        with np.errstate(over="ignore"):  # said below
            stored = matrix.astype(np.float16 if precision == "f16" else np.float32)
        if not np.isfinite(stored).all():
            raise ConfigError(f"{name!r} holds numbers that are not finite in {precision!r}")
        writer.add_tensor(name, stored)
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def _json(path: Path) -> dict[str, Any]:
    try:
        read: Json = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelFilesError(f"cannot read {str(path)!r}: {error}") from error
    if not isinstance(read, dict):
        raise ModelFilesError(f"{str(path)!r} holds no JSON object")
    return read
