"""Answers as events of the Responses API: numbered, each with its name, and a last one that says how it ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from uuid import uuid4

from coterie.answer import Answer
from coterie.gateway.event_stream import event
from coterie.gateway.refusal import Refusal
from coterie.gateway.responses import documents
from coterie.gateway.responses.documents import Documents
from coterie.types import Json


@dataclass
class ResponsesWriter:
    """Writes one response. A text is the first item, at index 0, and so is a refusal; functions that are called come
    after it, whole."""

    documents: Documents
    run: str = ""
    """Empty until the response was begun."""
    speaking: bool = False
    """True once the message and its text were begun."""
    written: int = 0
    """Events so far, which is the next one's number."""

    def opening(self, run: str) -> Iterator[bytes]:
        self.run = run
        document = self.documents.begun(run)
        yield self._event("response.created", response=document)
        yield self._event("response.in_progress", response=document)

    def text(self, piece: str) -> Iterator[bytes]:
        if not self.speaking:
            yield from self._speak()
        yield self._of_part("response.output_text.delta", 0, delta=piece, logprobs=[])

    def closing(self, answer: Answer) -> Iterator[bytes]:
        items = documents.output(answer, spoken=self.speaking)
        for index, item in enumerate(items):
            if item["type"] == "message":
                yield from self._message(item)
            else:
                yield from self._call(index, item)
        document = self.documents.ended(answer, items)
        yield self._event(f"response.{document['status']}", response=document)

    def failing(self, refusal: Refusal) -> Iterator[bytes]:
        """The response failed, and then an error.

        Some clients look at the first alone. Others read only text and would take half of it for the whole, but their
        library raises at the second: it has the fields in both places where libraries look for them.
        """
        if not self.run:
            yield from self.opening(f"run-{uuid4().hex}")
        yield self._event("response.failed", response=self.documents.failed(self.run, refusal))
        error: Mapping[str, Json] = refusal.body["error"]
        flat = {name: error[name] for name in ("code", "message", "param")}
        yield self._event("error", **flat, error=error)

    # ---- the parts of it ----------------------------------------------------------------------

    def _speak(self) -> Iterator[bytes]:
        self.speaking = True
        yield self._begun()
        yield self._of_part("response.content_part.added", 0, part=documents.text_part(""))

    def _begun(self) -> bytes:
        message = documents.message(self.run, "in_progress", [])
        return self._event("response.output_item.added", output_index=0, item=message)

    def _message(self, item: Mapping[str, Json]) -> Iterator[bytes]:
        """Its end."""
        parts = item["content"]
        if not self.speaking:
            yield from [self._begun()] if parts[0]["type"] == "refusal" else self._speak()
        for place, part in enumerate(parts):
            yield from (self._refusal if part["type"] == "refusal" else self._text_end)(place, part)
            yield self._of_part("response.content_part.done", place, part=part)
        yield self._event("response.output_item.done", output_index=0, item=item)

    def _text_end(self, place: int, part: Mapping[str, Json]) -> Iterator[bytes]:
        """Log-probabilities are known once the text is written: they stand here, and in no delta."""
        yield self._of_part("response.output_text.done", place, text=part["text"], logprobs=part["logprobs"])

    def _refusal(self, place: int, part: Mapping[str, Json]) -> Iterator[bytes]:
        yield self._of_part("response.content_part.added", place, part=documents.refusal_part(""))
        yield self._of_part("response.refusal.delta", place, delta=part["refusal"])
        yield self._of_part("response.refusal.done", place, refusal=part["refusal"])

    def _call(self, index: int, item: Mapping[str, Json]) -> Iterator[bytes]:
        begun = {**item, "status": "in_progress", "arguments": ""}
        place = {"item_id": item["id"], "output_index": index}
        yield self._event("response.output_item.added", output_index=index, item=begun)
        if arguments := item["arguments"]:
            yield self._event("response.function_call_arguments.delta", **place, delta=arguments)
        yield self._event(
            "response.function_call_arguments.done", **place, name=item["name"], arguments=item["arguments"]
        )
        yield self._event("response.output_item.done", output_index=index, item=item)

    def _of_part(self, kind: str, place: int, **more: Json) -> bytes:
        where = {"item_id": documents.message_id(self.run), "output_index": 0, "content_index": place}
        return self._event(kind, **where, **more)

    def _event(self, kind: str, **more: Json) -> bytes:
        said = {"type": kind, "sequence_number": self.written, **more}
        self.written += 1
        return b"event: " + kind.encode() + b"\n" + event(said)
