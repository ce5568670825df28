"""A fusing model, loaded: an encoder-decoder as LLM-Blender's, or a decoder-only one.

Batches are padded on the side that the model's kind wants. Greedy decoding of one prompt streams.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from coterie.errors import ConfigError, MissingExtra
from coterie.fusers.generative.prompt import Budgets, FuserPrompt, build


@dataclass(frozen=True)
class Decoding:
    """How the fused text is written."""

    max_new_tokens: int = 128
    beams: int = 4
    """1 is greedy, which streams; the published fusers were used with 4."""


STANDARD = Budgets()
PUBLISHED = Decoding()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' progress bars, which would write over whatever is on the screen."""
    from transformers.utils import logging as transformers_logging

    logging: Any = transformers_logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


class FuserEngine:
    """An open fuser. One batch at a time; thread-safe."""

    def __init__(self, model: str, *, device: str = "auto", precision: str = "auto", cache_folder: str | None = None):
        try:
            import torch
            from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer
        except ImportError as error:
            raise MissingExtra("the generative fuser", "torch", "transformers") from error
        self.device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device.lower()
        on_gpu = torch.device(self.device).type == "cuda"
        dtype = getattr(torch, ("bfloat16" if on_gpu else "float32") if precision == "auto" else precision)
        try:
            config = AutoConfig.from_pretrained(model, cache_dir=cache_folder)
            self.tokenizer: Any = AutoTokenizer.from_pretrained(model, cache_dir=cache_folder)
            self.encodes = bool(config.is_encoder_decoder)
            family: Any = AutoModelForSeq2SeqLM if self.encodes else AutoModelForCausalLM
            with _quiet():
                loaded = family.from_pretrained(model, cache_dir=cache_folder, dtype=dtype)
            self._model = loaded.to(self.device).eval()
        except (OSError, ValueError) as error:
            raise ConfigError(f"{model!r} cannot be loaded as a fuser: {error}") from error
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self._lock = threading.Lock()

    def prompt(
        self, instruction: str, input_: str, candidates: Sequence[str], budgets: Budgets = STANDARD
    ) -> FuserPrompt:
        """The prompt that this model's tokenizer makes of the texts."""
        return build(self.tokenizer, instruction, input_, candidates, budgets)

    def write(self, prompts: Sequence[FuserPrompt], decoding: Decoding = PUBLISHED, **settings: Any) -> list[str]:
        """The fused text of each prompt. `settings` go to transformers' ``generate`` and win over `decoding`."""
        import torch

        ids, attended = self._padded([prompt.ids for prompt in prompts])
        wanted = {
            "max_new_tokens": decoding.max_new_tokens,
            "num_beams": decoding.beams,
            "do_sample": False,
            **settings,
        }
        with self._lock, torch.inference_mode():
            written = self._model.generate(input_ids=ids, attention_mask=attended, **wanted)
        fresh = written if self.encodes else written[:, ids.shape[1] :]
        texts: list[str] = self.tokenizer.batch_decode(fresh, skip_special_tokens=True)
        return texts

    def stream(self, prompt: FuserPrompt, decoding: Decoding, emit: Callable[[str], None]) -> str:
        """The fused text, its pieces passed to `emit` while it is written. Greedy decoding only."""
        from transformers import TextStreamer

        class Passing(TextStreamer):
            def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
                del stream_end
                if text:
                    emit(text)

        streamer: Any = Passing(self.tokenizer, skip_prompt=not self.encodes, skip_special_tokens=True)
        return self.write([prompt], Decoding(decoding.max_new_tokens, 1), streamer=streamer)[0]

    def _padded(self, rows: Sequence[Sequence[int]]) -> tuple[Any, Any]:
        """Ids and attention mask: padded behind for an encoder, in front where writing goes on from the last token."""
        import torch

        width = max(map(len, rows))
        ids = torch.full((len(rows), width), int(self.tokenizer.pad_token_id))
        attended = torch.zeros((len(rows), width), dtype=torch.long)
        for n, row in enumerate(rows):
            place = slice(0, len(row)) if self.encodes else slice(width - len(row), width)
            ids[n, place] = torch.tensor(row)
            attended[n, place] = 1
        return ids.to(self.device), attended.to(self.device)
