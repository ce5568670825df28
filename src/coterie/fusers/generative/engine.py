"""A fusing model, loaded: an encoder-decoder as LLM-Blender's, or a decoder-only one, with an adapter or without.

Batches are padded on the side that the model's kind wants. Greedy decoding of one prompt streams.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from coterie.errors import MissingExtra
from coterie.fusers.generative.ending import Showing, before, until_said, until_set
from coterie.fusers.generative.loading import Source, adapted, model_of, tokenizer_of
from coterie.fusers.generative.prompt import Budgets, FuserPrompt, Reader, Told, WantedStyle, build
from coterie.fusers.generative.reading import end_of, reader, style_of


@dataclass(frozen=True)
class Decoding:
    """How the fused text is written."""

    max_new_tokens: int = 128
    beams: int = 4
    """1 is greedy, which streams; the published fusers were used with 4."""
    stops: tuple[str, ...] = ()
    """The text ends before the first of these."""


STANDARD = Budgets()
PUBLISHED = Decoding()


class FuserEngine:
    """An open fuser. One batch at a time; thread-safe."""

    def __init__(
        self,
        model: str,
        *,
        adapter: str = "",
        device: str = "auto",
        precision: str = "auto",
        cache_folder: str | None = None,
    ):
        try:
            import torch
        except ImportError as error:
            raise MissingExtra("the generative fuser", "torch", "torch") from error
        self.device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device.lower()
        on_gpu = torch.device(self.device).type == "cuda"
        dtype = getattr(torch, ("bfloat16" if on_gpu else "float32") if precision == "auto" else precision)
        source = Source(model, cache_folder)
        self.tokenizer: Any = tokenizer_of(source)
        loaded = model_of(source, dtype)
        self.encodes = bool(loaded.config.is_encoder_decoder)
        if adapter:
            # In half precision the small changes of an adapter would be lost in the rounding of the weights.
            loaded = adapted(loaded, Source(adapter, cache_folder), merged=dtype is torch.float32)
        self._model = loaded.to(self.device)
        style = style_of(self.tokenizer, encodes=self.encodes)
        self._ends = _ends(loaded.generation_config.eos_token_id, end_of(self.tokenizer, style))
        self._lock = threading.Lock()

    # ---- reading ------------------------------------------------------------------------------

    def prompt(
        self,
        instruction: str,
        input_: str,
        candidates: Sequence[str],
        budgets: Budgets = STANDARD,
        style: WantedStyle = "auto",
    ) -> FuserPrompt:
        """The prompt that this model's tokenizer makes of the texts, best candidate first.

        Raises `ConfigError` where the style is `chat` and the model has no template.
        """
        return build(self.reader(style), Told(instruction, input_, tuple(candidates)), budgets)

    def reader(self, style: WantedStyle = "auto") -> Reader:
        """Who reads prompts of `style`, which is by the model's kind where left out."""
        wanted = style_of(self.tokenizer, encodes=self.encodes) if style == "auto" else style
        return self._chat if wanted == "chat" else self._pieces

    @cached_property
    def _chat(self) -> Reader:
        return reader(self.tokenizer, "chat")

    @cached_property
    def _pieces(self) -> Reader:
        return reader(self.tokenizer, "genfuser")

    # ---- writing ------------------------------------------------------------------------------

    def write(
        self,
        prompts: Sequence[FuserPrompt],
        decoding: Decoding = PUBLISHED,
        *,
        stop: threading.Event | None = None,
        **settings: Any,
    ) -> list[str]:
        """The fused text of each prompt, before the first string that stops it, as far as it was written when `stop`
        was set.

        `settings` go to transformers' ``generate`` and win over `decoding`.
        """
        import torch

        ids, attended = self._padded([prompt.ids for prompt in prompts])
        wanted = {
            "max_new_tokens": decoding.max_new_tokens,
            "num_beams": decoding.beams,
            "do_sample": False,
            "eos_token_id": self._ends,
            "pad_token_id": self.tokenizer.pad_token_id,
            **settings,
        }
        begins = 0 if self.encodes else ids.shape[1]
        if enders := self._enders(decoding, stop, begins):
            wanted["stopping_criteria"] = enders
        with self._lock, torch.inference_mode():
            written = self._model.generate(input_ids=ids, attention_mask=attended, **wanted)
        return [before(self._read(row), decoding.stops) for row in written[:, begins:].tolist()]

    def stream(
        self,
        prompt: FuserPrompt,
        decoding: Decoding,
        emit: Callable[[str], None],
        *,
        stop: threading.Event | None = None,
    ) -> str:
        """The fused text, its pieces passed to `emit` while it is written. Greedy decoding only."""
        showing = Showing(self._read, decoding.stops, emit)
        return self.write([prompt], replace(decoding, beams=1), stop=stop, streamer=showing)[0]

    def _read(self, ids: Sequence[int]) -> str:
        """The text of what was written."""
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return text

    def _enders(self, decoding: Decoding, stop: threading.Event | None, begins: int) -> list[Callable[..., Any]]:
        """What may end a text, whose ids begin at `begins`, before the model ends it."""
        told = [until_set(stop)] if stop is not None else []
        said = [until_said(self._read, decoding.stops, begins)] if any(decoding.stops) else []
        return [*told, *said]

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


def _ends(*said: int | list[int] | None) -> list[int]:
    """Every token that ends a text: those that the model's own settings name, and the one it was taught."""
    each = (ids if isinstance(ids, list) else [ids] for ids in said)
    return sorted({id_ for ids in each for id_ in ids if id_ is not None})
