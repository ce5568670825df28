"""Networks of the rankers that read one candidate at a time: an encoder, and the head that makes the kind.

LLM-Blender's baselines (2306.02561, section 5): a pointwise ranker, SimCLS (2106.01890), SummaReranker (2203.06569).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from coterie.errors import ConfigError
from coterie.judges.pair_ranker.checkpoint import Checkpoint
from coterie.judges.pair_ranker.network import EMBEDDINGS
from coterie.judges.placement import Placement
from coterie.judges.pointwise.heads import MixtureHead, UnitHead, pointwise_head
from coterie.judges.pointwise.weights import RankerKind

if TYPE_CHECKING:
    from transformers import PretrainedConfig


class RankerNetwork(nn.Module):
    """What a ranker makes of rows; trainable, and what is trained is what infers."""

    def __init__(self, config: PretrainedConfig, kind: RankerKind, n_tasks: int = 1, drop_out: float = 0.05) -> None:
        super().__init__()
        from transformers import AutoModel

        if getattr(config, "is_encoder_decoder", False):
            raise ConfigError(f"{config.model_type!r} is an encoder-decoder; a {kind} ranker needs an encoder")
        build: Any = AutoModel.from_config
        self.pretrained_model: Any = build(config)
        self.head_layer = _head(kind, int(config.hidden_size), n_tasks, drop_out)

    def forward(self, ids: Tensor, attended: Tensor, marks: Tensor) -> Tensor:
        """Of ids and attention mask [rows, length] and marks [rows, marks]: what the kind says of each row.

        pointwise: scores [rows, tasks], of two marks (source, candidate). summareranker: logits [rows, tasks],
        of one mark. simcls: unit vectors [rows, width], of one mark; a dot product of two is their cosine.
        """
        rows = torch.arange(len(ids), device=ids.device)[:, None]
        states = self.pretrained_model(input_ids=ids, attention_mask=attended).last_hidden_state[rows, marks]
        parameter = next(self.head_layer.parameters(), states)
        said: Tensor = self.head_layer(states.to(parameter.dtype))
        return said

    @property
    def auxiliary_loss(self) -> Tensor:
        """What training adds to its loss for the last forward: zero for every kind but summareranker."""
        if isinstance(self.head_layer, MixtureHead):
            return self.head_layer.auxiliary_loss
        return torch.zeros(())


def _head(kind: RankerKind, width: int, n_tasks: int, drop_out: float) -> nn.Module:
    match kind:
        case "pointwise":
            return pointwise_head(width, n_tasks, drop_out)
        case "simcls":
            return UnitHead()
        case "summareranker":
            return MixtureHead(width, n_tasks)


class Spoken(nn.Module):
    """A network whose numbers are all wanted, as `TorchForward` runs one: [rows, numbers, 1]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, ids: Tensor, attended: Tensor, marks: Tensor) -> Tensor:
        said: Tensor = self.network(ids, attended, marks)
        return said[..., None]


def load(checkpoint: Checkpoint, kind: RankerKind, *, vocabulary: int, place: Placement) -> RankerNetwork:
    """The network with the checkpoint's weights, ready to infer. Raises `ConfigError` where they do not fit."""
    state = checkpoint.weights()
    config = checkpoint.encoder_config()
    known = [len(state[f"pretrained_model.{name}"]) for name in EMBEDDINGS if f"pretrained_model.{name}" in state]
    config.vocab_size = known[0] if known else vocabulary
    network = RankerNetwork(config, kind, checkpoint.n_tasks, checkpoint.drop_out)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ConfigError(f"the weights in {str(checkpoint.folder)!r} are no {kind} ranker's: {error}") from error
    network.pretrained_model.to(device=place.device, dtype=place.dtype)
    # The head is tiny, and rounding in it is most of the noise of a score.
    exact = place.dtype is torch.float32 and torch.device(place.device).type != "mps"
    network.head_layer.to(device=place.device, dtype=torch.float64 if exact else torch.float32)
    return network.eval()
