"""A BERT in PyTorch, on any of its devices. Texts of one length are computed together, so nothing is padded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from coterie.encoders.bert import Checkpoint
from coterie.errors import ConfigError, MissingExtra

try:
    import torch
    from transformers import BertConfig, BertModel
except ImportError as error:
    raise MissingExtra("the encoder's backend 'torch'", "torch", error.name or "torch") from error

if TYPE_CHECKING:
    from numpy.typing import NDArray

BATCH_TOKENS = 8_192


class TorchForward:
    """A `Forward` on a device. Raises `ConfigError` for weights that do not fit, and a device that is not there."""

    def __init__(self, checkpoint: Checkpoint, device: str = "cpu") -> None:
        config: Any = BertConfig.from_dict({**checkpoint.config, "model_type": "bert"})
        network: Any = BertModel(config, add_pooling_layer=False)
        network.eval()
        own = {
            name: torch.from_numpy(np.array(checkpoint.tensors[name]))
            for name in network.state_dict()
            if checkpoint.tensors.place(name).kind != "I64"
        }
        try:
            network.load_state_dict(own)
            self._network = network.to(device)
        except (RuntimeError, AssertionError) as error:
            raise ConfigError(f"{str(checkpoint.folder)!r} cannot be opened on device={device!r}: {error}") from error
        self._device = device

    def __call__(self, rows: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
        found = np.empty((len(rows), self._network.config.hidden_size), dtype=np.float32)
        with torch.inference_mode():
            for places in _of_one_length(rows):
                ids = torch.from_numpy(np.stack([rows[n] for n in places])).to(self._device)
                found[places] = self._network(input_ids=ids).last_hidden_state.mean(dim=1).float().cpu().numpy()
        return found


def _of_one_length(rows: Sequence[NDArray[np.int64]]) -> Iterator[list[int]]:
    """The places of rows that may be computed together."""
    by_length: defaultdict[int, list[int]] = defaultdict(list)
    for n, row in enumerate(rows):
        by_length[len(row)].append(n)
    for length, places in by_length.items():
        most = max(1, BATCH_TOKENS // length)
        for start in range(0, len(places), most):
            yield places[start : start + most]
