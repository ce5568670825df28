"""A ranker's network in ONNX Runtime, on the CPU, as an engine's `Forward`: no PyTorch anywhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coterie.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

INPUTS = ("ids", "attended", "marks")
OUTPUT = "scores"
LONGEST = "longest_row"
"""Under this name a file says how many tokens a row may have."""
WEIGHTS = "weights"
"""Under this name a file says how its weights are kept."""

LEAST_TOKENS, TOKENS_A_THREAD, MOST_TOKENS = 512, 256, 2_048


def budget_tokens(threads: int | None) -> int:
    """Tokens in a batch that suit so many threads, or every core: few, so that its states stay in the cache."""
    return max(LEAST_TOKENS, min(MOST_TOKENS, TOKENS_A_THREAD * (threads or os.cpu_count() or 1)))


class OnnxForward:
    """An exported network, open. Its numbers do not depend on how many threads there are.

    Raises `MissingExtra` without ONNX Runtime, `ConfigError` for what is no exported ranker.
    """

    def __init__(self, model: Path | bytes, threads: int | None = None) -> None:
        """`threads` of the processor, or all of them."""
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingExtra("a ranker in model.onnx", "local", "onnxruntime") from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads or 0
        # Idle threads wait asleep: members of the committee run on the same cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        name = "an export" if isinstance(model, bytes) else repr(str(model))
        try:
            self._session = onnxruntime.InferenceSession(
                model if isinstance(model, bytes) else str(model), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime raises kinds of its own, which derive from nothing else
            raise ConfigError(f"{name} cannot be opened: {error}") from error
        inputs = tuple(each.name for each in self._session.get_inputs())
        outputs = tuple(each.name for each in self._session.get_outputs())
        if (inputs, outputs) != (INPUTS, (OUTPUT,)):
            raise ConfigError(
                f"{name} is no ranker's: it makes {outputs!r} of {inputs!r}, not ({OUTPUT!r},) of {INPUTS!r}"
            )

    @property
    def said(self) -> Mapping[str, str]:
        """What the file says of itself."""
        metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
        return metadata

    @property
    def longest(self) -> int | None:
        """How many tokens a row may have; ``None`` where the file does not say."""
        found = self.said.get(LONGEST)
        return int(found) if found else None

    @property
    def precision(self) -> str:
        """``float32`` or ``int8``, as the file says; ``unknown`` where it does not."""
        return self.said.get(WEIGHTS, "unknown")

    def __call__(
        self, ids: NDArray[np.int64], lengths: NDArray[np.int64], marks: NDArray[np.int64]
    ) -> Callable[[], Sequence[Sequence[float]]]:
        """What is returned computes the scores when it is called: there is no device that could begin before."""
        import numpy as np

        attended = (np.arange(ids.shape[1]) < lengths[:, None]).astype(np.int64)
        feeds = dict(zip(INPUTS, (ids, attended, marks), strict=True))

        def scores() -> Sequence[Sequence[float]]:
            found: Any = self._session.run([OUTPUT], feeds)[0]
            rows: Sequence[Sequence[float]] = found.tolist()
            return rows

        return scores
