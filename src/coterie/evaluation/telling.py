"""A table of rankers in words: whether a judge beats the longest answer and the best single model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from coterie.evaluation.columns import Head
from coterie.evaluation.significance import Estimate
from coterie.evaluation.table import SINGLE, Against, Table

NOT_BEATEN = {"worse": "worse", "level": "not to be told apart", "": "without an interval"}


def told(table: Table) -> Iterator[str]:
    """A sentence for each judge and rival; one is beaten where the difference's interval lies on the good side of 0."""
    heads = {head.key: head for head in table.heads}
    for name in dict.fromkeys(against.row for against in table.against):
        found = [against for against in table.against if against.row == name]
        for role in dict.fromkeys(against.role for against in found):
            yield _sentence(name, role, [a for a in found if a.role == role], table, heads)
    if not any(against.role == SINGLE for against in table.against):
        yield f"{_why_no_single(table)}, so there is no best single model to beat."
    if not any(line.kind == "judge" for line in table.lines):
        yield "No judge was given, so nothing is said of any."


def difference(estimate: Estimate, head: Head) -> str:
    """A difference in the column's unit, with its interval."""
    if estimate.value is None:
        return "unknown"
    text = head.text(estimate.value, "+") + (" points" if head.percent else "")
    if estimate.low is None or estimate.high is None:
        return text
    return f"{text} [{head.text(estimate.low, '+')}, {head.text(estimate.high, '+')}]"


def _why_no_single(table: Table) -> str:
    if any(line.kind == "model" for line in table.lines):
        return "No single model answers everything"
    return "The data do not tell one model's answers from another's in every example"


def _sentence(name: str, role: str, found: Sequence[Against], table: Table, heads: Mapping[str, Head]) -> str:
    won = [_part(a, table, heads) for a in found if a.verdict == "better"]
    rest = [f"{_part(a, table, heads)}, {NOT_BEATEN[a.verdict]}" for a in found if a.verdict != "better"]
    if not won:
        return f"{name} does not beat {role}: {'; '.join(rest)}."
    but = f", but not everywhere: {'; '.join(rest)}" if rest else ""
    return f"{name} beats {role}: {'; '.join(won)}{but}."


def _part(against: Against, table: Table, heads: Mapping[str, Head]) -> str:
    head = heads[against.column]
    whole = next(line.cells.get(head.key) for line in table.lines if line.name == against.row)
    rival = f" over {against.rival}" if against.role == SINGLE else ""
    part = whole is not None and against.difference.n < whole.n
    on = f" on the {against.difference.n} examples that both answer" if part else ""
    return f"{head.heading} {difference(against.difference, head)}{rival}{on}"
