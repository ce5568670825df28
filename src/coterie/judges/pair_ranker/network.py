"""The pair ranker's network: an encoder, and one small head that reads three of its positions.

2306.02561, section 3.2: the states at the marking pieces of source and candidate, joined, give the
candidate's score; the difference of both candidates' scores is the logit of left over right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from coterie.errors import ConfigError
from coterie.judges.pair_ranker.checkpoint import Checkpoint

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from transformers import PretrainedConfig

EMBEDDINGS = ("embeddings.word_embeddings.weight", "shared.weight", "encoder.embed_tokens.weight")


class PairNetwork(nn.Module):
    """Scores for the left and the right candidate of each row, by task."""

    def __init__(self, config: PretrainedConfig, n_tasks: int = 1, drop_out: float = 0.05) -> None:
        super().__init__()
        from transformers import AutoModel

        build: Any = AutoModel.from_config
        self.pretrained_model: Any = build(config)
        self.pair_encoded = bool(getattr(config, "is_encoder_decoder", False))
        """True for an encoder-decoder: the source goes to the encoder, the candidates to the decoder."""
        width: int = getattr(config, "hidden_size", None) or config.d_model
        self.head_layer = nn.Sequential(
            nn.Dropout(drop_out),
            nn.Linear(2 * width, width),
            nn.Tanh(),
            nn.Dropout(drop_out),
            nn.Linear(width, n_tasks),
        )

    def forward(self, ids: Tensor, attended: Tensor, marks: Tensor) -> Tensor:
        """Scores, [rows, 2, tasks], of ids and attention mask [rows, length] and marks [rows, 3]."""
        states = self._states(ids, attended, marks)
        source = states[:, :1].expand(-1, 2, -1)
        read = torch.cat((source, states[:, 1:]), dim=-1)
        with torch.autocast(read.device.type, enabled=False):  # the head is tiny, and rounding in it is not
            scores: Tensor = self.head_layer(read.to(next(self.head_layer.parameters()).dtype))
        return scores

    def _states(self, ids: Tensor, attended: Tensor, marks: Tensor) -> Tensor:
        """The last states at the three marks, [rows, 3, width]: nothing else leaves the encoder."""
        rows = torch.arange(len(ids), device=ids.device)[:, None]
        if not self.pair_encoded:
            output = self.pretrained_model(input_ids=ids, attention_mask=attended)
            states: Tensor = output.last_hidden_state[rows, marks]
            return states
        return self._encoder_decoder_states(ids, attended, marks, rows)

    def _encoder_decoder_states(self, ids: Tensor, attended: Tensor, marks: Tensor, rows: Tensor) -> Tensor:
        # The left candidate's segment begins one before its mark; what precedes it is the source.
        begins = (marks[:, 1:2] - 1).expand(-1, ids.shape[1])
        places = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
        of_source = attended * (places < begins)
        longest = int((attended.sum(1) - begins[:, 0]).max())
        shifted = (begins[:, :1] + torch.arange(longest, device=ids.device)).clamp(max=ids.shape[1] - 1)
        inside = (begins[:, :1] + torch.arange(longest, device=ids.device)) < attended.sum(1, keepdim=True)
        output = self.pretrained_model(
            input_ids=ids,
            attention_mask=of_source,
            decoder_input_ids=ids.gather(1, shifted),
            decoder_attention_mask=inside.to(attended.dtype),
        )
        source = output.encoder_last_hidden_state[rows, marks[:, :1]]
        pair = output.last_hidden_state[rows, marks[:, 1:] - begins[:, :1]]
        return torch.cat((source, pair), dim=1)


class TorchForward:
    """A network as an engine's `Forward`: rows go to the device, and their scores are fetched when asked for."""

    def __init__(self, network: nn.Module, device: str) -> None:
        self._network = network
        self._device = device

    def __call__(
        self, ids: NDArray[np.int64], lengths: NDArray[np.int64], marks: NDArray[np.int64]
    ) -> Callable[[], list[list[float]]]:
        attended = torch.arange(ids.shape[1]) < torch.from_numpy(lengths)[:, None]
        made = (torch.from_numpy(ids), attended.long(), torch.from_numpy(marks))
        with torch.inference_mode():
            there = [tensor.to(self._device, non_blocking=True) for tensor in made]
            scores: Tensor = self._network(*there).double().mean(-1)
        return scores.tolist


def load(checkpoint: Checkpoint, *, vocabulary: int, device: str, dtype: torch.dtype) -> PairNetwork:
    """The network with the checkpoint's weights, ready to infer. Raises `ConfigError` where weights are missing.

    Weights the network does not have are ignored: older checkpoints carry heads that were never used.
    """
    state = checkpoint.weights()
    config = checkpoint.encoder_config()
    config.vocab_size = _rows(state) or vocabulary
    network = PairNetwork(config, checkpoint.n_tasks, checkpoint.drop_out)
    missing, _ = network.load_state_dict(state, strict=False)
    absent = [name for name in missing if not name.endswith("position_ids")]
    if absent:
        raise ConfigError(f"the weights in {str(checkpoint.folder)!r} lack {absent[:5]!r} and {len(absent)} in all")
    network.pretrained_model.to(device=device, dtype=dtype)
    # The head is tiny, and rounding in it is most of the noise of a logit.
    exact = dtype is torch.float32 and torch.device(device).type != "mps"
    network.head_layer.to(device=device, dtype=torch.float64 if exact else torch.float32)
    return network.eval()


def _rows(state: Mapping[str, Tensor]) -> int | None:
    """How many tokens the checkpoint's own embedding knows."""
    for name in EMBEDDINGS:
        weight = state.get(f"pretrained_model.{name}")
        if weight is not None:
            return len(weight)
    return None
