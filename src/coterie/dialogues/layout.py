"""The project's own layout: one conversation a record, whatever data set it comes from.

``{dataset, conversation_id, domain, title, background, context, turns: [{question, answers, evidence, passages,
verbalized_answers, response_types, answer_id, history}]}``. Needed are ``dataset``, ``turns`` and in each turn
``question`` and ``answers``. ``context`` is the passage, ``evidence`` a text or a list of them, ``response_types``
goes with ``answers``, and ``history``, what was said before the turn, tells main answers apart.

Two data sets were stored before there were keys for what they hold. INSCIT's ``context`` is the title of an article
and its ``evidence`` are the turn's passages; ConvQuestions' title is in ``seed_entity``, and an answer whose
``answer_id`` names several things has semicolons, which become commas.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator

from coterie.dialogues.convquestions import joined
from coterie.dialogues.dialogue import Dialogue, Question
from coterie.dialogues.fields import Field
from coterie.dialogues.inscit import as_it_went
from coterie.dialogues.origin import Origin
from coterie.errors import ConfigError
from coterie.types import Json


def layout(record: Field, _: Origin) -> Iterator[Dialogue]:
    dataset = record["dataset"].filled()
    turns = list(record["turns"].each())
    per_turn = dataset == "inscit"
    yield Dialogue(
        dataset,
        record.word("conversation_id"),
        as_it_went([_question(turn, per_turn) for turn in turns], [_texts(turn, "history") for turn in turns]),
        record.word("domain"),
        "" if per_turn else record.word("context"),
        record.word("title") or record.word("seed_entity") or (record.word("context") if per_turn else ""),
        record.word("background"),
        record.whole("dropped", 0),
    )


def record_of(dialogue: Dialogue) -> dict[str, Json]:
    """The dialogue as a record that is read as the same dialogue. What is empty and not needed is left out."""
    return _known(
        dataset=dialogue.dataset,
        conversation_id=dialogue.id,
        domain=dialogue.domain,
        title=dialogue.title,
        background=dialogue.background,
        context=dialogue.passage,
        dropped=dialogue.dropped,
        turns=[
            {"question": question.text, "answers": list(question.answers)}
            | _known(
                evidence=list(question.evidence),
                passages=list(question.passages),
                verbalized_answers=list(question.verbalized),
                response_types=list(question.kinds),
            )
            for question in dialogue.questions
        ],
    )


def fingerprint(dialogues: Iterable[Dialogue]) -> str:
    """The SHA-256 of the dialogues in their order, in hexadecimal: what a result was made on.

    Of their content alone: it does not matter from which file or in which format they were read.
    """
    digest = hashlib.sha256()
    for dialogue in dialogues:
        digest.update(json.dumps(record_of(dialogue), sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


def _question(turn: Field, per_turn: bool) -> Question:
    given = [answer.answer() for answer in turn["answers"].each()]
    kinds = _kinds(turn, len(given))
    ids = turn.word("answer_id")
    answers = [joined(answer, ids) for answer in given]
    evidence = _texts(turn, "evidence")
    sentences = _texts(turn, "verbalized_answers")
    for stored, answer in zip(given, answers, strict=True):
        sentences = [sentence.replace(stored, answer) for sentence in sentences] if stored else sentences
    return Question(
        turn["question"].filled(),
        tuple(filter(None, answers)),
        () if per_turn else tuple(filter(None, evidence)),
        tuple(filter(None, _texts(turn, "passages") or (evidence if per_turn else ()))),
        tuple(filter(None, sentences)),
        tuple(kind for kind, answer in zip(kinds, answers, strict=False) if answer),
    )


def _kinds(turn: Field, answers: int) -> list[str]:
    """The kinds of so many answers. There may be more of them, all alike: equal answers were stored once."""
    kinds = _texts(turn, "response_types")
    if kinds and (len(kinds) < answers or (len(kinds) > answers and len(set(kinds)) > 1)):
        raise ConfigError(f"{turn.way}.response_types are {kinds!r:.80} for {answers} answers")
    return kinds[:answers]


def _texts(turn: Field, key: str) -> list[str]:
    """The texts of a list; a text by itself is a list of one."""
    if key in turn and isinstance(turn[key].value, str):
        return [turn[key].text()]
    return [item.text() for item in turn.items(key)]


def _known(**values: Json) -> dict[str, Json]:
    return {key: value for key, value in values.items() if value}
