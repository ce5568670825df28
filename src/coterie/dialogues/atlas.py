"""Atlas-Converse: conversations that GPT-3.5 wrote, both sides of them, closed book.

``[{id, conversations: [{from, value}]}]`` in the files ``combined-convo*.json`` of ``AtlasUnified/atlas-converse``
on the hub. Read off the program that made them, which asked GPT-3.5 for this shape and named no values for
``from``; the files themselves were not seen. So whoever is called ``ai``, ``assistant``, ``bot``, ``chatbot``,
``chatgpt``, ``gpt`` or ``model``, in any case, answers, ``system`` is passed over, and everybody else asks.

Lines of one side in a row are one turn; what is answered before anything was asked, and blank lines, are left
out, and so is a conversation in which nobody answers. The gold answers are GPT-3.5's. No domain is in the files.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from coterie.dialogues.dialogue import Dialogue, Question
from coterie.dialogues.fields import Field
from coterie.dialogues.origin import Origin

ANSWERERS = frozenset({"ai", "assistant", "bot", "chatbot", "chatgpt", "gpt", "model"})


def atlas(record: Field, _: Origin) -> Iterator[Dialogue]:
    sides = [(answers, "\n".join(texts)) for answers, texts in _sides(record)]
    if sides and sides[0][0]:
        sides = sides[1:]
    asked = [text for _, text in sides[::2]]
    answered = [text for _, text in sides[1::2]]
    if answered:
        given = [(answer,) for answer in answered] + [()] * (len(asked) - len(answered))
        questions = (Question(text, answers) for text, answers in zip(asked, given, strict=True))
        yield Dialogue("atlas-converse", record.word("id"), tuple(questions))


def _sides(record: Field) -> Iterator[tuple[bool, list[str]]]:
    """Whether it answers, and its lines, side after side."""
    lines = [(line["from"].text().casefold(), line["value"].text()) for line in record["conversations"].each()]
    said = [(speaker in ANSWERERS, text) for speaker, text in lines if text and speaker != "system"]
    for answers, group in groupby(said, lambda line: line[0]):
        yield answers, [text for _, text in group]
