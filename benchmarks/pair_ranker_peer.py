"""The reference's pair ranker as a process of its own: llm-blender 0.0.2 in the environment that it was made for.

    PEER/bin/python pair_ranker_peer.py RANKER TEXTS THREADS

RANKER is a checkpoint's folder, beside its base model; TEXTS a JSON file of sources and candidates. A line with a
number on standard input asks for the ranking of so many requests from the first on; the answer is a line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

BATCH = 8
"""The reference's own."""


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # the reference prints
    ranker, texts, threads = Path(sys.argv[1]).absolute(), Path(sys.argv[2]), int(sys.argv[3])
    asked = json.loads(texts.read_text(encoding="utf-8"))
    os.chdir(ranker.parent)  # the checkpoint names its base model, which lies here
    import torch

    torch.set_num_threads(threads)
    blender = _blender(ranker)
    seen = _watched(blender)
    for line in sys.stdin:
        many = int(line)
        seen.update(real=0, padded=0, logits=[])
        began, began_cpu = time.perf_counter(), time.process_time()
        blender.rank(asked["sources"][:many], asked["candidates"][:many], batch_size=BATCH, disable_tqdm=True)
        took = {"wall_s": time.perf_counter() - began, "cpu_s": time.process_time() - began_cpu}
        print(json.dumps({**took, **seen}), file=answers, flush=True)


def _blender(ranker: Path) -> Any:
    import llm_blender  # type: ignore[import-not-found, unused-ignore]

    blender = llm_blender.Blender()
    blender.loadranker(ranker.name, device="cpu", cache_dir=str(ranker.parent / "cache"))
    return blender


def _watched(blender: Any) -> dict[str, Any]:
    """Counts of tokens and the logits of all pairs, kept while the reference runs."""
    seen: dict[str, Any] = {"real": 0, "padded": 0, "logits": []}
    encoder, full = blender.ranker.pretrained_model.forward, blender.ranker._full_predict

    def forward(*args: Any, **settings: Any) -> Any:
        attended = settings["attention_mask"]
        real = int(attended.sum())
        seen["real"] += real
        seen["padded"] += attended.numel() - real
        return encoder(*args, **settings)

    def predict(**batch: Any) -> Any:
        outputs = full(**batch)
        seen["logits"] += outputs["logits"].tolist()
        return outputs

    blender.ranker.pretrained_model.forward = forward
    blender.ranker._full_predict = predict
    return seen


if __name__ == "__main__":
    main()
