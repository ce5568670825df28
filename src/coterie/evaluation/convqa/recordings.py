"""What members said, kept in a file: asked again, they are not asked again, and take as long as they took then."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from coterie.errors import ConfigError
from coterie.protocols import MemberSpec
from coterie.specs import describe, settable
from coterie.types import Completion, Json, Request, Scores, encodable

NOT_ITS_WORDS = ("timeout_s", "retries", "max_concurrency", "slots", "api_key", "replay_latency")
"""Settings of members that change nothing of what they say."""


@dataclass(frozen=True)
class Scored:
    """A call that scored texts."""

    texts: tuple[str, ...]
    scores: Scores


_KINDS: Mapping[str, type[Completion] | type[Scored]] = {"completion": Completion, "scored": Scored}

Key = tuple[str, str]
"""A member's digest and a request's fingerprint (with the texts that were scored)."""


class Recordings:
    """`coterie.run.Cache` over a JSON Lines file that grows: what was recorded outlives an interruption.

    A member is known by its name and settings, so one that was changed is asked anew. Failures are not
    kept. Texts that were scored in a call with others count as scored: the time of such a call is that of the recorded
    one, in proportion to the tokens read. A line that a crash left half written is dropped. Raises `ConfigError` for a
    file that is something else.
    """

    def __init__(self, path: str | os.PathLike[str], members: Iterable[MemberSpec]) -> None:
        self._path = Path(path)
        self._digests = {member.name: digest(member) for member in members}
        self._kept: dict[Key, Completion | Scored] = {}
        self._texts: dict[Key, dict[str, Scored]] = {}
        """By member and request: the call in which each text was scored."""
        self.recalled = 0
        """How often somebody was answered from here."""
        try:
            whole = self._read() if self._path.exists() else 0
            self._file = self._path.open("ab")
            self._file.truncate(whole)
        except OSError as error:
            raise ConfigError(f"cannot keep recordings in {str(path)!r}: {error.strerror}") from error

    def __len__(self) -> int:
        return len(self._kept)

    # ---- the cache ----

    def get(self, member: str, request: Request) -> Completion | None:
        kept = self._recall(self._key(member, request))
        return replace(kept, member=member) if isinstance(kept, Completion) else None

    def put(self, member: str, request: Request, completion: Completion) -> None:
        self._keep(self._key(member, request), "completion", replace(completion, member="", call=""))

    def get_scores(self, member: str, request: Request, texts: tuple[str, ...]) -> Scores | None:
        kept = self._recall(self._key(member, request, texts))
        if isinstance(kept, Scored):
            return replace(kept.scores, member=member)
        calls = [self._texts.get(self._key(member, request), {}).get(text) for text in texts]
        found = [call for call in calls if call is not None]
        if not texts or len(found) < len(texts):
            return None
        self.recalled += 1
        return replace(_together(texts, found), member=member)

    def put_scores(self, member: str, request: Request, texts: tuple[str, ...], scores: Scores) -> None:
        scored = Scored(texts, replace(scores, member="", call=""))
        self._index(self._key(member, request), scored)
        self._keep(self._key(member, request, texts), "scored", scored, request.fingerprint)

    def _index(self, key: Key, scored: Scored) -> None:
        known = self._texts.setdefault(key, {})
        for text in scored.texts:
            known.setdefault(text, scored)

    # ---- the file ----

    def _key(self, member: str, request: Request, texts: tuple[str, ...] = ()) -> Key:
        asked = request.fingerprint if not texts else _sha([request.fingerprint, list(texts)])
        return self._digests[member], asked

    def _recall(self, key: Key) -> Completion | Scored | None:
        kept = self._kept.get(key)
        self.recalled += kept is not None
        return kept

    def _keep(self, key: Key, kind: str, said: Completion | Scored, about: str = "") -> None:
        self._kept[key] = said
        line = {"member": key[0], "asked": key[1], "about": about, kind: dataclasses.asdict(said)}
        text = json.dumps(line, ensure_ascii=False)
        self._file.write((text if encodable(text) else json.dumps(line)).encode() + b"\n")
        self._file.flush()

    def _read(self) -> int:
        """Take in what the file holds; how many of its bytes are whole lines."""
        whole = 0
        for number, line in enumerate(self._path.read_bytes().splitlines(keepends=True), 1):
            if not line.endswith(b"\n"):
                break
            whole += len(line)
            try:
                record = json.loads(line)
                kind = next(name for name in _KINDS if name in record)
                said = _adapter(kind).validate_python(record[kind])
                self._kept[record["member"], record["asked"]] = said
                if isinstance(said, Scored):
                    self._index((record["member"], record["about"]), said)
            except (ValueError, KeyError, TypeError, StopIteration) as error:
                raise ConfigError(
                    f"{str(self._path)!r}:{number} is no recording of a member: {error!r:.200}"
                ) from error
        return whole

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def digest(member: MemberSpec) -> str:
    """The same for members of one name that are set alike; what only code can set is not looked at."""
    of_words = [name for name, _ in settable(type(member)) if name not in NOT_ITS_WORDS]
    settings = describe("members", member)
    return _sha([type(member).__qualname__, *((name, settings.get(name)) for name in of_words)])[:16]


def _sha(value: Json) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode("ascii")).hexdigest()


def _together(texts: tuple[str, ...], calls: list[Scored]) -> Scores:
    """The scores of `texts`, each out of the call at its place, as one call would have given them."""
    scores = tuple(call.scores.scores[call.texts.index(text)] for text, call in zip(texts, calls, strict=True))
    first = calls[0].scores
    read = first.usage.input_tokens
    if read is None:
        return replace(first, scores=scores)
    prompt = read - sum(score.tokens for score in first.scores)
    tokens = prompt + sum(score.tokens for score in scores)
    usage = replace(first.usage, input_tokens=tokens)
    return replace(first, scores=scores, usage=usage, latency_s=first.latency_s * tokens / max(1, read))


@cache
def _adapter(kind: str) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(_KINDS[kind])
