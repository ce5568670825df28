"""The data that the shipped parts are trained on, out of sources whose licences let weights go under Apache-2.0.

    python recipes/shipped_data.py questions SOURCES --out questions.jsonl
    python recipes/sample.py questions.jsonl --model SmolLM2-135M-Instruct.gguf --out sampled.jsonl    (on a GPU)
    python recipes/shipped_data.py pairs SOURCES --sampled sampled.jsonl --out pairs.jsonl
    python recipes/shipped_data.py lessons SOURCES --sampled sampled.jsonl --out lessons.jsonl

SOURCES is a folder with the extracts named below, gzipped JSON Lines as their READMEs describe them. `questions`
writes questions with a reference answer; `pairs` what the pair ranker learns from; `lessons` what the fuser learns
from (MixInstruct's shape). Every record names its origin, and `LICENCES` each origin's licence.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

LICENCES: Mapping[str, str] = {
    "pandalm_human": "Apache-2.0 (WeOpenML/PandaLM)",
    "finegrained_rlhf_qa_dev": "Apache-2.0 (allenai/FineGrainedRLHF)",
    "llmbar": "MIT (princeton-nlp/LLMBar)",
    "mt_bench": "Apache-2.0 (lm-sys/FastChat, lm-sys/RouteLLM, muhan421/fastchat-eval, dreaming-panda/MTBench)",
    "gsm8k": "MIT (openai/grade-school-math)",
    "gsm8k_solutions": "MIT (openai/grade-school-math); Apache-2.0 (lm-sys/RouteLLM)",
    "routerarena": "Apache-2.0 (RouteWorks/RouterArena)",
    "trivia_qa": "Apache-2.0 (TriviaQA), MIT (ulab-uiuc/LLMRouter)",
    "convquestions": "CC BY 4.0 (endrikacupaj/Verbal-ConvQuestions)",
}

Record = dict[str, Any]

SHORT = "Answer the question in one short sentence."
"""What the committee's chat member is told; questions that want a fact are sampled under it."""

MARGIN = 2.0
"""Points on GPT-4's scale of ten by which one MT-Bench answer must beat another to make a pair."""


# ---- sources ----------------------------------------------------------------------------------


def records(sources: Path, name: str) -> Iterator[Record]:
    with gzip.open(sources / f"{name}.dev.jsonl.gz", "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def origin_of(source: str) -> str | None:
    """Our name for a source of preference pairs; none for those whose licence is unclear or forbids it."""
    if "llmbar" in source:
        return "llmbar"
    return source if source in LICENCES else None


def preferences(sources: Path) -> Iterator[Record]:
    for record in records(sources, "preference_pairs"):
        origin = origin_of(record["source"])
        if origin is not None:
            yield pair(record["prompt"], record["chosen"], record["rejected"], origin, record["label_type"])


def pair(prompt: Any, chosen: str, rejected: str, origin: str, label: str) -> Record:
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected, "source": origin, "label_type": label}


def mt_bench(sources: Path) -> Iterator[Record]:
    """Pairs of first answers that one judge run scored well apart."""
    for record in records(sources, "mt_bench_scored"):
        for a, b in combinations(record["candidates"], 2):
            if a["source"] != b["source"] or a["scores"][0] is None or b["scores"][0] is None:
                continue
            better, worse = (a, b) if a["scores"][0] > b["scores"][0] else (b, a)
            if better["scores"][0] - worse["scores"][0] >= MARGIN:
                yield pair(record["turns"][0], better["responses"][0], worse["responses"][0], "mt_bench", "gpt4_judge")


def solutions(sources: Path, name: str, origin: str, each: int = 2) -> Iterator[Record]:
    """Pairs of a right answer and a wrong one to the same question, `each` a question at most."""
    rng = random.Random(name)
    for record in records(sources, name):
        answers = [o for o in record["outcomes"].values() if o.get("response")]
        right = [o["response"] for o in answers if o["score"] == 1.0]
        wrong = [o["response"] for o in answers if o["score"] == 0.0]
        both = [(r, w) for r in right for w in wrong]
        for r, w in rng.sample(both, min(each, len(both))):
            yield pair(record["prompt"], tidy(r), tidy(w), origin, "objective_correctness")


def tidy(text: str) -> str:
    """GSM8K's solutions without the calculator's annotations."""
    return re.sub(r"<<[^>]*>>", "", text).strip()


# ---- questions to be answered by the committee's own model --------------------------------------


def questions(sources: Path) -> Iterator[Record]:
    """Questions with a reference answer and, where facts are asked for, what a right answer must hold."""
    seen: set[str] = set()
    for record in (*_instructions(sources), *_facts(sources)):
        key = " ".join(str(record["input"]).casefold().split())
        if key not in seen and 8 < len(key) < 1500 and record["output"].strip():
            seen.add(key)
            yield record


def _instructions(sources: Path) -> Iterator[Record]:
    for record in preferences(sources):
        if record["source"] in ("pandalm_human", "llmbar") and isinstance(record["prompt"], str):
            yield question(record["prompt"], record["chosen"], record["source"])
    for record in records(sources, "mt_bench_scored"):
        best = max(record["candidates"], key=lambda c: c["scores"][0] or 0)
        yield question(record["turns"][0], best["responses"][0], "mt_bench")


def _facts(sources: Path) -> Iterator[Record]:
    for record in records(sources, "convqa_convquestions"):
        said: list[str] = []
        for turn in record["turns"]:
            reference = turn["verbalized_answers"][0]
            made = question(conversation(said, turn["question"]), reference, "convquestions", turn["answers"], SHORT)
            yield {**made, "turns": [*said, turn["question"]]}
            said += [turn["question"], reference]
    for record in records(sources, "routing_llmrouter9"):
        if record["benchmark"] == "trivia_qa":
            answer = str(record["ground_truth"])
            yield question(record["prompt"], answer[:1].upper() + answer[1:] + ".", "trivia_qa", [answer], SHORT)
    for record in records(sources, "reasoning"):
        if record["dataset"] == "gsm8k":
            worked = tidy(record["rationale"]) + f" The answer is {record['answer']}."
            yield question(record["question"], worked, "gsm8k", [str(record["answer"])])


def conversation(said: list[str], asked: str) -> str:
    """A question as it is; after others, the conversation in the words in which rankers and fusers read one."""
    if not said:
        return asked
    speakers = ("USER", "ASSISTANT")
    return "\n".join(f"{speakers[n % 2]}: {text}" for n, text in enumerate([*said, asked]))


def question(asked: str, reference: str, origin: str, holds: Iterable[str] = (), system: str = "") -> Record:
    return {
        "instruction": "",
        "input": asked,
        "output": reference,
        "origin": origin,
        "holds": list(holds),
        "system": system,
    }


# ---- what the samples are worth -----------------------------------------------------------------


def sampled_pairs(sampled: Iterable[Record], each: int = 3) -> Iterator[Record]:
    """Pairs of the model's own answers, of which one holds the right answer and the other does not."""
    rng = random.Random("sampled")
    for record in sampled:
        if not record["holds"]:
            continue
        texts = list(dict.fromkeys(c["text"].strip() for c in record["candidates"] if c["text"].strip()))
        right = [t for t in texts if holds(t, record["holds"])]
        both = [(r, w) for r in right for w in texts if w not in right]
        for r, w in rng.sample(both, min(each, len(both))):
            yield pair(record["input"], r, w, record["origin"], "objective_correctness")


def constructed(sampled: Iterable[Record]) -> Iterator[Record]:
    """Pairs whose worse text was made so: another question's answer, the same one broken off, a wrong sample."""
    rng = random.Random("constructed")
    by_origin: dict[str, list[Record]] = {}
    for record in sampled:
        by_origin.setdefault(record["origin"], []).append(record)
    for origin, own in by_origin.items():
        for record in own:
            asked, answer = record["input"], record["output"].strip()
            other = rng.choice(own)["output"].strip()
            if other.casefold() != answer.casefold():
                yield pair(asked, answer, other, origin, "constructed_error")
            words = answer.split()
            if len(words) >= 12:
                kept = rng.randrange(len(words) // 4, len(words) * 3 // 4)
                yield pair(asked, answer, " ".join(words[:kept]), origin, "constructed_error")
            wrong = [c["text"] for c in record["candidates"] if c["text"] and not holds(c["text"], record["holds"])]
            if record["holds"] and wrong:
                yield pair(asked, answer, rng.choice(wrong), origin, "objective_correctness")


def holds(text: str, answers: Iterable[str]) -> bool:
    """True where an answer stands in the text as whole words; a number, where it is the last one worked out."""
    for answer in answers:
        number = answer.replace(",", "")
        if re.fullmatch(r"-?\d+(\.\d+)?", number) and len(text) > 60:
            found = re.findall(r"-?\d+(?:\.\d+)?", text.replace(",", ""))
            return bool(found) and float(found[-1]) == float(number)
        words = r"\b" + r"\W+".join(map(re.escape, re.findall(r"\w+", answer.casefold()))) + r"\b"
        if re.search(words, text.casefold()):
            return True
    return False


def lessons(sources: Path, sampled: Iterable[Record]) -> Iterator[Record]:
    """What to fuse: the model's own answers, for half of the questions with somebody else's among them."""
    better = good_answers(sources)
    rng = random.Random("lessons")
    for record in sampled:
        texts = list(dict.fromkeys(c["text"].strip() for c in record["candidates"] if c["text"].strip()))
        candidates = [{"text": text, "model": "smollm2-135m-instruct"} for text in texts[:3]]
        others = better.get(record["input"], ())
        if others and rng.random() < 0.5:
            candidates[-1:] = [{"text": rng.choice(others), "model": "another"}]
        if len(candidates) > 1 and len(record["output"]) < 1200:
            kept = ("instruction", "input", "output", "origin")
            yield {**{key: record[key] for key in kept}, "candidates": candidates}


def good_answers(sources: Path) -> dict[str, list[str]]:
    """By question: answers of other models that are not the reference, and other wordings of a right one."""
    found: dict[str, list[str]] = {}
    for record in preferences(sources):
        if isinstance(record["prompt"], str):
            found.setdefault(record["prompt"], []).append(record["rejected"])
    for record in records(sources, "convqa_convquestions"):
        said: list[str] = []
        for turn in record["turns"]:
            found.setdefault(conversation(said, turn["question"]), []).extend(turn["verbalized_answers"][1:])
            said += [turn["question"], turn["verbalized_answers"][0]]
    for record in records(sources, "routing_gsm8k_openai4"):
        right = [tidy(o["response"]) for o in record["outcomes"].values() if o["score"] == 1.0 and o.get("response")]
        found.setdefault(record["prompt"], []).extend(right)
    return {asked: texts for asked, texts in found.items() if texts}


# ---- the commands -------------------------------------------------------------------------------


def pairs(sources: Path, sampled: Sequence[Record]) -> Iterator[Record]:
    yield from preferences(sources)
    yield from mt_bench(sources)
    yield from solutions(sources, "routing_gsm8k_openai4", "gsm8k_solutions")
    yield from solutions(sources, "routing_routellm2", "gsm8k_solutions")
    yield from solutions(sources, "routing_routerarena2", "routerarena")
    yield from sampled_pairs(sampled)
    yield from constructed(sampled)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("questions", "pairs", "lessons"))
    parser.add_argument("sources", type=Path)
    parser.add_argument("--sampled", type=Path, help="what sample.py wrote")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    if given.what == "questions":
        made = list(questions(given.sources))
    else:
        with given.sampled.open(encoding="utf-8") as lines:
            sampled = [json.loads(line) for line in lines]
        made = list({"pairs": pairs, "lessons": lessons}[given.what](given.sources, sampled))
    given.out.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in made), encoding="utf-8")
    for origin, number in Counter(str(r.get("origin", r.get("source"))) for r in made).most_common():
        print(f"{number:6d} {origin}: {LICENCES[origin]}")


if __name__ == "__main__":
    main()
