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

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from coterie.errors import ConfigError
from coterie.examples.conversation import source_of
from coterie.examples.example import PREFERENCE, Comparison, Example, Text, Verdict
from coterie.examples.files import Record, place_of, records


def read(name: str, *, revision: str | None = None, cache_folder: str | None = None) -> Iterator[Example]:
    """The examples of a file, or of ``owner/repository/path/in/it.jsonl`` on the hub, in their order.

    Raises `ConfigError` where there is no such file, or for a record that has none of the shapes, naming its
    number; `MissingExtra` where the hub's client is absent.
    """
    place = place_of(name, revision, cache_folder)
    for number, record in enumerate(records(place), 1):
        try:
            yield example_of(record, str(number))
        except (KeyError, TypeError, ValueError, AttributeError, ConfigError) as error:
            why = f"there is no {error}" if isinstance(error, KeyError) else str(error)
            raise ConfigError(f"record {number} of {str(place)!r} is no example: {why}") from error


def example_of(record: Record, number: str = "") -> Example:
    """One record, read by the shape it has; `number` is its id where it has none.

    Raises `ValueError` naming the shapes' keys where it has none of them, `TypeError`, `KeyError` and
    `ConfigError` where it is spoiled.
    """
    if not isinstance(record, Mapping):
        raise TypeError(f"it is no mapping, but {record!r:.80}")
    for key, reader in _SHAPES.items():
        if record.get(key) is not None:
            return reader(record, number)
    raise ValueError(f"none of the keys {', '.join(_SHAPES)} is in it, but {', '.join(map(repr, record)) or 'nothing'}")


# ---- the shapes ---------------------------------------------------------------------------------


def _preference(record: Record, number: str) -> Example:
    label = _word(record, "label_type")
    chosen, rejected = (
        Text(_text(record[which]), _word(record, f"{which}_model"), {PREFERENCE: score})
        for which, score in (("chosen", 1.0), ("rejected", 0.0))
    )
    return Example(
        _word(record, "id") or number,
        input=_prompt(record["prompt"]),
        candidates=(chosen, rejected),
        comparisons=(Comparison(0, 1, "a", label),),
        origin=_word(record, "source"),
        label=label,
    )


def _labelled(record: Record, number: str) -> Example:
    texts = tuple(
        Text(
            _text(c["text"]),
            _word(c, "model"),
            {} if c.get("label") is None else {PREFERENCE: float(c["label"] == "best")},
        )
        for c in record["candidates"]
    )
    best, others = ([n for n, text in enumerate(texts) if text.scores.get(PREFERENCE) == score] for score in (1.0, 0.0))
    return Example(
        _word(record, "prompt_id", "id") or number,
        input=_prompt(record["conversation"]),
        candidates=texts,
        comparisons=tuple(Comparison(a, b, "a") for a in best for b in others),
        origin=_word(record, "dataset", "category"),
    )


_PREFERENCES: Mapping[str, Verdict] = {"a": "a", "b": "b", "tie": "same_good"}


def _judged(record: Record, number: str) -> Example:
    texts = _texts(record["candidates"])
    place = _places(texts)
    comparisons = tuple(
        Comparison(
            _known(c["model_a"], place, "candidate's model"),
            _known(c["model_b"], place, "candidate's model"),
            _known(c["preference"], _PREFERENCES, "preference"),
            _word(c, "annotator"),
        )
        for c in record["pairwise"]
    )
    return Example(
        _word(record, "instruction_id", "id") or number,
        input=_prompt(record["instruction"]),
        candidates=texts,
        comparisons=comparisons,
        origin=_word(record, "dataset"),
    )


_VERDICTS: Mapping[str, Verdict] = {
    "A is better": "a",
    "B is better": "b",
    "Same good": "same_good",
    "Same bad": "same_bad",
}


def _listed(record: Record, number: str) -> Example:
    texts = _texts(record["candidates"])
    id_ = _word(record, "id")
    source, slash, _ = id_.partition("/")
    return Example(
        id_ or number,
        instruction=_word(record, "instruction"),
        input=_word(record, "input"),
        candidates=texts,
        output=_word(record, "output"),
        comparisons=tuple(_compared(record.get("cmp_results"), texts)),
        origin=_word(record, "origin") or (source if slash else ""),  # MixInstruct's ids are "unified_chip2/69962"
        label=_word(record, "label"),
    )


def _compared(stored: Any, texts: Sequence[Text]) -> Iterator[Comparison]:
    """MixInstruct's comparisons; its published files hold them as a JSON string, "null" for none.

    Models that are no candidates here are passed over: their texts may have been left out.
    """
    results = json.loads(stored) if isinstance(stored, str) and stored.strip() else stored
    place = _places(texts)
    for pair, said in (results or {}).items():
        a, _, b = pair.partition(",")
        if a in place and b in place:
            yield Comparison(place[a], place[b], _known(said.strip(), _VERDICTS, "verdict"))


_SHAPES: Mapping[str, Callable[[Record, str], Example]] = {
    "chosen": _preference,
    "conversation": _labelled,
    "pairwise": _judged,
    "candidates": _listed,
}


# ---- what they share ----------------------------------------------------------------------------


def _texts(candidates: Iterable[Record]) -> tuple[Text, ...]:
    return tuple(Text(_text(c["text"]), _word(c, "model"), _numbers(c.get("scores") or {})) for c in candidates)


def _text(value: Any) -> str:
    """A candidate's words: a text, or a single turn that holds one."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and len(value) == 1:
        return source_of(value)
    raise TypeError(f"a candidate is a text, not {value!r:.80}")


def _prompt(value: Any) -> str:
    """A question as it is; of a conversation its turns, as a judge reads them."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return source_of(value)
    raise TypeError(f"a prompt is a text or a list of turns, not {value!r:.80}")


def _word(record: Record, *keys: str) -> str:
    """The first of `keys` that the record knows; empty where it knows none."""
    return next((str(record[key]) for key in keys if record.get(key) is not None), "")


def _numbers(scores: Mapping[str, Any]) -> dict[str, float]:
    """What is known of the scores: not a number says nothing."""
    known = {metric: float(value) for metric, value in scores.items() if value is not None}
    return {metric: value for metric, value in known.items() if not math.isnan(value)}


def _places(texts: Sequence[Text]) -> dict[str, int]:
    """Where each model's text stands. Who wrote two cannot be told apart by name, and is left out."""
    wrote = Counter(text.model for text in texts)
    return {text.model: n for n, text in enumerate(texts) if text.model and wrote[text.model] == 1}


def _known(name: Any, names: Mapping[str, Any], what: str) -> Any:
    if name not in names:
        raise ValueError(f"{name!r} is no {what}; there are {', '.join(map(repr, names))}")
    return names[name]
