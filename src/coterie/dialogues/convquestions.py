"""ConvQuestions (1910.03262) and Verbal-ConvQuestions: five questions about an entity of Wikidata, closed book.

``[{conv_id, domain, seed_entity, seed_entity_text, questions: [{turn, question, answer, answer_text}]}]``; the verbal
edition adds ``verbalized_answer`` and ``paraphrased_answer``, sentences with the answer in brackets, which are taken
off. ``answer`` holds Wikidata's addresses or literals, and serves only to see how many there are: an
answer of several parts ("Italy;India;Indonesia") is one gold answer, with commas. Paraphrased questions are not read.

The sentences were paraphrased by machine, and some state another fact than the answer. Facts are those of 2019.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from coterie.dialogues.dialogue import Dialogue, Question
from coterie.dialogues.fields import Field
from coterie.dialogues.origin import Origin

_BRACKETED = re.compile(r"\[([^\[\]]*)\]")


def convquestions(record: Field, _: Origin) -> Iterator[Dialogue]:
    yield Dialogue(
        "convquestions",
        record.word("conv_id"),
        tuple(_question(turn) for turn in record["questions"].each()),
        record.word("domain"),
        title=record.word("seed_entity_text"),
    )


def joined(text: str, ids: str) -> str:
    """An answer of several parts with commas between them; `ids`, one a part, tell it from a name with a semicolon."""
    parts = [part.strip() for part in text.split(";")]
    return ", ".join(filter(None, parts)) if len(parts) == len(ids.split(";")) else text


def _question(turn: Field) -> Question:
    said = turn["answer_text"].answer()
    answer = joined(said, turn.word("answer"))
    sentences = [turn.word("verbalized_answer"), *(sentence.text() for sentence in turn.items("paraphrased_answer"))]
    plain = (_BRACKETED.sub(r"\1", sentence).replace(said, answer) if said else sentence for sentence in sentences)
    return Question(
        turn["question"].filled(), (answer,) if answer else (), verbalized=tuple(s for s in plain if s.strip())
    )
