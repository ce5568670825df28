"""Sentences, by rules that need no model and no download.

A sentence ends

- behind ``.``, ``?``, ``!``, an ellipsis, or such marks of Arabic, Urdu, Armenian, Ethiopic and Devanagari, with the
  quotes and brackets that close behind them, where white space follows and what comes next does not begin with a small
  letter;
- behind a full stop of Chinese or Japanese, with white space or without;
- at an empty line, and before a line that is an item of a list.

A single full stop ends no sentence behind an initial or an abbreviation: never behind one that something always
follows (Dr., e.g., vs.), behind one of numbers (No., pp.) only where no number follows, and behind any other (U.S.,
etc., p.m.) only before a word that often begins a sentence. The words are English.

NLTK's Punkt, which AlignScore's authors use, learned its abbreviations from texts and has to be downloaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_CLOSING = "\"'”’»)]}"
_OPENING = "\"'“‘«([{¿¡*_"
_MARKS = ".?!…؟۔։።।॥"

# A mark is looked for where a run of them begins, and never given back: so a long run costs its length, not its square.
_ENDS = re.compile(
    rf"(?P<spaced>(?<![{_MARKS}])[{_MARKS}]++[{re.escape(_CLOSING)}]*+)(?=\s)|(?P<east>[。！？｡．]++[”’」』）》〉】]*+)"
)

_BREAKS = re.compile(r"\n[^\S\n]*+\n\s*+|\n(?=[^\S\n]*+(?:[-*•‣·–]|\d{1,3}[.)])\s)")
"""An empty line, or the end of one before an item of a list."""

_ITEM = re.compile(r"\d{1,3}[.)]")
"""The number of a list's item, which is no sentence."""

_SPACE = re.compile(r"\s*+")

_WORD = re.compile(r"[^\s\"'“”‘’«»()\[\]{}]*\Z")

_FOLLOWED = frozenset(
    str.split(
        "mr mrs ms messrs dr prof gen rep reps sen sens gov capt cpt lt col sgt cpl maj adm cmdr rev hon pres vs v cf "
        "e.g i.e viz ca approx resp incl esp"
    )
)
"""What something always follows."""

_NUMBERED = frozenset(str.split("no nos p pp fig figs sec ch chap vol vols eq art op"))
"""What a number follows, if it is short for something."""

_SHORTENED = frozenset(
    str.split(
        "st ste mt ft ave blvd rd etc inc ltd co corp llc bros dept univ assn jr sr al est ed eds trans orig min max "
        "avg ext misc jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun"
    )
)
"""What may stand at a sentence's end too."""

_STARTERS = frozenset(
    str.split(
        "the a an this that these those there it its he she they we i you his her their our my your in on at for from "
        "by with as but and or so yet however then when while after before since if although though because what who "
        "why where how which no yes not one two some many most all each both here also later today now"
    )
)
"""Words that often begin a sentence, and seldom the second half of a name."""


def sentences(text: str) -> list[str]:
    """The sentences of `text` in their order, without white space around them; none of a text without any.

    Nothing but white space is lost, and the time it takes grows with the length of the text.
    """
    return [found for part in _parts(text) if (found := part.strip())]


def _parts(text: str) -> Iterator[str]:
    for block in _BREAKS.split(text):
        start = _behind_space(block, 0)
        for mark in _ENDS.finditer(block):
            if mark["east"] or _ends(block, start, mark):
                yield block[start : mark.end()]
                start = _behind_space(block, mark.end())
        yield block[start:]


def _behind_space(block: str, place: int) -> int:
    found = _SPACE.match(block, place)
    return found.end() if found else place


def _ends(block: str, start: int, mark: re.Match[str]) -> bool:
    """True where the white space behind a mark separates sentences."""
    following = block[mark.end() : mark.end() + 80].split(maxsplit=1)
    word = following[0].lstrip(_OPENING) if following else ""
    if word[:1].islower():
        return False
    if mark["spaced"].rstrip(_CLOSING) != ".":
        return True
    if _ITEM.fullmatch(block, start, mark.end()):
        return False
    before = _WORD.search(block[max(start, mark.start() - 40) : mark.start()])
    return not _shortens(before[0] if before else "", word)


def _shortens(before: str, following: str) -> bool:
    """True where a full stop behind a word belongs to the word."""
    plain = before.casefold()
    if plain in _FOLLOWED:
        return True
    if plain in _NUMBERED:
        return following[:1].isnumeric()
    initial = len(before) == 1 and before.isupper()
    dotted = "." in before and all(part.isalpha() and len(part) <= 2 for part in before.split("."))
    if initial or dotted or plain in _SHORTENED:
        return re.sub(r"\W.*", "", following).casefold() not in _STARTERS
    return False
