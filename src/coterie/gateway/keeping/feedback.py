"""``POST /v1/feedback``: what somebody says of an answer, for routers that learn and for whoever trains later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from coterie.errors import ConfigError, StoreError
from coterie.gateway import bodies
from coterie.gateway.desk import Desk
from coterie.gateway.desk.service import Service
from coterie.gateway.keeping.runs import Runs, run_id
from coterie.gateway.misfit import misfit
from coterie.gateway.refusal import BUSY_S, Refusal
from coterie.prospects import Feedback
from coterie.store.plain import ROUTED

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

Name = Annotated[str, Field(min_length=1, max_length=200)]


class FeedbackRequest(BaseModel):
    """What is said of one answer."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    id: Name
    """The answer's id (``chatcmpl-...``, ``resp_...``, ``msg_...``), or its run's."""
    rating: Annotated[float, Field(ge=0, le=1)] | None = None
    """How good it was."""
    preferred: Name | None = None
    """The member whose answer was the better of two; with `over`."""
    over: Name | None = None
    """The member whose answer was the worse one."""
    tie: bool = False
    """The two were equally good."""
    correction: Annotated[str, Field(min_length=1, max_length=20_000)] | None = None
    """What should have been answered. Kept only where the store keeps texts."""

    def said(self) -> Feedback:
        """Raises `Refusal`."""
        try:
            return Feedback(self.rating, self.preferred, self.over, self.tie, self.correction)
        except ValueError as error:
            raise Refusal(400, str(error), code="invalid_value") from None


_READER = TypeAdapter(FeedbackRequest)


def read(body: bytes) -> FeedbackRequest:
    """Raises `Refusal` that names the first field that does not fit."""
    try:
        return _READER.validate_json(body)
    except ValidationError as error:
        raise misfit(error) from None


@dataclass(frozen=True)
class Hears:
    """Takes feedback on runs that the caller made."""

    desk: Desk
    runs: Runs

    async def posted(self, request: Request) -> Response:
        """Raises `Refusal`: 404 for a run that is not the caller's, or not known any more."""
        service = self.desk.service
        caller = service.keys.admit(request.headers)
        asked = read(await bodies.read(request))
        said = asked.said()
        if said.correction is not None and service.config.store is not None and not service.config.store.keep_texts:
            why = "a correction is a text, and this gateway keeps none (store.keep_texts)"
            raise Refusal(400, why, code="texts_not_kept", param="correction")
        service.keys.enter(caller, spends=False)
        run = run_id(asked.id)
        try:
            await self._check_known(service, run, caller.id)
            heard = await service.committee.afeedback(run, said)
        except StoreError:
            why = "the store that keeps feedback is out of reach"
            raise Refusal(503, why, code="unavailable", retry_after_s=BUSY_S) from None
        except ConfigError as error:
            raise Refusal(400, str(error), code="invalid_value") from None
        return bodies.json_response(
            {"object": "coterie.feedback", "run_id": run, "learned": heard.learned, "why": heard.why}
        )

    async def _check_known(self, service: Service, run: str, scope: str) -> None:
        """Afterwards the run is the caller's, as far as anybody knows whose it is.

        What a router keeps of a run to learn from outlives its trace and names nobody; a run's id is 128 random bits
        that only its caller was told.
        """
        try:
            await self.runs.find(run, scope)
        except Refusal as refusal:
            if refusal.status != 404 or self.desk.archive.belongs_to_other(run, scope):
                raise
            store = await service.committee.astore()
            if await store.records.get(ROUTED, run) is None:
                raise
