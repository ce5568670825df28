"""A local member as configured."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass

from coterie import weights
from coterie.errors import ConfigError
from coterie.members.llama_cpp import adapter
from coterie.members.llama_cpp.adapter import Adapter
from coterie.members.llama_cpp.engine import LlamaEngine, LlamaEngineSpec
from coterie.members.llama_cpp.model import LlamaCppModel
from coterie.members.llama_cpp.prompt import Chat, Examples, Form
from coterie.members.llama_cpp.template import ChatTemplate
from coterie.members.prompting import FewShot, Prompting, Shot
from coterie.protocols import House
from coterie.types import BallotMode, Capability, Card, Price, Sampling

FREE = Price(0.0, 0.0)
"""What runs here is billed by nobody."""


@dataclass(frozen=True)
class LlamaCppMember:
    """A GGUF model that llama.cpp runs in this process. Members on one file share its weights.

    A LoRA adapter is added as the model computes, so members on one file with and without adapters share the
    weights too; each adapter (and scale) has an engine with KV caches of its own.
    """

    name: str
    model: str
    """A pulled model of the catalogue, or the path of a .gguf file."""
    adapter: str = ""
    """A LoRA adapter to put on the model: a .gguf file, a folder with an adapter.gguf, or ``coterie/NAME``."""
    adapter_scale: float = 1.0
    """How much of the adapter: 0 leaves the model as it is."""
    prompting: Prompting | None = None
    """``None``: through the file's own chat template, and with examples where it has none."""
    system: str = ""
    """Put first where the request brings no system message of its own."""
    shots: tuple[Shot, ...] | None = None
    """Examples for `few_shot`; a default set where left out."""
    max_tokens: int = 128
    """Where the request sets none."""
    temperature: float = 0.0
    """Where the request sets none."""
    context_tokens: int = 2048
    """Prompt and answer together, for each call."""
    slots: int = 1
    """Answers written at once."""
    ballot: BallotMode | None = None
    """How it reviews; by likelihood where left out and available, else with a text."""
    price: Price | None = FREE
    """USD per million tokens."""
    timeout_s: float = 120.0
    """Longest one call may take."""
    max_concurrency: int | None = None
    """Calls at once; as many as there are slots where left out."""
    retries: int = 0

    def __post_init__(self) -> None:
        for field, least in (("context_tokens", 16), ("slots", 1), ("max_tokens", 1)):
            value = getattr(self, field)
            if value < least:
                raise ConfigError(f"{field} of {self.name!r} is {value!r}; it must be at least {least}")
        if not math.isfinite(self.adapter_scale):
            raise ConfigError(f"adapter_scale of {self.name!r} is {self.adapter_scale!r}; it must be a finite number")
        if self.prompting not in (None, "chat", "few_shot"):
            raise ConfigError(f"prompting of {self.name!r} is {self.prompting!r}; it may be 'chat' or 'few_shot'")

    async def open(self, house: House) -> LlamaCppModel:
        """The member on its engine. Raises `ModelFilesError`, `MissingExtra` or `ConfigError`."""
        path = await asyncio.to_thread(weights.path, self.model)
        lora = Adapter(str(adapter.find(self.adapter)), self.adapter_scale) if self.adapter else None
        engine = await house.once(LlamaEngineSpec(str(path), self.context_tokens, self.slots, lora))
        defaults = Sampling(temperature=self.temperature, max_tokens=self.max_tokens)
        card = self._card(token_level=not engine.why_no_likelihood)
        return LlamaCppModel(card, engine, self._form(engine), defaults)

    def _form(self, engine: LlamaEngine) -> Form:
        words = engine.vocabulary
        if self.prompting == "few_shot" or (self.prompting is None and words.template is None):
            return Examples(FewShot(self.shots), self.system)
        if words.template is None:
            raise ConfigError(
                f"{self.name!r} is to be prompted by 'chat', and {self.model!r} has no chat template: "
                "set prompting to 'few_shot'"
            )
        template = ChatTemplate(words.template, words.bos, words.eos)
        template.check()
        return Chat(template, self.system)

    @property
    def card(self) -> Card:
        """What it can do where the engine's token-level functions work; the open member's card says whether they do."""
        return self._card(token_level=True)

    @property
    def _weights(self) -> str:
        """What computes: members with different adapters are different models."""
        if not self.adapter:
            return self.model
        return f"{self.model} + {'' if self.adapter_scale == 1 else f'{self.adapter_scale} * '}{self.adapter}"

    def _card(self, *, token_level: bool) -> Card:
        abilities = {Capability.LOGPROBS, Capability.SCHEMA, Capability.REVIEW}
        ballot = BallotMode.TEXT
        if token_level:
            abilities |= {Capability.LIKELIHOOD, Capability.TOKENS}
            ballot = BallotMode.LIKELIHOOD
        return Card(
            self.name,
            self._weights,
            self.price,
            self.context_tokens,
            frozenset(abilities),
            self.ballot or ballot,
            self.timeout_s,
            self.slots if self.max_concurrency is None else self.max_concurrency,
        )
