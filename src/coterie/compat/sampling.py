"""N sampled answers of a transformers model to each prompt: where best-of-N begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from coterie.compat.arrays import cut
from coterie.errors import ConfigError

Mode = Literal["top_k_sampling", "top_p_sampling"]

MODES: Mapping[Mode | None, Mapping[str, Any]] = {
    "top_k_sampling": {"do_sample": True, "top_k": 50, "temperature": 0.7},
    "top_p_sampling": {"do_sample": True, "top_p": 1.0, "temperature": 0.7},
    None: {},
}
"""What llm_blender calls its ways of sampling."""


def sampled(
    model: Any, tokenizer: Any, prompts: Sequence[str], n: int, mode: Mode | None, batch_size: int, **settings: Any
) -> list[list[str]]:
    """`n` answers to each prompt, in their order. `settings` go to ``generate`` and win over `mode`."""
    import torch

    if mode not in MODES:
        raise ConfigError(f"sampling_mode must be one of {', '.join(map(repr, MODES))}, not {mode!r}")
    decodes = not model.config.is_encoder_decoder
    tokenizer.padding_side = "left" if decodes else "right"
    answers: list[list[str]] = []
    for batch in cut(prompts, batch_size):
        read = tokenizer(batch, return_tensors="pt", padding=True).to(model.device)
        with torch.inference_mode():
            written = model.generate(**read, num_return_sequences=n, **{**MODES[mode], **settings})
        fresh = written[:, read["input_ids"].shape[1] :] if decodes else written
        answers += cut(tokenizer.batch_decode(fresh, skip_special_tokens=True), n)
    return answers
