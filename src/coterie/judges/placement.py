"""Where a judge's model runs: the device, the precision, and how much goes there at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from coterie.errors import MissingExtra
from coterie.judges.pair_ranker.weights import Precision

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Placement:
    """A device that was chosen, and what suits it."""

    device: str
    dtype: torch.dtype
    budget_tokens: int
    """Tokens in a batch, padding included, where nobody says otherwise."""
    pad_to: int


def placed(device: str, precision: Precision, what: str) -> Placement:
    """`auto` resolved: a GPU where there is one, float16 on a GPU and float32 elsewhere.

    Raises `MissingExtra` naming `what` needs PyTorch.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtra(what, "torch", "torch") from error
    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device.lower()
    on_gpu = torch.device(chosen).type == "cuda"
    name = ("float16" if on_gpu else "float32") if precision == "auto" else precision
    return Placement(chosen, getattr(torch, name), 32_768 if on_gpu else 2_048, 8 if on_gpu else 1)
