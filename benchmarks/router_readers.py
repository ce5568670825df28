"""What routers cost that read the question themselves: FORC, Hybrid LLM and RouteLLM's BERT, on the processor.

Networks have the shape of MiniLM (6 layers of 384) and random weights. The limit is the network alone, over as many
rows of as many tokens.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from coterie import shipped
from coterie.quiet import quiet
from coterie.routers.bert import LABELS, BertRouter
from coterie.routers.classifier import TextClassifier
from coterie.routers.forc import ForcRouter
from coterie.routers.forecast import Queries
from coterie.routers.hybrid import HybridRouter
from router_learners import MEMBERS
from router_times import Plan, Row
from turns import Side, in_turns

PROSE = Path(__file__).parent.parent / "docs" / "training.md"
"""Where words are drawn from."""
PROMPTS = 50
PAIR = ("small", "large")


def measure(plan: Plan) -> Iterator[Row]:
    """One decision of each, for prompts that differ."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # before PyTorch looks
    tokenizer = _tokenizer()
    texts = prompts(tokenizer, plan.prompt_tokens)
    networks = {
        labels: TextClassifier(_network(tokenizer, labels), tokenizer, 512) for labels in (1, LABELS, len(MEMBERS))
    }
    shared, each = ForcRouter(MEMBERS, networks[1], "shared"), ForcRouter(MEMBERS, networks[len(MEMBERS)], "each")
    bert = BertRouter(PAIR, "large", networks[LABELS])
    hybrid = HybridRouter(PAIR, "large", networks[1])
    yield _row(plan, texts, f"forc, shared, {len(MEMBERS)} members", shared, len(MEMBERS))
    yield _row(plan, texts, f"forc, each, {len(MEMBERS)} members", each)
    yield _row(plan, texts, "hybrid, 2 members", hybrid)
    yield _row(plan, texts, "bert, 2 members", bert)


def prompts(tokenizer: Any, tokens: int) -> list[str]:
    """Texts of so many tokens."""
    rng = random.Random(1)
    words = [word for word in PROSE.read_text(encoding="utf-8").split() if word.strip(",.;:").isalpha()]
    long = [" ".join(rng.choices(words, k=tokens)) for _ in range(PROMPTS)]
    ends = [tokenizer(text, return_offsets_mapping=True)["offset_mapping"][tokens - 2][1] for text in long]
    return [text[:end] for text, end in zip(long, ends, strict=True)]


def _row(plan: Plan, texts: list[str], name: str, router: Any, rows: int = 1) -> Row:
    import torch

    network = router.classifier
    width = len(network.reader.rows(texts[:1])[0])
    ids = torch.randint(10, 1_000, (rows, width))

    def bare(_: int) -> None:
        with torch.inference_mode():
            network.model(input_ids=ids, attention_mask=torch.ones_like(ids))

    def plainly(n: int) -> None:
        with torch.inference_mode():
            network.model(**network.tokenizer(texts[n % len(texts)], return_tensors="pt")).logits.softmax(dim=1)

    sides: dict[str, Callable[[int], object]] = {
        "router": lambda n: router.forecast(Queries((texts[n % len(texts)],))),
        f"limit: the network alone, {rows} x {width} tokens": bare,
    }
    if rows == 1:
        sides["peer: tokenizer and model of transformers"] = plainly
    calls = max(2, plan.slow // (2 if rows > 1 else 1))
    took = in_turns([Side(side, call, calls) for side, call in sides.items()], plan.blocks)
    return Row("decision", name, took.pop("router"), reads="texts", beside=took)


def _tokenizer() -> Any:
    from transformers import PreTrainedTokenizerFast

    part = shipped.folder("coterie/pair-ranker-minilm")
    assert part is not None
    fast: Any = PreTrainedTokenizerFast
    special = {f"{name}_token": f"[{name.upper()}]" for name in ("unk", "cls", "sep", "pad")}
    return fast(tokenizer_file=str(part / "tokenizer.json"), model_max_length=512, **special)


def _network(tokenizer: Any, labels: int) -> Any:
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    shape: Any = BertConfig
    config = shape(
        vocab_size=len(tokenizer),
        hidden_size=384,
        intermediate_size=1536,
        num_hidden_layers=6,
        num_attention_heads=12,
        num_labels=labels,
    )
    torch.manual_seed(1)
    network: Any = BertForSequenceClassification
    with quiet():
        return network(config).eval()
