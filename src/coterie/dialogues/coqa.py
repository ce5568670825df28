"""CoQA (1808.07042): a story, questions, one answer of the partner and up to three or four of others.

``{version, data: [{id, source, story, questions: [{input_text, turn_id}], answers: [{input_text, span_text, turn_id}],
additional_answers: {"0": [{input_text, turn_id}], ...}}]}``; the training file has no additional answers. Answers
belong to questions by ``turn_id``, and by their places where there is none. What an annotator left blank counts
for nothing. An answer that several gave stands as often, since the official score leaves out one annotator at a time.

For evaluation alone: the copy of the test set in BIG-bench carries that project's canary, which asks that it be
kept out of training data.
"""

from __future__ import annotations

from collections.abc import Iterator

from coterie.dialogues.dialogue import Dialogue, Question
from coterie.dialogues.fields import Field
from coterie.dialogues.origin import Origin
from coterie.errors import ConfigError


def coqa(record: Field, _: Origin) -> Iterator[Dialogue]:
    asked = _by_turn(record["questions"])
    main = _by_turn(record["answers"])
    others = [_by_turn(annotator) for annotator in record.items("additional_answers")]
    for answers in (main, *others):
        if strays := sorted(set(answers) - set(asked)):
            raise ConfigError(f"{answers[strays[0]].way} answers turn {strays[0]}, which nobody asked")
    if unanswered := sorted(set(asked) - set(main)):
        raise ConfigError(f"answers has none for turn {unanswered[0]}")
    questions = (
        _question(question, main[turn], [answers[turn] for answers in others if turn in answers])
        for turn, question in asked.items()
    )
    yield Dialogue("coqa", record.word("id"), tuple(questions), record.word("source"), record["story"].filled())


def _question(question: Field, main: Field, others: list[Field]) -> Question:
    # Where the partner left the turn blank, no other annotator's answer is what the next question builds on.
    said = main["input_text"].answer()
    answers = filter(None, (said, *(other.word("input_text") for other in others))) if said else ()
    made = Question(question["input_text"].filled(), tuple(answers))
    evidence = "" if made.unanswerable else main.word("span_text")
    return Question(made.text, made.answers, (evidence,) if evidence else ())


def _by_turn(listed: Field) -> dict[int, Field]:
    """The items of a list by their turns, in their order."""
    found: dict[int, Field] = {}
    for place, item in enumerate(listed.each(), 1):
        turn = item.whole("turn_id", place)
        if turn in found:
            raise ConfigError(f"{item.way} is the second for turn {turn}")
        found[turn] = item
    return found
