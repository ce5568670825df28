"""What a text's vector costs: each encoder for one text and for many, beside sentence-transformers on the same weights.

    python benchmarks/encoders.py [--quick] [--write]

Every side is opened as a committee opens it, and is asked for texts that it has not seen. Sides take turns. The
endpoint is a mock on loopback that answers at once, so that what remains is what asking costs.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import os
import random
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from coterie import weights
from coterie.encoders.endpoint import EndpointEncoder
from coterie.encoders.minilm import MiniLM
from coterie.encoders.sentence_transformers import SentenceTransformersEncoder
from coterie.encoders.static import Static
from coterie.protocols import Encoder, OpenEncoder
from figures import paragraphs, progress, spread
from machine import setting
from mock_embeddings import DIMENSIONS, mock_embeddings

REPORT = Path(__file__).parent.parent / "docs" / "benchmarks" / "encoders.md"
PACKAGES = ("coterie", "numpy", "onnxruntime", "tokenizers", "torch", "transformers", "sentence-transformers")
MODEL = "all-minilm-l6-v2"
PEER = "peer: sentence-transformers"
FRAME_TOKENS = 2
"""Around every text of MiniLM."""


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    lengths: tuple[int, ...] = (20, 100, 250)
    """Tokens of a text, as MiniLM counts them."""
    singles: int = 40
    """Texts of each length, one at a time, on each side."""
    texts: int = 128
    """In a batch; their lengths are log-normal."""
    mean_tokens: int = 80
    batches: int = 3


QUICK = Plan(lengths=(20,), singles=3, texts=16, batches=1)


@dataclass
class Sample:
    """What one side took."""

    opened_s: float = 0.0
    singles_ms: dict[int, list[float]] = field(default_factory=dict)
    """By the length of the text."""
    again_ms: list[float] = field(default_factory=list)
    """Of a text that was asked for before."""
    rates: list[float] = field(default_factory=list)
    """Texts a second, batch by batch."""
    vectors: NDArray[np.float32] | None = None
    """Of the first batch."""


class Texts:
    """Texts of so many tokens, no two alike: words that are one token each."""

    def __init__(self, tokenizer: Path) -> None:
        vocabulary = Tokenizer.from_file(str(tokenizer)).get_vocab()
        self._words = sorted(word for word in vocabulary if word.isascii() and word.isalpha() and len(word) > 2)
        self._rng = random.Random(1)

    def of(self, tokens: int) -> str:
        """A text that was not there before."""
        return " ".join(self._rng.choices(self._words, k=max(1, tokens - FRAME_TOKENS)))

    def batch(self, plan: Plan) -> list[str]:
        """Texts of many lengths, the mean of which the plan says."""
        middle = np.log(plan.mean_tokens) - 0.5 * 0.6**2
        return [self.of(int(min(256, self._rng.lognormvariate(middle, 0.6)))) for _ in range(plan.texts)]


def sides(base_url: str) -> Mapping[str, Encoder]:
    """All kinds, with the settings that they have by default."""
    found: dict[str, Encoder] = {
        "static": Static(),
        "minilm, onnx": MiniLM(backend="onnx"),
        "minilm, onnx int8": MiniLM(precision="int8"),
        "minilm, numpy": MiniLM(backend="numpy"),
        "minilm, torch": MiniLM(backend="torch"),
        "endpoint, a mock": EndpointEncoder(base_url, "mock", dimensions=DIMENSIONS),
    }
    if importlib.util.find_spec("sentence_transformers"):
        folder = str(weights.pull(MODEL))
        found[PEER] = SentenceTransformersEncoder(folder, max_tokens=256, device="cpu")
    return found


async def measure(plan: Plan, encoders: Mapping[str, Encoder]) -> dict[str, Sample]:
    """Every side's sample."""
    texts = Texts(weights.pull(MODEL) / "tokenizer.json")
    samples = {name: Sample() for name in encoders}
    async with AsyncExitStack() as stack:
        opened = {}
        for name, encoder in encoders.items():
            progress(f"opening {name}")
            began = time.perf_counter()
            opened[name] = await stack.enter_async_context(encoder.open())
            samples[name].opened_s = time.perf_counter() - began
            await opened[name].encode([texts.of(tokens) for tokens in plan.lengths])
        await one_by_one(plan, texts, opened, samples)
        for n in range(plan.batches):
            batch = texts.batch(plan)
            for name in turn(opened, n):
                progress(f"batch {n + 1} of {plan.batches}: {name}")
                began = time.perf_counter()
                rows = await opened[name].encode(batch)
                samples[name].rates.append(len(batch) / (time.perf_counter() - began))
                samples[name].vectors = rows if n == 0 else samples[name].vectors
    return samples


async def one_by_one(
    plan: Plan, texts: Texts, opened: Mapping[str, OpenEncoder], samples: Mapping[str, Sample]
) -> None:
    """Add single texts to each side's sample, turn by turn."""
    for tokens in plan.lengths:
        progress(f"{plan.singles} texts of {tokens} tokens on each side")
        for n in range(plan.singles):
            text = texts.of(tokens)
            for name in turn(opened, n):
                sample = samples[name]
                sample.singles_ms.setdefault(tokens, []).append(await took_ms(opened[name], text))
                sample.again_ms.append(await took_ms(opened[name], text))


async def took_ms(encoder: OpenEncoder, text: str) -> float:
    began = time.perf_counter()
    await encoder.encode([text])
    return 1000 * (time.perf_counter() - began)


def turn(opened: Mapping[str, OpenEncoder], n: int) -> list[str]:
    """The sides, another one first each time."""
    names = list(opened)
    return names[n % len(names) :] + names[: n % len(names)]


# ---- report -----------------------------------------------------------------------------------

ABOUT = """
`minilm` is all-MiniLM-L6-v2, by each of its backends; the peer is the package sentence-transformers on the
same files. Texts are words drawn at random, each of them one token of MiniLM; lengths count its tokens. The endpoint is
a mock on loopback, in a process of its own, that answers at once: what stands there is what asking costs, and a real
one adds its own time and the network's. "Again" is a text that was asked for before: it comes from the cache that
stands in front of every encoder.
"""


def single_rows(samples: Mapping[str, Sample], plan: Plan) -> Iterator[str]:
    yield f"| encoder | {' | '.join(f'{n} tokens: p50 | p90 | IQR' for n in plan.lengths)} | again: p50 | opening |"
    yield f"|---|{'---:|' * (3 * len(plan.lengths) + 2)}"
    for name, sample in samples.items():
        cells = [f"{value:.3g} ms" for tokens in plan.lengths for value in spread(sample.singles_ms[tokens])]
        again = statistics.median(sample.again_ms)
        yield f"| {name} | {' | '.join(cells)} | {again:.3f} ms | {sample.opened_s:.1f} s |"


def batch_rows(samples: Mapping[str, Sample]) -> Iterator[str]:
    yield "| encoder | n | texts/s: p50 | min | max |"
    yield "|---|---:|---:|---:|---:|"
    for name, sample in samples.items():
        low, high = min(sample.rates), max(sample.rates)
        yield f"| {name} | {len(sample.rates)} | {statistics.median(sample.rates):,.0f} | {low:,.0f} | {high:,.0f} |"


def agreement_rows(samples: Mapping[str, Sample]) -> Iterator[str]:
    wanted = samples[PEER].vectors
    yield "| encoder | cosine: mean | lowest |"
    yield "|---|---:|---:|"
    for name, sample in samples.items():
        if name.startswith("minilm") and sample.vectors is not None and wanted is not None:
            cosines = (sample.vectors.astype(np.float64) * wanted).sum(axis=1)
            yield f"| {name} | {cosines.mean():.6f} | {cosines.min():.6f} |"


def report(samples: Mapping[str, Sample], plan: Plan, load: float, command: str) -> str:
    """The whole page."""
    lines = [
        "# What a text's vector costs",
        "",
        *paragraphs(ABOUT),
        *setting(PACKAGES if PEER in samples else PACKAGES[:-1]),
        f"- Load average when it began: {load:.1f}" + (" (the machine was shared)" if load > 1 else ""),
        f"- Command: `{command}`",
        "",
        "## One text",
        "",
        f"{plan.singles} texts of each length, none seen before; sides take turns.",
        "",
        *single_rows(samples, plan),
        "",
        "## Many texts",
        "",
        f"{plan.texts} texts at once, their lengths log-normal, {plan.mean_tokens} tokens in the mean and 256 at most.",
        "",
        *batch_rows(samples),
        "",
    ]
    if PEER in samples:
        lines += ["## Do they say the same as sentence-transformers?", "", *agreement_rows(samples), ""]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="a smoke run of a few texts")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks/encoders.md")
    parser.add_argument("--singles", type=int, help="texts of each length on each side")
    args = parser.parse_args()
    if args.quick and args.write:
        parser.error("--quick shows that the benchmark runs; its numbers are not worth writing down")
    plan = QUICK if args.quick else Plan()
    plan = replace(plan, singles=args.singles) if args.singles else plan
    load = os.getloadavg()[0]
    with mock_embeddings() as base_url:
        samples = asyncio.run(measure(plan, sides(base_url)))
    progress("")
    page = report(samples, plan, load, " ".join(["python", "benchmarks/encoders.py", *sys.argv[1:]]))
    print(page)
    if args.write:
        REPORT.parent.mkdir(parents=True, exist_ok=True)
        REPORT.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
