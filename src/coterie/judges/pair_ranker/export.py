"""A pair ranker's checkpoint as an ONNX folder, which needs no PyTorch: `write`.

The graph is written node by node from the checkpoint's own weights (`encoder_graph.py`), not traced: so the last
layer computes only what the head reads, and what depends on the weights alone is computed once, at export.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from coterie.errors import ConfigError, MissingExtra

try:
    from onnx import TensorProto
except ImportError as error:
    raise MissingExtra("exporting a ranker", "train", "onnx") from error

from coterie.judges.engine import Engine, Forward
from coterie.judges.pair_ranker.agreement import Agreement, logits
from coterie.judges.pair_ranker.checkpoint import ONNX, Checkpoint
from coterie.judges.pair_ranker.encoder_graph import EncoderGraph
from coterie.judges.pair_ranker.encoder_layout import Weights
from coterie.judges.pair_ranker.encoding import Pair, PairEncoder
from coterie.judges.pair_ranker.graph import Graph
from coterie.judges.pair_ranker.onnx import INPUTS, LONGEST, WEIGHTS, OnnxForward, budget_tokens
from coterie.types import Json

CARDS = ("card.json", "README.md", "LICENSE*", "NOTICE*")
"""What is copied as it is, where it is there."""


def network(checkpoint: Checkpoint, *, int8: bool = False) -> bytes:
    """The network's file: scores [rows, 2] of ids and attended [rows, width] and marks [rows, 3], all of them int64.

    float32, with the head in float64; `int8` keeps the weights of products and the words in eight bits (see
    `graph.py`), and what else is large in float16. Raises `ConfigError` for an encoder that cannot be exported.
    """
    kind = checkpoint.settings.get("ranker_type") or "pairranker"
    if kind != "pairranker":
        raise ConfigError(f"a ranker of the type {kind!r} cannot be exported, only a pair ranker")
    weights = Weights({name: tensor.float().numpy() for name, tensor in checkpoint.weights().items()})
    graph = Graph(int8=int8)
    encoder = EncoderGraph(graph, checkpoint.encoder, weights.below("pretrained_model"))
    scores = _scores(graph, encoder.marked_states(), weights.below("head_layer"))
    shapes: dict[str, tuple[str | int, ...]] = dict.fromkeys(INPUTS, ("rows", "width"))
    said = {LONGEST: str(encoder.longest), WEIGHTS: "int8" if int8 else "float32"}
    return graph.model({**shapes, "marks": ("rows", 3)}, scores, said)


def write(checkpoint: Checkpoint, folder: Path, file: bytes) -> None:
    """Afterwards the folder, new or empty before, holds all that the ranker needs to be opened without PyTorch.

    Raises as `check_new` does.
    """
    check_new(folder)
    (folder / "base").mkdir(parents=True)
    (folder / "config.json").write_text(_json(_settings(checkpoint)), encoding="utf-8")
    (folder / "base" / "config.json").write_text(_json(dict(checkpoint.encoder)), encoding="utf-8")
    (folder / "tokenizer.json").write_text(checkpoint.tokenizer_json(), encoding="utf-8")
    for pattern in CARDS:
        for card in sorted(checkpoint.folder.glob(pattern)):
            shutil.copy(card, folder)
    (folder / ONNX).write_bytes(file)


def check_new(folder: Path) -> None:
    """Raises `ConfigError` for a folder that cannot be exported to, because something is there already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{str(folder)!r} is not empty: name a new folder to export to")


def compared(checkpoint: Checkpoint, files: Mapping[str, bytes], pairs: Sequence[Pair]) -> dict[str, Agreement]:
    """How far the logits of each exported file lie from those of PyTorch in float32, over these pairs."""
    import torch

    from coterie.judges.pair_ranker.network import TorchForward, load

    encoder = PairEncoder(checkpoint)
    loaded = load(checkpoint, vocabulary=encoder.vocabulary, device="cpu", dtype=torch.float32)
    wanted = _logits(encoder, TorchForward(loaded, "cpu"), pairs)
    return {name: Agreement.of(wanted, _logits(encoder, OnnxForward(file), pairs)) for name, file in files.items()}


def _logits(encoder: PairEncoder, forward: Forward, pairs: Sequence[Pair]) -> list[float]:
    engine = Engine(encoder.row, forward, budget_tokens=budget_tokens(None))
    try:
        return logits(engine, pairs)
    finally:
        engine.close()


def _scores(graph: Graph, marked: str, head: Weights) -> str:
    """The head over the states at the three marks: a score for each candidate, the mean over tasks, [rows, 2]."""
    # In float64, as PyTorch's network has it: rounding in the head is most of the noise of a logit.
    states = graph.node("Cast", marked, to=TensorProto.DOUBLE)
    one, axis = graph.integers(1), graph.integers(1)
    source = graph.node("Slice", states, graph.integers(0), one, axis)
    candidates = graph.node("Slice", states, one, graph.integers(3), axis)
    read = graph.node("Concat", graph.node("Expand", source, graph.integers(1, 2, 1)), candidates, axis=-1)
    hidden = graph.node("Tanh", graph.exact_linear(read, *head.linear("1")))
    return graph.node("ReduceMean", graph.exact_linear(hidden, *head.linear("4")), graph.integers(2), keepdims=0)


def _settings(checkpoint: Checkpoint) -> dict[str, Json]:
    """The exported ranker's configuration: the checkpoint's own, with its encoder beside it."""
    own = dict(checkpoint.settings) if "model_name" in checkpoint.settings else {}
    return {
        **own,
        "ranker_type": "pairranker",
        "model_name": "base",
        "source_maxlength": checkpoint.source_tokens,
        "candidate_maxlength": checkpoint.candidate_tokens,
        "n_tasks": checkpoint.n_tasks,
        "drop_out": checkpoint.drop_out,
        "keep": checkpoint.keep,
    }


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"
