"""INSCIT (2207.00746): questions that one or two people answered from passages of Wikipedia, turn by turn.

``{id: {seedArticle: {title, topic}, turns: [{context: [questions and answers so far], labels: [{responseType,
response, evidence: [{passage_text}]}]}]}}``. The domain is the topic. A turn's passages are those that any of its
answers rests on: what a perfect search would find.

The main answer is the one with which the next turn's context goes on, and the first at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from coterie.dialogues.dialogue import NO_ANSWER, UNKNOWN, Dialogue, Question
from coterie.dialogues.fields import Field
from coterie.dialogues.origin import Origin
from coterie.errors import ConfigError


def inscit(record: Field, _: Origin) -> Iterator[Dialogue]:
    turns = list(record["turns"].each())
    histories = [[said.text() for said in turn["context"].each()] for turn in turns]
    questions = [_question(turn, history) for turn, history in zip(turns, histories, strict=True)]
    article = record["seedArticle"]
    yield Dialogue(
        "inscit",
        record.word("id"),
        as_it_went(questions, [history[:-1] for history in histories]),
        article.word("topic"),
        title=article.word("title"),
    )


def as_it_went(questions: Sequence[Question], histories: Sequence[Sequence[str]]) -> tuple[Question, ...]:
    """The questions with those main answers that were said; of each turn, `histories` has what went before."""
    said = [history[2 * n + 1 : 2 * n + 2] for n, history in enumerate(histories[1:])]
    led = [question.led_by(*answer) if answer else question for question, answer in zip(questions, said, strict=False)]
    return (*led, *questions[len(led) :])


def _question(turn: Field, history: list[str]) -> Question:
    if not history or not history[-1]:
        raise ConfigError(f"{turn.way}.context ends with no question")
    labels = [label for label in turn["labels"].each() if _response(label)]
    passages = (found["passage_text"].text() for label in labels for found in label.items("evidence"))
    return Question(
        history[-1],
        tuple(_response(label) for label in labels),
        passages=tuple(dict.fromkeys(filter(None, passages))),
        kinds=tuple(label["responseType"].filled() for label in labels),
    )


def _response(label: Field) -> str:
    """What was answered; who found nothing may have left it blank."""
    return label.word("response") or (UNKNOWN if label["responseType"].filled().startswith(NO_ANSWER) else "")
