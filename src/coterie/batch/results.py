"""What became of a row, as plain data under the names of the output's columns."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from coterie.answer import Answer, failures_json
from coterie.batch.rows import Row
from coterie.gateway.bodies import sound
from coterie.gateway.chat import completions
from coterie.trace import Trace
from coterie.types import Failure, Json, Usage

COLUMNS = ("row", "model", "answer", "how", "author", "partial", "usage", "run", "failures", "error", "response")
"""What the output adds to the input's columns, in this order."""


def answered(row: Row, model: str, answer: Answer, *, document: bool) -> dict[str, Json]:
    """An answered row; with `document` also the answer in the form of OpenAI's batches."""
    body = completions.whole([answer], model) if document else None
    response = {"status_code": 200, "request_id": answer.id, "body": body} if document else None
    return {
        "row": row.number,
        "model": model,
        "answer": sound(str(answer)),
        "how": answer.how,
        "author": answer.candidate.author,
        "partial": answer.partial,
        "usage": _usage(answer.usage, answer.trace),
        "run": answer.id,
        "failures": _failures(answer.failures),
        "error": None,
        "response": response,
    }


def failed(
    row: Row,
    model: str | None,
    code: str,
    message: str,
    trace: Trace | None = None,
    failures: tuple[Failure, ...] = (),
) -> dict[str, Json]:
    """A row without an answer, and why; `trace` is of the run that was made for it, if there was one.

    Without a `model` nobody was asked, and nobody would be another time.
    """
    finished = trace.finished if trace is not None else None
    usage = _usage(finished.usage, trace) if finished is not None and trace is not None else None
    return {
        "row": row.number,
        "model": model,
        "answer": None,
        "how": None,
        "author": None,
        "partial": None,
        "usage": usage,
        "run": trace.started.run if trace is not None else None,
        "failures": _failures(failures),
        "error": {"code": code, "message": sound(message)},
        "response": None,
    }


def merged(fields: Mapping[str, Json], result: Mapping[str, Json]) -> dict[str, Json]:
    """The output's row: the input's columns unchanged, then the result's."""
    names = renamed(fields)
    return {**{names[name]: value for name, value in fields.items()}, **result}


def renamed(columns: Collection[str]) -> dict[str, str]:
    """The output's name of each of the input's `columns`: its own, unless the result has one of that name."""
    taken = {*columns, *COLUMNS}
    names = {}
    for name in columns:
        new = name
        if name in COLUMNS:
            new = f"input_{name}"
            while new in taken:
                new = f"input_{new}"
            taken.add(new)
        names[name] = new
    return names


def _usage(usage: Usage, trace: Trace) -> dict[str, Json]:
    return {
        "calls": usage.calls,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cost_usd": usage.cost_usd,
        "known_cost_usd": trace.bill.known_usd,
    }


def _failures(failures: tuple[Failure, ...]) -> list[dict[str, Json]]:
    return [{name: sound(str(said)) for name, said in failure.items()} for failure in failures_json(failures)]
