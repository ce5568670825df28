"""The report as one HTML file: no network, no font and no script but its own, readable on a phone and on paper.

Whatever was recorded is text here. It is escaped, and a policy in the page's head lets nothing run or load but the
style and the script that stand in it, by their hashes.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from importlib.resources import files
from urllib.parse import quote

from coterie.evaluation.blending.cells import Cell
from coterie.evaluation.blending.chosen import Answer, Chosen, Example
from coterie.evaluation.blending.figures import Figure
from coterie.evaluation.blending.header import Header, Measure
from coterie.evaluation.blending.report import Report
from coterie.evaluation.blending.svg import shown
from coterie.evaluation.blending.tables import Head, Table, as_csv, file_name
from coterie.evaluation.blending.telling import Told
from coterie.types import Json

LONGEST_TEXT = 3000
"""Characters of an answer that an example shows."""

VERDICTS: Mapping[str, str] = {"yes": "yes", "no": "no", "cannot tell": "unsure"}
"""Words of cells that have a look of their own."""


def page(report: Report) -> str:
    """The whole file."""
    style, script = (_file(name) for name in ("page.css", "page.js"))
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; base-uri 'none'; "
        "form-action 'none'"
    )
    there = {table.group for table in report.tables} | {figure.group for figure in report.figures}
    parts = [group for group in report.groups if group in there]
    body = [
        f"<h1>{shown(report.header.title)}</h1>",
        *_first(report),
        _nav([*parts, *(["Examples"] if report.chosen.rule else []), "Settings"]),
        *(_section(group, report) for group in parts),
        *([_examples(report.chosen, report.measure)] if report.chosen.rule else []),
        _settings(report.header),
    ]
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{shown(report.header.title)}</title>",
            f"<style>{style}</style>\n</head>\n<body>\n<main>",
            *body,
            f"</main>\n<script>{script}</script>\n</body>\n</html>\n",
        ]
    )


def _file(name: str) -> str:
    return files("coterie.evaluation.blending").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _nav(parts: Sequence[str]) -> str:
    links = "".join(f'<a href="#{_anchor(part)}">{shown(part)}</a>' for part in parts)
    return f'<nav aria-label="Parts of the report">{links}</nav>'


def _anchor(part: str) -> str:
    return file_name(part).lower()


# ---- what is seen first -------------------------------------------------------------------------


def _first(report: Report) -> Iterator[str]:
    said: Told = report.told
    yield from (f"<p>{shown(sentence)}</p>" for sentence in said.run)
    yield f'<p class="verdict">{shown(said.verdict)}</p>'
    yield _listed(said.findings)
    if said.warnings:
        yield f'<div class="warning" role="note"><strong>Beware</strong>{_listed(said.warnings)}</div>'


def _listed(sentences: Sequence[str]) -> str:
    items = "".join(f"<li>{shown(sentence)}</li>" for sentence in sentences)
    return f"<ul>{items}</ul>" if items else ""


# ---- figures and tables ---------------------------------------------------------------------------


def _section(group: str, report: Report) -> str:
    inside = [_figure(figure) for figure in report.figures if figure.group == group]
    inside += [_table(table) for table in report.tables if table.group == group]
    return "\n".join([f'<section id="{_anchor(group)}">\n<h2>{shown(group)}</h2>', *inside, "</section>"])


def _figure(figure: Figure) -> str:
    panels = "\n".join(panel.markup() for panel in figure.panels)
    title = _title(f"figure-{figure.key}", figure.title)
    told = f'<figcaption>{title}<p class="tells">{shown(figure.tells)}</p></figcaption>'
    return f'<figure>{told}<div class="panels">{panels}</div></figure>'


def _title(anchor: str, title: str) -> str:
    return f'<h3 id="{anchor}"><a href="#{anchor}">{shown(title)}</a></h3>'


def _table(table: Table) -> str:
    heads = "".join(map(_head, table.heads))
    body = "\n".join(f"<tr>{_row(row, table.heads)}</tr>" for row in table.rows)
    grid = (
        f'<div class="wide" role="region" tabindex="0" aria-labelledby="table-{table.key}"><table class="sortable">'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )
    csv = f"data:text/csv;charset=utf-8,{quote(as_csv(table), safe='', errors='replace')}"
    link = f'<p class="csv soft"><a download="{table.key}.csv" href="{csv}">Download as CSV</a></p>'
    notes = f'<div class="soft">{_listed(table.notes)}</div>' if table.notes else ""
    tells = f'<p class="tells">{shown(table.tells)}</p>' if table.tells else ""
    told = _title(f"table-{table.key}", table.title) + tells
    if table.aside:
        return f"{told}<details><summary>{len(table.rows)} rows</summary>{grid}{notes}{link}</details>"
    return f"{told}{grid}{notes}{link}"


def _head(head: Head) -> str:
    look = ' class="number"' if head.number else ""
    return f'<th scope="col"{look}>{shown(head.text)}</th>'


def _row(row: Sequence[Cell], heads: Sequence[Head]) -> str:
    first, *others = row
    cells = [_cell(cell, head) for cell, head in zip(others, heads[1:], strict=True)]
    return (
        f'<th scope="row" data-v="{shown(str(first.value or ""))}"><bdi>{shown(first.text)}</bdi></th>{"".join(cells)}'
    )


def _cell(cell: Cell, head: Head) -> str:
    looks = [name for name, on in (("number", head.number), ("best", cell.best)) if on]
    look = f' class="{" ".join(looks)}"' if looks else ""
    value = "" if cell.value is None else f' data-v="{shown(str(cell.value))}"'
    text = shown(cell.text)
    if not head.number:
        text = f'<span class="{VERDICTS[cell.text]}">{text}</span>' if cell.text in VERDICTS else f"<bdi>{text}</bdi>"
    if cell.word:
        text = f'<span class="figure">{text}</span> <span class="{_look(cell)}">{shown(cell.word)}</span>'
    return f"<td{look}{value}>{text}</td>"


def _look(cell: Cell) -> str:
    if cell.word in VERDICTS:
        return f"word {VERDICTS[cell.word]}"
    return "wrong" if cell.wrong else "soft"


# ---- examples -------------------------------------------------------------------------------------


def _examples(chosen: Chosen, measure: Measure | None) -> str:
    inside = "\n".join(_example(example, n, measure) for n, example in enumerate(chosen.examples, 1))
    return (
        f'<section id="examples">\n<h2>Examples</h2>\n<p class="tells">{shown(chosen.rule)}</p>\n{inside}\n</section>'
    )


def _example(example: Example, number: int, measure: Measure | None) -> str:
    question = example.question
    gain = measure.text(example.gain, "+") if measure else f"{example.gain:+.3f}"
    where = f"{question.dataset}, conversation {question.conversation}, turn {question.turn}"
    gold = "".join(_text(text) for text in question.gold) or '<p class="soft">none recorded</p>'
    asked = _text(question.text) if question.text else '<p class="soft">The question was not recorded.</p>'
    answers = "".join(_answer(answer, measure) for answer in example.answers)
    return (
        f'<article class="example" id="example-{number}"><h3><bdi>{shown(where)}</bdi>: {shown(gain)} over '
        f"<bdi>{shown(example.rival)}</bdi></h3>{asked}"
        f'<div class="answers"><div class="answer"><h4>Reference</h4>{gold}</div>{answers}</div></article>'
    )


def _answer(answer: Answer, measure: Measure | None) -> str:
    row = answer.row
    score = "" if answer.quality is None or measure is None else f", {measure.heading} {measure.text(answer.quality)}"
    by = " ".join(
        part for part in (row.how, f"by {row.author}" if row.author and row.author != answer.name else "") if part
    )
    how = f'<p class="soft">{shown(by)}</p>' if by else ""
    said = f'<p class="wrong">failed: {shown(row.failed)}</p>' if row.failed else _text(row.text)
    look = "answer marked" if answer.marked else "answer"
    return f'<div class="{look}"><h4><bdi>{shown(answer.name)}</bdi>{shown(score)}</h4>{how}{said}</div>'


def _text(text: str) -> str:
    """A text as it was written, its own direction of writing kept to itself."""
    if not text.strip():
        return '<p class="soft">(empty)</p>'
    cut = f'<p class="soft">The first {LONGEST_TEXT} of {len(text)} characters.</p>' if len(text) > LONGEST_TEXT else ""
    return f'<div class="text" dir="auto">{shown(text[:LONGEST_TEXT])}</div>{cut}'


# ---- settings -------------------------------------------------------------------------------------


def _settings(header: Header) -> str:
    said = [
        ("Begun", header.started_at),
        ("Command", header.command),
        ("Hardware", header.hardware),
        ("Versions", ", ".join(f"{name} {version}" for name, version in header.versions.items())),
        ("Seed", str(header.seed)),
        ("Metrics", "; ".join(f"{of.heading}: {of.how or 'not described'}" for of in header.metrics)),
    ]
    terms = "".join(f"<dt>{shown(name)}</dt><dd>{shown(text)}</dd>" for name, text in said if text)
    whole = {"members": list(header.members), "policies": header.policies, "reference": header.reference}
    there = {name: of for name, of in whole.items() if of}
    plain = json.dumps({**there, "settings": header.settings}, ensure_ascii=False, indent=2, default=_plain)
    return f'<section id="settings">\n<h2>Settings</h2>\n<dl>{terms}</dl>\n<pre>{shown(plain)}</pre>\n</section>'


def _plain(value: Json) -> Json:
    return dict(value) if isinstance(value, Mapping) else str(value)
