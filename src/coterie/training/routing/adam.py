"""Adam (1412.6980) on NumPy arrays, for models that need no PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FIRST, SECOND, EPSILON = 0.9, 0.999, 1e-8


class Adam:
    """Changes `parameters` in place. As PyTorch's `Adam`, weight decay is added to the gradients, not to the steps."""

    def __init__(
        self, parameters: Sequence[NDArray[np.float32]], learning_rate: float, weight_decay: float = 0.0
    ) -> None:
        self._parameters = parameters
        self._learning_rate = learning_rate
        self._weight_decay = weight_decay
        self._means = [np.zeros_like(array) for array in parameters]
        self._squares = [np.zeros_like(array) for array in parameters]
        self._steps = 0

    def step(self, gradients: Sequence[NDArray[np.float32]]) -> None:
        """Afterwards each parameter has gone one step against its gradient."""
        self._steps += 1
        rate = self._learning_rate / (1.0 - FIRST**self._steps)
        spread = 1.0 / np.sqrt(1.0 - SECOND**self._steps)
        for n, bare in enumerate(gradients):
            at, mean, square = self._parameters[n], self._means[n], self._squares[n]
            gradient = bare + np.float32(self._weight_decay) * at
            mean += np.float32(1.0 - FIRST) * (gradient - mean)
            square += np.float32(1.0 - SECOND) * (gradient * gradient - square)
            at -= np.float32(rate) * mean / (np.sqrt(square) * np.float32(spread) + np.float32(EPSILON))
