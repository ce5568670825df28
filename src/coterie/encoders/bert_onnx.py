"""A BERT in ONNX Runtime: the graph is written here, and its weights stay in the safetensors file, which is mapped.

A text is computed by itself: nothing is padded, and its vector is the same to the last bit whatever stands beside it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from coterie.encoders.bert import Checkpoint
from coterie.errors import ConfigError, MissingExtra

try:
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper
except ImportError as error:
    raise MissingExtra("the encoder's backend 'onnx'", "routers", error.name or "onnxruntime") from error

if TYPE_CHECKING:
    from numpy.typing import NDArray

OPSET, IR_VERSION = 20, 9
"""As old as the operators allow, so that old versions of ONNX Runtime open the graph."""
MICROSOFT = "com.microsoft"
WEIGHT_STEPS = 63
"""6 bits and a sign: processors without VNNI add two products in 16 bits."""
LEAST_SCALE = 1e-12
"""Of an output whose weights are all 0."""
THREADS_A_TEXT = 4
"""More threads than these hardly make one text quicker; further ones compute other texts."""


class OnnxForward:
    """A `Forward` on the CPU. Raises `ConfigError` for weights that do not fit."""

    def __init__(self, checkpoint: Checkpoint, threads: int | None = None, *, int8: bool = False) -> None:
        """`threads` of the processor, or all of them; `int8` as `graph` has it."""
        threads = threads or _cores()
        of_text = min(threads, THREADS_A_TEXT)
        self._callers = max(1, threads // of_text)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = of_text
        # Idle threads wait asleep: members of the committee run on the same cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", str(checkpoint.folder.resolve())
        )
        model = graph(checkpoint, int8=int8)
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime raises kinds of its own, which derive from nothing else
            raise ConfigError(f"{str(checkpoint.folder)!r} cannot be opened in ONNX Runtime: {error}") from error

    def __call__(self, rows: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
        if self._callers == 1 or len(rows) == 1:
            return np.stack([self._mean(row) for row in rows])
        with ThreadPoolExecutor(self._callers, "encoder") as pool:
            return np.stack(list(pool.map(self._mean, rows)))

    def _mean(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self._session.run(None, {"ids": ids})[0]
        return found


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def graph(checkpoint: Checkpoint, *, int8: bool = False) -> bytes:
    """The network's file: the mean, [width], of the last states of ids [tokens], int64.

    With `int8` products are computed in eight bits: the weights of each output with a scale of their own, a text's
    states with one for all of them, which is drawn from that text alone.
    """
    return _Graph(checkpoint, int8=int8).model()


class _Graph:
    """Nodes one after another. Methods return the name of what they compute; states are [tokens, width]."""

    def __init__(self, checkpoint: Checkpoint, *, int8: bool) -> None:
        self._int8 = int8
        self._layout = checkpoint.layout
        self._tensors = checkpoint.tensors
        self._nodes: list[Any] = []
        self._weights: dict[str, Any] = {}
        self._by_row = self._integers("by_row", 1, -1, self._layout.width)
        self._by_token = self._integers("by_token", -1, self._layout.width)
        self._first = self._integers("first", 0)

    def model(self) -> bytes:
        """All of it, as one file without its weights."""
        states = self._embedded()
        for n in range(self._layout.layers):
            states = self._layer(f"encoder.layer.{n}", states)
        mean = self._node("ReduceMean", states, self._first, keepdims=0)
        inputs = [helper.make_tensor_value_info("ids", TensorProto.INT64, ["tokens"])]
        outputs = [helper.make_tensor_value_info(mean, TensorProto.FLOAT, [self._layout.width])]
        made = helper.make_graph(self._nodes, "encoder", inputs, outputs, list(self._weights.values()))
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        written: bytes = helper.make_model(made, opset_imports=opsets, ir_version=IR_VERSION).SerializeToString()
        return written

    def _embedded(self) -> str:
        words, places, kinds = (self._weight(f"embeddings.{name}_embeddings.weight") for name in _EMBEDDINGS)
        length = self._node("Shape", "ids")
        states = self._node("Gather", words, "ids", axis=0)
        states = self._node("Add", states, self._node("Slice", kinds, self._first, self._integers("one", 1)))
        states = self._node("Add", states, self._node("Slice", places, self._first, length))
        norm = (self._weight(f"embeddings.LayerNorm.{name}") for name in ("weight", "bias"))
        return self._node("LayerNormalization", states, *norm, axis=-1, epsilon=self._layout.epsilon)

    def _layer(self, name: str, states: str) -> str:
        attention = f"{name}.attention"
        parts = (self._linear(f"{attention}.self.{part}", states) for part in ("query", "key", "value"))
        of_row = [self._node("Reshape", part, self._by_row) for part in parts]
        context = self._node("MultiHeadAttention", *of_row, domain=MICROSOFT, num_heads=self._layout.heads)
        mixed = self._linear(f"{attention}.output.dense", self._node("Reshape", context, self._by_token))
        attended = self._normed(f"{attention}.output.LayerNorm", mixed, states)
        wide = self._node("Gelu", self._linear(f"{name}.intermediate.dense", attended))
        return self._normed(f"{name}.output.LayerNorm", self._linear(f"{name}.output.dense", wide), attended)

    def _linear(self, name: str, states: str) -> str:
        bias = self._weight(f"{name}.bias")
        if not self._int8:
            return self._node("Gemm", states, self._weight(f"{name}.weight"), bias, transB=1)
        weight = self._tensors[f"{name}.weight"]
        scales = np.maximum(np.abs(weight).max(axis=1) / WEIGHT_STEPS, LEAST_SCALE).astype(np.float32)
        steps = np.rint(weight / scales[:, None]).astype(np.int8)
        parts = {"steps": steps.T, "scales": scales, "zeros": np.zeros(len(scales), dtype=np.int8)}
        kept = (self._constant(f"{name}.{part}", np.ascontiguousarray(value)) for part, value in parts.items())
        return self._node("DynamicQuantizeMatMul", states, *kept, bias, domain=MICROSOFT)

    def _normed(self, name: str, states: str, before: str) -> str:
        """The norm of the sum of both."""
        norm = (self._weight(f"{name}.{part}") for part in ("weight", "bias"))
        return self._node(
            "SkipLayerNormalization", states, before, *norm, domain=MICROSOFT, epsilon=self._layout.epsilon
        )

    def _node(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        name = f"{kind}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], name=name, domain=domain, **attributes))
        return name

    def _integers(self, name: str, *values: int) -> str:
        return self._constant(name, np.array(values, dtype=np.int64))

    def _constant(self, name: str, value: NDArray[Any]) -> str:
        self._weights[name] = numpy_helper.from_array(value, name)
        return name

    def _weight(self, name: str) -> str:
        """A tensor of the checkpoint: where it stands in its file, or itself where it is not in float32."""
        if name not in self._weights:
            place = self._tensors.place(name)
            if place.kind == "F32":
                self._weights[name] = self._elsewhere(name)
            else:
                self._constant(name, np.array(self._tensors[name]))
        return name

    def _elsewhere(self, name: str) -> onnx.TensorProto:
        place = self._tensors.place(name)
        tensor = TensorProto(
            name=name, data_type=TensorProto.FLOAT, dims=place.shape, data_location=TensorProto.EXTERNAL
        )
        said = {"location": self._tensors.path.name, "offset": place.start, "length": place.size_bytes}
        for key, value in said.items():
            tensor.external_data.add(key=key, value=str(value))
        return tensor


_EMBEDDINGS = ("word", "position", "token_type")
