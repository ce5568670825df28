"""How many (answer, gold answer) pairs metrics score in a processor second, beside the package bert-score.

    python benchmarks/metrics.py [--quick] [--threads N]

Drawn texts in the shape of conversational question answering: members answer each question in a sentence or in a word
that is an answer everywhere, and each answer is held against all of the question's gold answers. BERTScore's encoder
has the shape of MiniLM (6 layers of 384, all of which are run) with random weights, and reads with the vocabulary of
the pair ranker that comes with the package. The limit is the encoder alone over each distinct text once, sorted by
length, in batches of as many tokens. bert-score is measured where it is installed. Sides take turns; a report is
printed. Time is the processor's, of all threads, so that other programs' load matters little.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from coterie import shipped
from coterie.evaluation.metrics import OverGolds, build
from coterie.evaluation.metrics.bertscore import BertScore
from coterie.evaluation.metrics.loading import BUDGET_TOKENS, in_batches
from coterie.quiet import quiet
from machine import setting

PROSE = Path(__file__).parent.parent / "docs" / "training.md"
"""Where words are drawn from."""

LAYERS = 6
EVERYWHERE = ("yes", "no", "unknown", "two", "the first one")
PEER = "bert-score"


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    questions: int = 500
    members: int = 8
    golds: tuple[int, ...] = (1, 2, 3, 4)
    short: float = 0.2
    """Share of answers that are the same everywhere."""
    rounds: int = 3

    def drawn(self) -> tuple[list[str], list[list[str]]]:
        """Answers, and the gold answers of each, member by member."""
        rng = random.Random(1)
        words = [word for word in PROSE.read_text(encoding="utf-8").split() if word.strip(",.;:").isalpha()]

        def text(mean: float) -> str:
            if rng.random() < self.short:
                return rng.choice(EVERYWHERE)
            return " ".join(rng.choice(words) for _ in range(max(1, round(rng.lognormvariate(0, 0.6) * mean))))

        golds = [[text(4) for _ in range(rng.choice(self.golds))] for _ in range(self.questions)]
        return [text(20) for _ in range(self.members * self.questions)], golds * self.members


QUICK = Plan(questions=20, rounds=1)


def encoder(place: Path) -> Path:
    """A network of MiniLM's shape, with random weights."""
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    part = shipped.folder("coterie/pair-ranker-minilm")
    assert part is not None
    fast: Any = PreTrainedTokenizerFast
    tokenizer = fast(
        tokenizer_file=str(part / "tokenizer.json"),
        model_max_length=512,
        **{f"{name}_token": f"[{name.upper()}]" for name in ("unk", "cls", "sep", "pad")},
    )
    tokenizer.save_pretrained(place)
    shape: Any = BertConfig
    config = shape(
        vocab_size=len(tokenizer),
        hidden_size=384,
        intermediate_size=1536,
        num_hidden_layers=LAYERS,
        num_attention_heads=12,
    )
    torch.manual_seed(1)
    network: Any = BertModel(config)
    with quiet():
        network.save_pretrained(place)
    return place


Side = Callable[[Sequence[str], Sequence[Sequence[str]]], object]


def limit(folder: Path) -> Side:
    """The encoder over each distinct text once."""
    network = BertScore(str(folder), device="cpu", num_layers=LAYERS).load("AutoModel", spare=("pooler.",))

    def forward(rows: Sequence[list[int]]) -> list[None]:
        ids, attended = network.padded(rows)
        with torch.inference_mode():
            network.model(input_ids=ids, attention_mask=attended)
        return [None] * len(rows)

    def side(answers: Sequence[str], golds: Sequence[Sequence[str]]) -> object:
        texts = list(dict.fromkeys([*answers, *(gold for of in golds for gold in of)]))
        rows = [network.tokenizer(text)["input_ids"] for text in texts]
        return in_batches(rows, len, BUDGET_TOKENS["cpu"], forward)

    return side


def ours(name: str, **settings: Any) -> Side:
    def side(answers: Sequence[str], golds: Sequence[Sequence[str]]) -> object:
        with OverGolds(build(name, **settings)).open() as metric:
            return metric.score(answers, golds)

    return side


def peer(folder: Path) -> Side:
    """bert-score, whose best of several references is our `max`."""
    scorer: Any = importlib.import_module("bert_score").BERTScorer(
        model_type=str(folder), num_layers=LAYERS, device="cpu", batch_size=64
    )

    def side(answers: Sequence[str], golds: Sequence[Sequence[str]]) -> object:
        return scorer.score(list(answers), [list(of) for of in golds], batch_size=64)

    return side


def sides(folder: Path) -> dict[str, Side]:
    found = {
        "limit: the encoder alone": limit(folder),
        "bertscore": ours("bertscore", model=str(folder), device="cpu", num_layers=LAYERS),
        **{name: ours(name) for name in ("rougeL", "bleu", "f1", "exact_match")},
    }
    if importlib.util.find_spec("bert_score"):
        found[PEER] = peer(folder)
    return found


def report(
    plan: Plan, taken: dict[str, list[float]], answers: Sequence[str], golds: Sequence[Sequence[str]]
) -> Iterator[str]:
    pairs = sum(map(len, golds))
    texts = len({*answers, *(gold for of in golds for gold in of)})
    yield from setting(("coterie", "torch", "transformers", *([PEER] if PEER in taken else [])))
    yield f"- {torch.get_num_threads()} threads; {pairs:,} pairs of {texts:,} distinct texts; {plan.rounds} rounds"
    yield ""
    yield "| side | n | pairs per processor second: p50 | min | max | seconds: p50 | to the limit |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    least = statistics.median(taken["limit: the encoder alone"])
    for name, times in taken.items():
        middle = statistics.median(times)
        rates = [pairs / seconds for seconds in (middle, max(times), min(times))]
        numbers = " | ".join(f"{rate:,.0f}" for rate in rates)
        share = f"{least / middle:.2f}" if name in ("bertscore", PEER) else ""
        yield f"| {name} | {len(times)} | {numbers} | {middle:.2f} | {share} |"


def main() -> None:
    options = argparse.ArgumentParser(description="Pairs per processor second of metrics.")
    options.add_argument("--quick", action="store_true")
    options.add_argument("--threads", type=int)
    given = options.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    plan = QUICK if given.quick else Plan()
    answers, golds = plan.drawn()
    # bert-score takes a network for a T5 where its path holds "t5", as a drawn path may.
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        all_sides = sides(encoder(Path("encoder")))
        taken: dict[str, list[float]] = {name: [] for name in all_sides}
        for _ in range(plan.rounds):
            for name, side in all_sides.items():
                began = time.process_time()
                side(answers, golds)
                taken[name].append(time.process_time() - began)
    print("\n".join(report(plan, taken, answers, golds)))


if __name__ == "__main__":
    main()
