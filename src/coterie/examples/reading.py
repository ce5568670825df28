"""Reading examples from files: each record says by its keys which shape it has.

- MixInstruct: ``instruction, input, output, candidates: [{text, model, scores}]`` and ``cmp_results``, a
  mapping "modelA,modelB" to "A is better" and the like, or the same as a JSON string (2306.02561, section 2);
- preference pairs: ``prompt, chosen, rejected``;
- labelled lists: ``conversation: [{role, content}], candidates: [{text, model, label}]``, label ``best`` or not;
- judged lists: ``instruction, candidates`` and ``pairwise: [{model_a, model_b, preference, annotator}]``;
- our own candidate lists, which are MixInstruct's shape with what is not known left out.

Files are JSON Lines or a JSON list, plain or gzipped.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from coterie.errors import ConfigError, MissingExtra
from coterie.examples.example import PREFERENCE, Comparison, Example, Text, Verdict
from coterie.types import Json

ENDINGS = (".jsonl", ".json", ".jsonl.gz", ".json.gz")

Record = Mapping[str, Any]


def read(name: str, *, revision: str | None = None, cache_folder: str | None = None) -> Iterator[Example]:
    """The examples of a file, or of ``owner/repository/path/in/it.jsonl`` on the hub, in their order.

    Raises `ConfigError` where there is no such file, or for a record that has none of the shapes, naming its
    number; `MissingExtra` where the hub's client is absent.
    """
    place = Path(name).expanduser()
    if not place.is_file():
        place = _fetched(name, revision, cache_folder)
    for number, record in enumerate(_records(place), 1):
        try:
            yield example_of(record, str(number))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(
                f"record {number} of {str(place)!r} is no example: {type(error).__name__}: {error}"
            ) from error


def example_of(record: Record, number: str = "") -> Example:
    """One record, read by the shape it has. Raises `ValueError` naming the shapes."""
    for key, reader in _SHAPES.items():
        if record.get(key) is not None:
            return reader(record, number)
    raise ValueError(f"none of the keys {', '.join(_SHAPES)} is in it, but {', '.join(map(repr, record))}")


# ---- the shapes ---------------------------------------------------------------------------------


def _preference(record: Record, number: str) -> Example:
    chosen, rejected = (
        Text(record[which], str(record.get(f"{which}_model") or ""), {PREFERENCE: score})
        for which, score in (("chosen", 1.0), ("rejected", 0.0))
    )
    return Example(
        str(record.get("id", number)),
        input=_prompt(record["prompt"]),
        candidates=(chosen, rejected),
        comparisons=(Comparison(0, 1, "a", str(record.get("label_type", ""))),),
        origin=str(record.get("source", "")),
        label=str(record.get("label_type", "")),
    )


def _labelled(record: Record, number: str) -> Example:
    texts = tuple(
        Text(c["text"], str(c.get("model") or ""), {PREFERENCE: float(c["label"] == "best")} if "label" in c else {})
        for c in record["candidates"]
    )
    best = [place for place, text in enumerate(texts) if text.scores.get(PREFERENCE) == 1.0]
    comparisons = tuple(Comparison(b, other, "a") for b in best for other in range(len(texts)) if other not in best)
    turns = record["conversation"]
    return Example(
        str(record.get("prompt_id", number)),
        input=_prompt(turns),
        candidates=texts,
        comparisons=comparisons,
        origin=str(record.get("dataset", record.get("category", ""))),
    )


def _judged(record: Record, number: str) -> Example:
    texts = _texts(record["candidates"])
    place = {text.model: n for n, text in enumerate(texts)}
    said: Mapping[str, Verdict] = {"a": "a", "b": "b", "tie": "same_good"}
    comparisons = tuple(
        Comparison(place[c["model_a"]], place[c["model_b"]], said[c["preference"]], str(c.get("annotator", "")))
        for c in record["pairwise"]
    )
    return Example(
        str(record.get("instruction_id", record.get("id", number))),
        input=record["instruction"],
        candidates=texts,
        comparisons=comparisons,
        origin=str(record.get("dataset", "")),
    )


_VERDICTS: Mapping[str, Verdict] = {
    "A is better": "a",
    "B is better": "b",
    "Same good": "same_good",
    "Same bad": "same_bad",
}


def _listed(record: Record, number: str) -> Example:
    texts = _texts(record["candidates"])
    return Example(
        str(record.get("id", number)),
        instruction=str(record.get("instruction") or ""),
        input=str(record.get("input") or ""),
        candidates=texts,
        output=str(record.get("output") or ""),
        comparisons=tuple(_compared(record.get("cmp_results"), texts)),
        origin=str(record.get("origin", record.get("id", ""))).partition("/")[0],
        label=str(record.get("label", "")),
    )


def _compared(stored: Any, texts: Sequence[Text]) -> Iterator[Comparison]:
    """MixInstruct's comparisons; its published files hold them as a JSON string, "null" for none."""
    results = json.loads(stored) if isinstance(stored, str) else stored
    place = {text.model: n for n, text in enumerate(texts)}
    for pair, said in (results or {}).items():
        a, _, b = pair.partition(",")
        if a in place and b in place:
            yield Comparison(place[a], place[b], _VERDICTS[said.strip()])


_SHAPES: Mapping[str, Callable[[Record, str], Example]] = {
    "chosen": _preference,
    "conversation": _labelled,
    "pairwise": _judged,
    "candidates": _listed,
}


def _texts(candidates: Iterable[Record]) -> tuple[Text, ...]:
    return tuple(Text(c["text"], str(c.get("model") or ""), _numbers(c.get("scores") or {})) for c in candidates)


def _numbers(scores: Mapping[str, Any]) -> dict[str, float]:
    return {metric: float(value) for metric, value in scores.items() if value is not None}


def _prompt(prompt: Any) -> str:
    """A question as it is; of a conversation its turns, each under its speaker's name, but a single one plainly."""
    if isinstance(prompt, str):
        return prompt
    turns = [(str(turn["role"]), str(turn["content"])) for turn in prompt]
    if len(turns) == 1:
        return turns[0][1]
    names = {"user": "USER", "assistant": "ASSISTANT"}
    return "\n".join(f"{names.get(role, role.upper())}: {text}" for role, text in turns)


# ---- files --------------------------------------------------------------------------------------


def _records(place: Path) -> Iterator[Record]:
    with _opened(place) as lines:
        if _is_list(place):
            yield from json.load(lines)
            return
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _parsed(line, place, number)


def _parsed(line: str, place: Path, number: int) -> Record:
    try:
        record: dict[str, Json] = json.loads(line)
    except ValueError as error:
        raise ConfigError(f"line {number} of {str(place)!r} is no JSON: {error}") from error
    return record


def _is_list(place: Path) -> bool:
    """True where the file is one JSON list."""
    with _opened(place) as lines:
        return lines.read(64).lstrip().startswith("[")


def _opened(place: Path) -> IO[str]:
    if place.suffix == ".gz":
        return gzip.open(place, "rt", encoding="utf-8")
    return place.open(encoding="utf-8")


def _fetched(name: str, revision: str | None, cache_folder: str | None) -> Path:
    """A data file of the hub: ``owner/repository/file``."""
    owner, _, rest = name.partition("/")
    repository, _, file = rest.partition("/")
    if not file.endswith(ENDINGS) or name.startswith(("/", ".", "~")):
        raise ConfigError(f"{name!r} is no file; of the hub one is named as owner/repository/file.jsonl")
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise MissingExtra(f"fetching {name!r}", "torch", "huggingface_hub") from error
    try:
        return Path(
            hf_hub_download(
                f"{owner}/{repository}", file, repo_type="dataset", revision=revision, cache_dir=cache_folder
            )
        )
    except Exception as error:  # the client raises many kinds, none of which it promises
        raise ConfigError(f"{name!r} is no file, and could not be fetched from the hub: {error}") from error
