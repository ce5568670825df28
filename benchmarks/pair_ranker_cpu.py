"""How many tokens a second the pair ranker reads on a CPU, beside the package llm-blender 0.0.2.

    python benchmarks/pair_ranker_cpu.py [--quick] [--write] [--peer-venv FOLDER]

All sides read every ordered pair of 11 candidates of 16 requests with one checkpoint: a DeBERTa v3 with
random weights in the published layout, of a size at which the reference reads about 1,000 tokens a second.
The peer runs in an environment of its own, made on first use, once as it is installed and once with
PYTORCH_JIT=0: torch.jit then compiles no new variant of the encoder for every new shape, which costs most
of its time and is no part of its design. Ratios are to the better of both. Sides take turns. The limit is
the encoder's products of matrices alone.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import permutations
from pathlib import Path
from typing import Any

import bare_products
import random_ranker
from coterie.judges.pair_ranker import PairRankerWeights, checkpoint, export
from coterie.judges.pair_ranker.agreement import Agreement
from coterie.judges.pair_ranker.encoding import Pair
from machine import cores, setting
from random_ranker import Size, Texts

HERE = Path(__file__).parent
REPORT = HERE.parent / "docs" / "benchmarks" / "pair_ranker_cpu.md"
PACKAGES = ("coterie", "onnxruntime", "torch", "transformers")
PEER = (
    "llm-blender==0.0.2",
    "transformers==4.57.6",
    "torch==2.13.0",
    "numpy==2.4.6",
    "tokenizers==0.22.2",
)
"""llm-blender pins nothing. Newer transformers than 4 break it; the others are pinned so that runs compare."""

CANDIDATES = 11
INSTALLED, BETTER = "llm-blender, as installed", "llm-blender, PYTORCH_JIT=0"
TORCH, FLOAT, INT8 = "coterie, PyTorch", "coterie, ONNX float32", "coterie, ONNX int8"
LIMIT = "limit: bare products"
TARGET_RATIO, TARGET_PADDING = 5.0, 0.05
FLOAT_TOLERANCE = 1e-5
"""Logits of float32 sides may differ by so much: they add up in different orders."""


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    size: Size = field(default_factory=Size)
    requests: int = 16
    mean_words: float = 14
    """Of a text; a word has about 2 tokens."""
    rounds: int = 3
    installed_requests: int = 8
    """The reference as installed is given fewer requests, one of its batches, and one round: it is slow."""
    blocks: int = 40
    """Blocks of tokens in the limit's rounds."""


QUICK = Plan(size=Size(layers=2, width=64, heads=4), requests=2, rounds=1, installed_requests=1, blocks=2)


@dataclass
class Sample:
    """What one side took."""

    rates: list[float] = field(default_factory=list)
    """Real tokens a second, round by round."""
    cpu_rates: list[float] = field(default_factory=list)
    """Real tokens for each second of processor time."""
    padding: float = 0.0
    logits: list[list[list[float]]] = field(default_factory=list)
    """By request, left and right; of the last round."""
    real: int = 0
    """Tokens read in a round."""

    def add(self, told: dict[str, Any]) -> None:
        """One round, as a side tells it."""
        self.real, self.logits = told["real"], told["logits"]
        self.rates.append(told["real"] / told["wall_s"])
        self.cpu_rates.append(told["real"] / told["cpu_s"])
        self.padding = told["padded"] / (told["real"] + told["padded"])


Side = Callable[[int], dict[str, Any]]
"""Reads so many requests, from the first on, and tells what it took."""


# ---- the peer ---------------------------------------------------------------------------------


def peer_python(venv: Path) -> Path:
    """The interpreter of the peer's environment, which is made where it is not complete."""
    python = venv / ("Scripts" if os.name == "nt" else "bin") / "python"
    done = venv / "complete.json"
    if done.is_file() and json.loads(done.read_text(encoding="utf-8")) == list(PEER):
        return python
    progress(f"making the peer's environment in {venv}")
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "-q", *PEER], check=True, stdout=sys.stderr)
    done.write_text(json.dumps(PEER), encoding="utf-8")
    return python


@contextmanager
def peer(python: Path, ranker: Path, texts: Path, threads: int, jit: str | None) -> Iterator[Side]:
    """The reference in a process of its own."""
    command = [str(python), str(HERE / "pair_ranker_peer.py"), str(ranker), str(texts), str(threads)]
    own = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(threads), **({"PYTORCH_JIT": jit} if jit else {})}
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTORCH_JIT", "PYTHONPATH")}
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints, env={**kept, **own}, text=True
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        asking, telling = process.stdin, process.stdout

        def rank(requests: int) -> dict[str, Any]:
            print(requests, file=asking, flush=True)
            line = telling.readline()
            if not line:
                complaints.seek(0)
                raise RuntimeError(f"the peer ended: {complaints.read().decode(errors='replace')[-2000:]}")
            told: dict[str, Any] = json.loads(line)
            return told

        yield rank
        asking.close()


# ---- our sides --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ours:
    """The ranker as a committee opens it; opened anew for each round, so that it knows nothing of what it read."""

    weights: PairRankerWeights
    texts: Texts

    def __call__(self, requests: int) -> dict[str, Any]:
        asked = list(zip(self.texts.sources, self.texts.candidates, strict=True))[:requests]
        pairs = [Pair(source, *both) for source, texts in asked for both in permutations(texts, 2)]
        engine = self.weights.load()
        engine.score([Pair("warm", "up", "first")])
        before = (engine.spent.tokens, engine.spent.padded)
        began, began_cpu = time.perf_counter(), time.process_time()
        scores = iter(engine.score(pairs))
        took = {"wall_s": time.perf_counter() - began, "cpu_s": time.process_time() - began_cpu}
        engine.close()
        real, padded = engine.spent.tokens - before[0], engine.spent.padded - before[1]
        return {**took, "real": real, "padded": padded, "logits": [_table(scores, len(texts)) for _, texts in asked]}


def _table(scores: Iterator[tuple[float, ...]], candidates: int) -> list[list[float]]:
    """The next request's logits, left and right; 0 on the diagonal."""
    table = [[0.0] * candidates for _ in range(candidates)]
    for i, j in permutations(range(candidates), 2):
        left, right = next(scores)
        table[i][j] = left - right
    return table


def our_sides(ranker: Path, texts: Texts, threads: int) -> dict[str, Side]:
    """PyTorch and both exports, with the settings that they have by default."""
    import torch

    torch.set_num_threads(threads)
    found = checkpoint.find(str(ranker))
    sides: dict[str, Side] = {TORCH: Ours(PairRankerWeights(str(ranker), device="cpu"), texts)}
    for name, int8 in ((FLOAT, False), (INT8, True)):
        folder = ranker.parent / ("int8" if int8 else "float32")
        export.write(found, folder, export.network(found, int8=int8))
        sides[name] = Ours(PairRankerWeights(str(folder), threads=threads), texts)
    return sides


# ---- the limit --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Products:
    """An encoder's products of matrices and nothing else."""

    run: bare_products.Run
    blocks: int

    def __call__(self, _: int) -> dict[str, Any]:
        self.run()
        began, began_cpu = time.perf_counter(), time.process_time()
        for _block in range(self.blocks):
            self.run()
        took = {"wall_s": time.perf_counter() - began, "cpu_s": time.process_time() - began_cpu}
        return {**took, "real": self.blocks * bare_products.BLOCK_TOKENS, "padded": 0, "logits": []}


def limits(plan: Plan, threads: int) -> dict[str, Side]:
    """With PyTorch's product and with ONNX Runtime's."""
    runs = {
        f"{LIMIT}, torch.mm": bare_products.with_torch(plan.size),
        f"{LIMIT}, ONNX Runtime": bare_products.with_onnx(plan.size, threads),
    }
    return {name: Products(run, plan.blocks) for name, run in runs.items()}


# ---- measuring --------------------------------------------------------------------------------


def measure(plan: Plan, venv: Path, threads: int) -> dict[str, Sample]:
    """Every side's sample. Sides take turns, and every round begins with another one."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        python = peer_python(venv)
        ranker = random_ranker.write(folder, plan.size)
        texts = random_ranker.drawn(plan.requests, CANDIDATES, plan.mean_words)
        file = folder / "texts.json"
        file.write_text(json.dumps(asdict(texts)), encoding="utf-8")
        installed, better = (stack.enter_context(peer(python, ranker, file, threads, jit)) for jit in (None, "0"))
        sides = {BETTER: better, **our_sides(ranker, texts, threads), **limits(plan, threads)}
        samples = {name: Sample() for name in (INSTALLED, *sides)}
        for n in range(plan.rounds):
            names = list(sides)
            for name in names[n % len(names) :] + names[: n % len(names)]:
                progress(f"round {n + 1} of {plan.rounds}: {name}")
                samples[name].add(sides[name](plan.requests))
        progress(f"once, {plan.installed_requests} requests: {INSTALLED}")
        samples[INSTALLED].add(installed(plan.installed_requests))
    return samples


def agreement(sample: Sample, wanted: Sample) -> Agreement:
    """Of two sides' logits, over the requests that both read."""
    both = min(len(sample.logits), len(wanted.logits))
    return Agreement.of(_flat(wanted.logits[:both]), _flat(sample.logits[:both]))


def _flat(tables: list[list[list[float]]]) -> list[float]:
    """Logits without the diagonals."""
    return [value for table in tables for i, row in enumerate(table) for j, value in enumerate(row) if i != j]


def faults(samples: dict[str, Sample]) -> Iterator[str]:
    """Where sides did not read the same, or do not say the same."""
    wanted = samples[BETTER]
    for name in (TORCH, FLOAT, INT8):
        if samples[name].real != wanted.real:
            yield f"{name} read {samples[name].real} tokens, and the reference {wanted.real}"
    for name in (INSTALLED, TORCH, FLOAT):
        if (distance := agreement(samples[name], wanted).furthest) > FLOAT_TOLERANCE:
            yield f"the logits of {name} lie {distance:.2g} from the reference's"


# ---- report -----------------------------------------------------------------------------------


def progress(text: str) -> None:
    """Show what is being measured."""
    print(text, file=sys.stderr, flush=True)


def table(samples: dict[str, Sample]) -> Iterator[str]:
    yield "| side | n | real tokens/s: p50 | min | max | per processor second | padding | to the better reference |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|"
    better = max(statistics.median(samples[name].rates) for name in (INSTALLED, BETTER))
    for name, sample in samples.items():
        middle = statistics.median(sample.rates)
        padding = "" if name.startswith(LIMIT) else f"{sample.padding:.1%}"
        yield (
            f"| {name} | {len(sample.rates)} | {middle:,.0f} | {min(sample.rates):,.0f} | {max(sample.rates):,.0f} "
            f"| {statistics.median(sample.cpu_rates):,.0f} | {padding} | {middle / better:.2f} |"
        )


def agreement_rows(samples: dict[str, Sample]) -> Iterator[str]:
    wanted = samples[BETTER]
    yield "| side | furthest from the reference's logits | typically | same sign |"
    yield "|---|---:|---:|---:|"
    for name in (INSTALLED, TORCH, FLOAT, INT8):
        agreed = agreement(samples[name], wanted)
        yield f"| {name} | {agreed.furthest:.2g} | {agreed.typical:.2g} | {agreed.same_sign / agreed.pairs:.2%} |"
    yield ""
    yield f"The reference's own logits spread by {statistics.pstdev(_flat(wanted.logits)):.2g} (standard deviation)."


def verdicts(samples: dict[str, Sample]) -> Iterator[str]:
    better = max(statistics.median(samples[name].rates) for name in (INSTALLED, BETTER))
    for name in (TORCH, FLOAT, INT8):
        ratio, padding = statistics.median(samples[name].rates) / better, samples[name].padding
        held = ratio >= TARGET_RATIO and padding <= TARGET_PADDING
        yield f"- {name}: {ratio:.1f} times the better reference, {padding:.1%} padding: {'held' if held else 'missed'}"


ABOUT = """
Every ordered pair of {candidates} candidates of {requests} requests: {pairs} rows of {mean:.0f} tokens in the mean, of
log-normal lengths. All sides read them with one checkpoint in the published layout: DeBERTa v3, {layers} layers of
{width}, {heads} heads, random weights, a vocabulary of 2,004. All have {threads} threads, and take turns in one run.

The peer is llm-blender 0.0.2 on transformers 4.57.6 and torch 2.13.0, in an environment of its own, in batches of 8:
as installed (once, on {installed} requests), and with PYTORCH_JIT=0, because by default torch.jit compiles a new
variant of the encoder for every new shape, which costs most of its time and is no part of its design. Ratios are to
the better of both. A real token is one that is no padding.

The limit is the encoder's products of matrices alone, over blocks of {block} tokens, without attention and norms, in
float32. Our own sides compute fewer of them than that, because the last layer goes on from the marked places only.
"""

CAVEAT = """
Random weights are a hard case for eight bits: noise grows from layer to layer, and the logits are small differences of
nearly equal scores. `coterie export pair-ranker --int8` says the same of a trained ranker.
"""


def wrapped(text: str) -> Iterator[str]:
    """Paragraphs in lines of even length, each with an empty line behind."""
    for paragraph in text.strip().split("\n\n"):
        yield from textwrap.wrap(paragraph, 118)
        yield ""


def report(samples: dict[str, Sample], plan: Plan, threads: int, command: str) -> str:
    """The whole page."""
    size = plan.size
    pairs = plan.requests * CANDIDATES * (CANDIDATES - 1)
    about = ABOUT.format(
        candidates=CANDIDATES, requests=plan.requests, pairs=pairs, mean=samples[BETTER].real / pairs,
        layers=size.layers, width=size.width, heads=size.heads, threads=threads,
        installed=plan.installed_requests, block=bare_products.BLOCK_TOKENS,
    )  # fmt: skip
    lines = [
        "# The pair ranker on a CPU",
        "",
        *wrapped(about),
        *setting(PACKAGES),
        f"- Command: `{command}`",
        "",
        *table(samples),
        "",
        f"Aim: at least {TARGET_RATIO:.0f} times the better reference, and at most {TARGET_PADDING:.0%} padding.",
        "",
        *verdicts(samples),
        "",
        "## Do they say the same?",
        "",
        *agreement_rows(samples),
        "",
        *wrapped(CAVEAT),
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="a smoke run with a tiny ranker")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks/pair_ranker_cpu.md")
    parser.add_argument("--rounds", type=int, help="rounds of every side but the reference as installed")
    parser.add_argument("--requests", type=int, help="requests that every side reads")
    parser.add_argument("--installed-requests", type=int, help="requests for the reference as installed, read once")
    parser.add_argument("--threads", type=int, default=cores(), help="of every side; default: all cores")
    parser.add_argument(
        "--peer-venv",
        type=Path,
        default=Path(tempfile.gettempdir()) / "coterie-peer-llm-blender",
        help="where the peer's environment is, or is made",
    )
    args = parser.parse_args()
    if args.quick and args.write:
        parser.error("--quick shows that the benchmark runs; its numbers are not worth writing down")
    plan = QUICK if args.quick else Plan()
    given = {name: getattr(args, name) for name in ("rounds", "requests", "installed_requests")}
    plan = replace(plan, **{name: value for name, value in given.items() if value})
    samples = measure(plan, args.peer_venv.absolute(), args.threads)
    page = report(samples, plan, args.threads, " ".join(["python", "benchmarks/pair_ranker_cpu.py", *sys.argv[1:]]))
    print(page)
    if found := list(faults(samples)):
        sys.exit("\n".join(found))
    if args.write:
        REPORT.parent.mkdir(parents=True, exist_ok=True)
        REPORT.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
