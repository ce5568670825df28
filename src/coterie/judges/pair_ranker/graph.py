"""An ONNX graph while it is written: nodes one after another, and the weights they use, in float32 or in eight bits.

Eight bits: a product's weights are whole numbers with a scale for each output, and its input is made whole numbers
with a scale for each token. A scale for a whole batch, as common tools have it, would be quicker by a little, but
the scores of a row would depend on its neighbours. Products of whole numbers are exact, so they depend on no
machine either; for that, weights have 7 bits: x86 processors without VNNI add two products in 16 bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from coterie.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray


OPSET = 20
IR_VERSION = 9
"""As old as the operators allow, so that old versions of ONNX Runtime open the file."""
MICROSOFT = "com.microsoft"

WEIGHT_STEPS = 63
"""6 bits and a sign: 255 * 63 * 2 fits into 16 bits."""
OUTLIER = 6.0
"""Times the largest weight of a middling input. Trained networks have a few inputs beyond, which are multiplied in
float32 (after 2208.07339, section 3.2)."""
TABLE_STEPS = 127
TOKEN_STEPS = 127
TOKEN_ZERO = 128
LEAST_SCALE = 1e-12
"""Of a token whose states are all 0."""

SMALL = 64
"""Numbers in a tensor that is looked for among those stored already."""

LIMIT_BYTES = 2**31 - 2**20
"""An ONNX file is one message of Protocol Buffers, which ends at 2 GiB; the nodes fit into the rest."""


class Graph:
    """Nodes and weights, in the order in which they are used. Every method returns the name of what it computes."""

    def __init__(self, *, int8: bool = False) -> None:
        self._int8 = int8
        self._nodes: list[Any] = []
        self._weights: list[Any] = []
        self._names: dict[tuple[object, ...], str] = {}
        self._tokens: dict[str, tuple[str, str, str]] = {}

    def node(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """One operator with one output."""
        name = f"{kind}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], name=name, domain=domain, **attributes))
        return name

    def constant(self, value: NDArray[Any]) -> str:
        """A tensor that never changes; equal small ones are stored once."""
        key = (value.dtype.str, value.shape, value.tobytes() if value.size <= SMALL else None)
        if key in self._names:
            return self._names[key]
        name = f"weight_{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(value, name))
        if value.size <= SMALL:
            self._names[key] = name
        return name

    def number(self, value: float) -> str:
        """A float32."""
        return self.constant(np.array(value, dtype=np.float32))

    def integers(self, *values: int) -> str:
        """A list of integers, as shapes and axes are given."""
        return self.constant(np.array(values, dtype=np.int64))

    # ---- weights ------------------------------------------------------------------------------

    def linear(self, x: str, weight: NDArray[Any], bias: NDArray[Any], least: float | None = None) -> str:
        """x W^T + b of x [tokens, inputs], W [outputs, inputs] and b [outputs].

        `least` is what no number in x lies below, where that is known: eight bits then reach from there upward.
        """
        if not self._int8:
            product = self.node("MatMul", x, self.constant(weight.T.astype(np.float32)))
            return self.node("Add", product, self.constant(bias.astype(np.float32)))
        odd = _outliers(weight)
        even = weight.copy()
        even[:, odd] = 0
        product = self._quantised_product(x, even, bias, least)
        if not len(odd):
            return product
        inputs = self.node("Gather", x, self.constant(odd), axis=1)
        return self.node(
            "Add", product, self.node("MatMul", inputs, self.constant(weight[:, odd].T.astype(np.float32)))
        )

    def _quantised_product(self, x: str, weight: NDArray[Any], bias: NDArray[Any], least: float | None) -> str:
        quantised, scales = _quantised(weight, WEIGHT_STEPS)
        tokens, of_token, zero = self._tokens_around_0(x) if least is None else self._tokens_from(x, least)
        product = self.node(
            "MatMulIntegerToFloat", tokens, self.constant(quantised.T), self.number(1), self.constant(scales), zero,
            domain=MICROSOFT,
        )  # fmt: skip
        shift = (least or 0) * (quantised.sum(1) * scales)
        return self.node("Add", self.node("Mul", product, of_token), self.constant((bias + shift).astype(np.float32)))

    def exact_linear(self, x: str, weight: NDArray[Any], bias: NDArray[Any]) -> str:
        """`linear` in float64, for what is small and decides."""
        product = self.node("MatMul", x, self._wide(weight.T))
        return self.node("Add", product, self._wide(bias))

    def rows_of(self, table: NDArray[Any], ids: str) -> str:
        """The rows of a table with these numbers: [..., width]."""
        if not self._int8:
            return self.node("Gather", self.constant(table.astype(np.float32)), ids)
        quantised, scales = _quantised(table, TABLE_STEPS)
        rows = self.node("Cast", self.node("Gather", self.constant(quantised), ids), to=TensorProto.FLOAT)
        return self.node("Mul", rows, self.node("Gather", self.constant(scales[:, None]), ids))

    def table(self, values: NDArray[Any]) -> str:
        """A table of floats, kept in float16 where weights have eight bits."""
        if not self._int8:
            return self.constant(values.astype(np.float32))
        return self.node("Cast", self.constant(values.astype(np.float16)), to=TensorProto.FLOAT)

    def norm(self, x: str, weight: NDArray[Any], bias: NDArray[Any], epsilon: float) -> str:
        """Layer normalisation over the last axis."""
        scale, shift = (self.constant(array.astype(np.float32)) for array in (weight, bias))
        return self.node("LayerNormalization", x, scale, shift, axis=-1, epsilon=epsilon)

    def _tokens_around_0(self, x: str) -> tuple[str, str, str]:
        """x [tokens, inputs] as whole numbers around a zero, the scale of each token [tokens, 1], and that zero."""
        if x not in self._tokens:
            scale, flat = self._scales(self.node("Abs", x), TOKEN_STEPS)
            middle = numpy_helper.from_array(np.array([TOKEN_ZERO], dtype=np.uint8))
            zeros = self.node("ConstantOfShape", self.node("Shape", flat), value=middle)
            zero = self.constant(np.array(TOKEN_ZERO, dtype=np.uint8))
            self._tokens[x] = self.node("QuantizeLinear", x, flat, zeros, axis=0), scale, zero
        return self._tokens[x]

    def _tokens_from(self, x: str, least: float) -> tuple[str, str, str]:
        """The same of x - least, from 0 upward."""
        above = self.node("Sub", x, self.number(least))
        scale, flat = self._scales(above, 2 * TOKEN_STEPS + 1)
        return self.node("QuantizeLinear", above, flat, axis=0), scale, self.constant(np.array(0, dtype=np.uint8))

    def _scales(self, x: str, steps: int) -> tuple[str, str]:
        """What one step stands for in each token of x, whose numbers are not negative: [tokens, 1] and [tokens]."""
        largest = self.node("ReduceMax", x, self.integers(1), keepdims=1)
        scale = self.node("Max", self.node("Mul", largest, self.number(1 / steps)), self.number(LEAST_SCALE))
        return scale, self.node("Squeeze", scale, self.integers(1))

    def _wide(self, values: NDArray[Any]) -> str:
        stored = values.astype(np.float16 if self._int8 else np.float32)
        return self.node("Cast", self.constant(stored), to=TensorProto.DOUBLE)

    # ---- the whole ----------------------------------------------------------------------------

    def model(self, inputs: Mapping[str, Sequence[str | int]], output: str, said: Mapping[str, str]) -> bytes:
        """The file: int64 inputs by name and shape, one float64 output called `scores`, [rows, 2], and what it says
        of itself. Raises `ConfigError` where it would be too large for a file."""
        size = sum(len(weight.raw_data) for weight in self._weights)
        if size > LIMIT_BYTES:
            raise ConfigError(f"{size / 1e9:.1f} GB of weights are more than an ONNX file holds: export with --int8")
        self._nodes.append(helper.make_node("Identity", [output], ["scores"], name="scores"))
        given = [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name, shape in inputs.items()]
        scores = helper.make_tensor_value_info("scores", TensorProto.DOUBLE, ["rows", 2])
        graph = helper.make_graph(self._nodes, "ranker", given, [scores], self._weights)
        opsets = [helper.make_opsetid("", OPSET), *([helper.make_opsetid(MICROSOFT, 1)] if self._int8 else [])]
        made = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="coterie")
        helper.set_model_props(made, dict(said))
        onnx.checker.check_model(made)
        file: bytes = made.SerializeToString()
        return file


def _quantised(weight: NDArray[Any], steps: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rows as whole numbers from -steps to steps, and the scale of each row."""
    scales = np.maximum(np.abs(weight).max(1) / steps, LEAST_SCALE).astype(np.float32)
    return np.rint(weight / scales[:, None]).astype(np.int8), scales


def _outliers(weight: NDArray[Any]) -> NDArray[np.int64]:
    """The inputs with a weight so large that in eight bits there would be too few steps left for the others."""
    largest = np.abs(weight).max(0)
    return np.flatnonzero(largest > OUTLIER * np.median(largest)).astype(np.int64)
