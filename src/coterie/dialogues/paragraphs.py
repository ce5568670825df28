"""QuAC (1808.07036) and DoQA (2005.01328): an article with paragraphs, each of which was talked about.

``{data: [{title, section_title, background, paragraphs: [{id, context, qas: [{id, question, orig_answer: {text},
answers: [{text}], followup, yesno}]}]}]}``. The two have one shape. An article with a ``section_title`` is QuAC's,
one without is DoQA's: DoQA's public readers know no such key, which was not checked on the files themselves. To
say so beats guessing: ``dataset="doqa"``.

The main answer is ``orig_answer``, which the asker saw; it is one of ``answers`` too, and stands once. The word
CANNOTANSWER at the end of a context marks where to point when there is no answer: it is cut off, and as an answer
it is read as ``unknown``. QuAC's own scorer takes that for the only reference where at least half of the answers
say so, and leaves it out otherwise; here all are kept. Dialogue acts (``followup``, ``yesno``) are not read.

QuAC's domain is ``wikipedia``; DoQA's is in the file's name: cooking, movies or travel.
"""

from __future__ import annotations

from collections.abc import Iterator

from coterie.dialogues.dialogue import UNKNOWN, Dialogue, Question
from coterie.dialogues.fields import Field
from coterie.dialogues.origin import Origin
from coterie.errors import ConfigError

CANNOT_ANSWER = "CANNOTANSWER"
DOQA_DOMAINS = ("cooking", "movies", "travel")


def paragraphs(record: Field, origin: Origin) -> Iterator[Dialogue]:
    shown = "quac" if "section_title" in record else "doqa"
    dataset = origin.dataset if origin.dataset in ("quac", "doqa") else shown
    domain = "wikipedia" if dataset == "quac" else next((d for d in DOQA_DOMAINS if d in origin.file.lower()), "")
    title = ", ".join(filter(None, (record.word("title"), record.word("section_title"))))
    for paragraph in record["paragraphs"].each():
        passage = paragraph["context"].text().removesuffix(CANNOT_ANSWER).rstrip()
        if not passage:
            raise ConfigError(f"{paragraph['context'].way} is blank")
        yield Dialogue(
            dataset,
            paragraph.word("id"),
            tuple(_question(asked) for asked in paragraph["qas"].each()),
            domain,
            passage,
            title,
            record.word("background"),
        )


def _question(asked: Field) -> Question:
    answers = [_answer(answer) for answer in asked.items("answers")]
    if "orig_answer" in asked:
        main = _answer(asked["orig_answer"])
        if main in answers:
            answers.remove(main)
        answers.insert(0, main)
    return Question(asked["question"].filled(), tuple(filter(None, answers)))


def _answer(answer: Field) -> str:
    text = answer["text"].answer()
    return UNKNOWN if text == CANNOT_ANSWER else text
