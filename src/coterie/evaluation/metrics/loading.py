"""The networks behind metrics: loaded complete, or not at all, and fed in batches of texts of one length."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from coterie.errors import ConfigError, MissingExtra, MissingWeights
from coterie.quiet import quiet
from coterie.types import Json

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger("coterie")

Row = TypeVar("Row")
Found = TypeVar("Found")

Precision = Literal["float32", "bfloat16", "float16"]

BUDGET_TOKENS = {"cpu": 2_048, "gpu": 8_192}
"""In a batch, padding included. Each may cost its logits: 200 kB for a vocabulary of 50,000."""

AT_ONCE = 400_000
"""Characters of texts whose states are held together: some hundred megabytes."""

IGNORED = -100
"""A target that is padding, or that nobody asked about."""


@dataclass(frozen=True)
class Weights:
    """A metric's network, and how it is run."""

    model: str
    """A folder or a hub name."""
    device: str = "auto"
    """`auto` takes a GPU where there is one."""
    precision: Precision = "float32"
    """Float32 on a GPU too: the last digits of a score are compared."""
    budget_tokens: int | None = None
    """Tokens in a batch, padding included; by the device where left out."""
    cache_folder: str | None = None

    def load(
        self,
        family: str,
        *,
        spare: tuple[str, ...] = (),
        config: Mapping[str, Json] | None = None,
        tokenizer: Mapping[str, Json] | None = None,
    ) -> Network:
        """The network, as transformers' class `family` builds it, and its tokenizer.

        `config` and `tokenizer` replace settings of theirs; parameters whose names start with one of `spare`
        may be missing. Raises `MissingWeights` where nothing is found under the name, `ConfigError` where what is
        found cannot be loaded or lacks weights, which would be random otherwise, and `MissingExtra`.
        """
        place = self.place()
        import torch
        import transformers

        library: Any = transformers
        try:
            where = {"pretrained_model_name_or_path": self.model, "cache_dir": self.cache_folder}
            settings = library.AutoConfig.from_pretrained(**where, **(config or {}))
            reader = library.AutoTokenizer.from_pretrained(**where, **(tokenizer or {}))
            with quiet():
                network, found = getattr(library, family).from_pretrained(
                    **where, config=settings, dtype=getattr(torch, self.precision), output_loading_info=True
                )
        except Exception as error:  # transformers raises many kinds, none of which it promises
            kind = MissingWeights if isinstance(error, OSError) else ConfigError
            raise kind(f"{self.model!r} cannot be loaded as a metric's model: {error}") from error
        absent = sorted(name for name in found["missing_keys"] if not name.startswith(spare))
        if absent:
            raise ConfigError(f"the weights in {self.model!r} lack {absent[:5]!r} and {len(absent)} in all")
        return Network(network.to(place.device).eval(), reader, place.device, place.budget_tokens)

    def place(self) -> Place:
        """Where the network runs. Raises `MissingExtra` without PyTorch or transformers."""
        try:
            import torch
            import transformers  # noqa: F401
        except ImportError as error:
            raise MissingExtra(f"a metric by {self.model!r}", "torch", "transformers") from error
        device = ("cuda" if torch.cuda.is_available() else "cpu") if self.device == "auto" else self.device.lower()
        budget = self.budget_tokens or BUDGET_TOKENS["gpu" if torch.device(device).type == "cuda" else "cpu"]
        return Place(device, budget)


@dataclass(frozen=True)
class Place:
    """A device that was chosen, and how many tokens go there at once, padding included."""

    device: str
    budget_tokens: int


@dataclass(frozen=True)
class Network:
    """A loaded network."""

    model: Any
    tokenizer: Any
    device: str
    budget_tokens: int

    @property
    def max_tokens(self) -> int | None:
        """How long a text may be, as far as tokenizer and configuration say; ``None`` where neither does."""
        limits = (self.tokenizer.model_max_length, getattr(self.model.config, "max_position_embeddings", None))
        known = [int(limit) for limit in limits if limit is not None and 0 < limit < 10**9]
        return min(known, default=None)

    def padded(self, rows: Sequence[Sequence[int]], fill: int | None = None) -> tuple[Tensor, Tensor]:
        """Ids [rows, width], padded behind with `fill` or the tokenizer's padding, and their attention mask."""
        return padded(rows, (self.tokenizer.pad_token_id or 0) if fill is None else fill, self.device)


def padded(rows: Sequence[Sequence[int]], fill: int, device: str) -> tuple[Tensor, Tensor]:
    """Ids [rows, width], padded behind with `fill`, and their attention mask, both on the device."""
    import torch

    width = max(map(len, rows))
    ids = torch.tensor([[*row, *[fill] * (width - len(row))] for row in rows])
    lengths = torch.tensor([len(row) for row in rows])
    attended = (torch.arange(width) < lengths[:, None]).long()
    return ids.to(device), attended.to(device)


class Reader:
    """Turns texts into ids, no more of them than a limit; says when something was cut, and how often."""

    def __init__(self, tokenizer: Any, limit: int | None, metric: str) -> None:
        self.cut = 0
        self._tokenizer = tokenizer
        self._limit = limit
        self._metric = metric

    def read(self, *texts: str) -> Mapping[str, list[int]]:
        """What the tokenizer makes of one text, or of two read together, its special tokens included."""
        whole: Mapping[str, list[int]] = self._tokenizer(*texts, return_token_type_ids=True, verbose=False)
        if self._fits(whole["input_ids"]):
            return whole
        if len(texts) > 1:
            texts = tuple(map(self._beginning, texts))
        part: Mapping[str, list[int]] = self._tokenizer(
            *texts, return_token_type_ids=True, truncation=True, max_length=self._limit
        )
        return part

    def ids(self, text: str) -> list[int]:
        """The ids of `text`, the special tokens included."""
        return self.read(text)["input_ids"]

    def plain(self, text: str, keep: Literal["start", "end"]) -> list[int]:
        """The ids of `text` alone, without special tokens; of what is too long, the end that is to be kept."""
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        if self._fits(ids):
            return ids
        return ids[: self._limit] if keep == "start" else ids[-(self._limit or 0) :]

    def _beginning(self, text: str) -> str:
        """`text` as far as twice the limit: a tokenizer cuts a pair in a time that grows with both lengths' product."""
        places = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        ends: list[tuple[int, int]] = places["offset_mapping"][: 2 * (self._limit or 0)]
        return text[: ends[-1][1]] if ends else text

    def _fits(self, ids: Sequence[int]) -> bool:
        """True where nothing is to be cut; counts and says that something is."""
        if self._limit is None or len(ids) <= self._limit:
            return True
        if not self.cut:
            log.warning("%s reads %d tokens of a text, and some have more", self._metric, self._limit)
        self.cut += 1
        return False


def read_once(
    wanted: Sequence[Sequence[str]], read: Callable[[Sequence[str]], Sequence[Found]]
) -> Iterator[tuple[Sequence[int], Mapping[str, Found]]]:
    """Every place of `wanted`, a block of them at a time, with what `read` makes of the texts that these want.

    Each distinct text is read once, and let go after the last block that wants it. Places that want the same last
    text stand together, so that little is held: what answers to one question have to do with each other, and the
    few texts that are answers everywhere.
    """
    blocks = _blocks(wanted)
    last = {text: n for n, block in enumerate(blocks) for place in block for text in wanted[place]}
    held: dict[str, Found] = {}
    for n, block in enumerate(blocks):
        texts = dict.fromkeys(text for place in block for text in wanted[place])
        fresh = [text for text in texts if text not in held]
        held.update(zip(fresh, read(fresh), strict=True))
        yield block, held
        for text in texts:
            if last[text] == n:
                del held[text]


def _blocks(wanted: Sequence[Sequence[str]]) -> list[list[int]]:
    """The places in blocks, each with `AT_ONCE` characters of texts that no block before it wants."""
    first: dict[str, int] = {}
    order = sorted(range(len(wanted)), key=lambda place: first.setdefault(wanted[place][-1], place))
    blocks: list[list[int]] = []
    seen: set[str] = set()
    room = 0
    for place in order:
        fresh = set(wanted[place]) - seen
        length = sum(map(len, fresh))
        if not blocks or length > room:
            blocks.append([])
            room = AT_ONCE
        room -= length
        seen |= fresh
        blocks[-1].append(place)
    return blocks


def in_batches(
    rows: Sequence[Row],
    width: Callable[[Row], int],
    budget_tokens: int,
    forward: Callable[[Sequence[Row]], Sequence[Found]],
) -> list[Found]:
    """What `forward` finds for each row, in their order; longest first, in batches of nearly one width."""
    places = sorted(range(len(rows)), key=lambda place: -width(rows[place]))
    found: dict[int, Found] = {}
    while len(found) < len(rows):
        widest = max(1, width(rows[places[len(found)]]))
        batch = places[len(found) : len(found) + max(1, budget_tokens // widest)]
        found.update(zip(batch, forward([rows[place] for place in batch]), strict=True))
    return [found[place] for place in range(len(rows))]


def mean_log_probs(logits: Tensor, targets: Tensor) -> list[float]:
    """The mean log-probability (nats) of each row's targets that are not `IGNORED`.

    Of logits [rows, width, vocabulary] and targets [rows, width], the token that each position predicts.
    """
    from torch.nn import functional

    surprise = functional.cross_entropy(
        logits.float().flatten(0, 1), targets.flatten(), reduction="none", ignore_index=IGNORED
    )
    counted = (targets != IGNORED).sum(1)
    means: list[float] = (-surprise.view_as(targets).double().sum(1) / counted).tolist()
    return means
