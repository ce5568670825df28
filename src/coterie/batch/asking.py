"""Asking one row: whatever goes wrong with it is its result, and the batch goes on."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, replace
from typing import Any

from coterie.batch import results
from coterie.batch.questions import is_body, question
from coterie.batch.rows import Columns, Row
from coterie.committee import Committee
from coterie.config import Config
from coterie.errors import CoterieError, NoAnswer
from coterie.gateway import orders, refusal
from coterie.gateway.asking import check_json
from coterie.gateway.catalog import PREFIX, Catalog
from coterie.gateway.orders import Order
from coterie.gateway.refusal import Refusal
from coterie.trace import Trace
from coterie.types import Json

log = logging.getLogger("coterie.batch")


@dataclass(frozen=True)
class Recipe:
    """What a row's result depends on besides the row and the configuration."""

    method: str = "default"
    """Who answers rows that name no model."""
    seed: int = 0
    columns: Columns = Columns()  # noqa: RUF009


class Asker:
    """Asks rows of one committee."""

    def __init__(self, committee: Committee, recipe: Recipe) -> None:
        self._committee = committee
        self._recipe = recipe
        self._config: Config = committee.config
        self._catalog = Catalog(committee.config)

    async def ask(self, row: Row, traces: list[Trace]) -> dict[str, Json]:
        """The row's result. The run that was made for it leaves its trace in `traces`, also when it is cancelled."""
        columns = self._recipe.columns
        if row.fault:
            return results.failed(row, None, "invalid_row", row.fault)
        try:
            asked = question(row, columns, PREFIX + self._recipe.method)
            model = self._catalog.find(asked.model)
            order = orders.order(asked, model, self._config)
        except Refusal as error:
            place = "" if error.message.startswith(row.where) else f"{row.where}: "
            return results.failed(row, None, error.code or "invalid_row", place + error.message)
        if order.seed is None:
            order = replace(order, seed=seed_of(self._recipe.seed, row.number))
        return await self._answered(row, order, traces, document=is_body(row, columns))

    async def _answered(self, row: Row, order: Order, traces: list[Trace], *, document: bool) -> dict[str, Json]:
        how: dict[str, Any] = {**order.how, "on_trace": traces.append}
        name = order.model.id
        try:
            answer = await self._committee.aask(order.request, order.model.name, **how)
            if order.json:
                check_json(answer)
            return results.answered(row, name, answer, document=document)
        except NoAnswer as error:
            code = refusal.of_no_answer(error, None, order.model.is_member).code or "no_answer"
            return results.failed(row, name, code, str(error), _last(traces), error.failures)
        except Refusal as error:
            return results.failed(row, name, error.code or "invalid_answer", error.message, _last(traces))
        except CoterieError as error:
            return results.failed(row, name, "unavailable", str(error), _last(traces))
        except Exception as error:  # a part's defect costs one row
            log.exception("row %d failed", row.number)
            return results.failed(row, name, "internal", f"{type(error).__name__}: {error}", _last(traces))


def seed_of(seed: int, row: int) -> int:
    """The row's own seed: the same whichever rows were asked before it, and where."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{row}".encode()).digest()[:4])


def _last(traces: list[Trace]) -> Trace | None:
    return traces[-1] if traces else None
