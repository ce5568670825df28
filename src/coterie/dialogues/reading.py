"""Reading dialogues from files: each record says by its keys which shape it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import takewhile

from coterie.dialogues.atlas import atlas
from coterie.dialogues.convquestions import convquestions
from coterie.dialogues.coqa import coqa
from coterie.dialogues.dialogue import Dialogue
from coterie.dialogues.fields import Field
from coterie.dialogues.inscit import inscit
from coterie.dialogues.layout import layout
from coterie.dialogues.origin import Origin
from coterie.dialogues.paragraphs import paragraphs
from coterie.errors import ConfigError
from coterie.examples.files import document, place_of
from coterie.types import Json

DATASETS = ("atlas-converse", "convquestions", "coqa", "doqa", "inscit", "quac")
"""The data sets whose own formats are read; the project's own layout holds any."""

_SHAPES: Mapping[str, Callable[[Field, Origin], Iterator[Dialogue]]] = {
    "story": coqa,
    "paragraphs": paragraphs,
    "conversations": atlas,
    "seedArticle": inscit,
    "turns": layout,
    "questions": convquestions,
}
"""By a key that only they have, looked for in this order."""


def read(
    name: str, dataset: str | None = None, *, revision: str | None = None, cache_folder: str | None = None
) -> tuple[Dialogue, ...]:
    """The dialogues of a file, or of ``owner/repository/path/in/it.json`` on the hub, in their order.

    Files are JSON, one value or one a line, plain or gzipped. Which data set it is shows in its records;
    `dataset` says it where they leave it open, and is checked where they do not.

    A conversation ends before its first question without gold answers: no history could go on from there, and
    its ``dropped`` counts what is left out. One without an id has its number in the file. Texts lose the white
    space around them, and no other character.

    Raises `ConfigError` where there is no such file, for another data set than `dataset`, and for a record that has
    none of the shapes, is spoiled, has an id that was there before, or no gold answer to its first question; it
    names the record and the field. Raises `MissingExtra` where the hub's client is absent.
    """
    place = place_of(name, revision, cache_folder)
    origin = Origin(place.name, dataset)
    read_already: dict[tuple[str, str], Dialogue] = {}
    for number, record in enumerate(_records(document(place)), 1):
        try:
            for found in dialogues_of(record, origin):
                dialogue = _scorable(replace(found, id=found.id or str(len(read_already) + 1)))
                key = (dialogue.dataset, dialogue.id)
                if key in read_already:
                    raise ConfigError(f"an earlier one has the id {dialogue.id!r} too")
                read_already[key] = dialogue
        except (ValueError, ConfigError) as error:
            raise ConfigError(f"record {number} of {str(place)!r} is no dialogue: {error}") from error
    if not read_already:
        raise ConfigError(f"{str(place)!r} holds no dialogue")
    return tuple(read_already.values())


def dialogues_of(record: Json, origin: Origin) -> Iterator[Dialogue]:
    """The dialogues of one record, by the shape it has: an article may have several, and a broken-off talk none.

    Raises `ConfigError` and `ValueError` as `read` does, without the file and the number.
    """
    field = Field(record)
    shape = next((reader for key, reader in _SHAPES.items() if key in field), None)
    if shape is None:
        has = ", ".join(map(repr, record)) or "nothing"
        raise ConfigError(f"it has none of the keys {', '.join(_SHAPES)}, but {has}; {_KNOWN}")
    for dialogue in shape(field, origin):
        if origin.dataset not in (None, dialogue.dataset):
            raise ConfigError(f"it is of {dialogue.dataset!r}, and not of {origin.dataset!r}; {_KNOWN}")
        yield dialogue


_KNOWN = f"the formats of {', '.join(DATASETS)} are known, and the project's own layout"


def _records(content: Json) -> Iterator[Json]:
    """The records of a file: of a list, of a list under ``data``, of a mapping by id, or the only one there is."""
    if not isinstance(content, Mapping):
        yield from content if isinstance(content, list) else [content]
    elif isinstance(content.get("data"), list):
        yield from content["data"]
    elif content and all(isinstance(value, Mapping) and "seedArticle" in value for value in content.values()):
        yield from ({"id": key, **value} for key, value in content.items())
    else:
        yield content


def _scorable(dialogue: Dialogue) -> Dialogue:
    """The dialogue up to its first question without gold answers."""
    kept = tuple(takewhile(lambda question: question.answers, dialogue.questions))
    if not kept:
        raise ConfigError(f"the first question of {dialogue.id!r} has no gold answer")
    return replace(dialogue, questions=kept, dropped=dialogue.dropped + len(dialogue.questions) - len(kept))
