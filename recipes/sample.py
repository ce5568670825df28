"""Several answers of one chat model to each question of a file, in MixInstruct's shape.

    python recipes/sample.py questions.jsonl --model FOLDER_OR_GGUF --out sampled.jsonl [--answers 6]

Runs wherever transformers runs; meant for a GPU, where thousands of questions take a minute. A record's
``system`` goes to the model as its system message, its ``turns``, where there are any, in the place of its
``input``; everything in a record stays in it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

Record = dict[str, Any]


def loaded(model: Path, device: str) -> tuple[Any, Any]:
    """Tokenizer and model, padding in front."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place, file = (model.parent, {"gguf_file": model.name}) if model.suffix == ".gguf" else (model, {})
    tokenizer: Any = AutoTokenizer.from_pretrained(place, padding_side="left", **file)
    half = torch.bfloat16 if device == "cuda" else torch.float32
    network: Any = AutoModelForCausalLM.from_pretrained(place, dtype=half, **file)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer, network.to(device).eval()


def prompt(tokenizer: Any, record: Record) -> str:
    system = [{"role": "system", "content": record["system"]}] if record.get("system") else []
    said = record.get("turns") or [record.get("instruction", "") + record["input"]]
    turns = [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(said)]
    text: str = tokenizer.apply_chat_template([*system, *turns], tokenize=False, add_generation_prompt=True)
    return text


def sampled(
    records: Sequence[Record], model: Path, answers: int, most_tokens: int, temperature: float, rows: int
) -> Iterator[Record]:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer, network = loaded(model, device)
    torch.manual_seed(0)
    ordered = sorted(records, key=lambda r: len(r["input"]))
    began = time.monotonic()
    for start in range(0, len(ordered), rows):
        batch = ordered[start : start + rows]
        given = tokenizer(
            [prompt(tokenizer, r) for r in batch], return_tensors="pt", padding=True, add_special_tokens=False
        )
        with torch.inference_mode():
            written = network.generate(
                **given.to(device), do_sample=True, temperature=temperature, top_p=1.0, max_new_tokens=most_tokens,
                num_return_sequences=answers, pad_token_id=tokenizer.pad_token_id,
            )  # fmt: skip
        texts = tokenizer.batch_decode(written[:, given["input_ids"].shape[1] :], skip_special_tokens=True)
        for n, record in enumerate(batch):
            own = texts[n * answers : (n + 1) * answers]
            yield {**record, "candidates": [{"text": text.strip(), "model": model.stem} for text in own]}
        print(f"{start + len(batch)} of {len(ordered)}, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("questions", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--answers", type=int, default=6)
    parser.add_argument("--max-new-tokens", type=int, default=128)
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--rows", type=int, default=256, help="questions a batch")
    given = parser.parse_args()
    with given.questions.open(encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    made = sampled(records, given.model, given.answers, given.max_new_tokens, given.temperature, given.rows)
    with given.out.open("w", encoding="utf-8") as out:
        for record in made:
            out.write(json.dumps(record, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
