"""The limit of an encoder on this machine: its products of matrices alone, in float32, one after another."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from random_ranker import Size

BLOCK_TOKENS = 512
"""Tokens that are multiplied at once."""

Run = Callable[[], object]
"""All products of one block."""


def weights(size: Size) -> list[NDArray[np.float32]]:
    """Query, key, value, output and both of the feed-forward, of every layer: one chain of products."""
    rng = np.random.default_rng(0)
    width = size.width
    shapes = [*[(width, width)] * 4, (width, 4 * width), (4 * width, width)] * size.layers
    return [(rng.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32) for shape in shapes]


def block(size: Size) -> NDArray[np.float32]:
    return np.random.default_rng(1).standard_normal((BLOCK_TOKENS, size.width)).astype(np.float32)


def with_torch(size: Size) -> Run:
    """By torch.mm, with as many threads as PyTorch has."""
    import torch

    matrices = [torch.from_numpy(array) for array in weights(size)]
    first = torch.from_numpy(block(size))

    def run() -> object:
        states = first
        with torch.inference_mode():
            for matrix in matrices:
                states = torch.mm(states, matrix)
        return states

    return run


def with_onnx(size: Size, threads: int) -> Run:
    """By ONNX Runtime's MatMul."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    matrices = weights(size)
    names = [f"states_{n}" for n in range(len(matrices) + 1)]
    nodes = [
        helper.make_node("MatMul", [before, f"matrix_{n}"], [after])
        for n, (before, after) in enumerate(pairwise(names))
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [BLOCK_TOKENS, size.width])
        for name in names[:: len(matrices)]
    ]
    kept = [numpy_helper.from_array(array, f"matrix_{n}") for n, array in enumerate(matrices)]
    graph = helper.make_graph(nodes, "products", ends[:1], ends[1:], kept)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session: Any = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    given = {names[0]: block(size)}
    return lambda: session.run(None, given)
