"""Every error this library raises, in one tree.

    CoterieError
    |-- ConfigError        a configuration, a part or an argument that cannot work (exit status 2)
    |   |-- MissingExtra   a part needs a package that is not installed
    |   `-- MissingWeights a part needs weights that are not here, and could not be fetched
    |-- NoAnswer           no member gave anything to answer from (exit status 1)
    |-- MemberError        one call to one member failed; the run turns it into a `Failure`
    |-- TraceError         a trace file that cannot be read
    |-- RouterError        a router or its encoder that cannot say anything now
    |-- StoreError         the store cannot be opened, read or written
    `-- ModelFilesError    a local model that cannot be fetched or found

A message says what was wrong, with its ``repr``, and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence

from coterie.types import Failure, FailureKind, Usage


class CoterieError(Exception):
    """The root of the tree."""


class ConfigError(CoterieError):
    """A configuration that cannot work. The message names the key and what is allowed there."""


class MissingExtra(ConfigError):
    """A part needs an optional package that is not installed."""

    def __init__(self, what: str, extra: str, module: str) -> None:
        super().__init__(f"{what} needs {module!r}, which is not installed: pip install 'coterie[{extra}]'")


class MissingWeights(ConfigError):
    """A part needs weights that are not here, and could not be fetched."""


class NoAnswer(CoterieError):
    """No member gave anything to answer from."""

    def __init__(self, message: str, failures: Sequence[Failure] = ()) -> None:
        super().__init__(message)
        self.failures = tuple(failures)
        """Who failed, and how."""


class MemberError(CoterieError):
    """One call to one member failed. Members raise it; the run makes it a `Failure`, which is a value."""

    def __init__(
        self,
        message: str,
        kind: FailureKind,
        *,
        retryable: bool = False,
        retry_after_s: float | None = None,
        usage: Usage | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.retryable = retryable
        """True when the same call may well succeed a moment later, and nothing of it was used yet."""
        self.retry_after_s = retry_after_s
        """What the endpoint asked for, in seconds."""
        self.usage = usage
        """What the failed call consumed; ``None`` when unknown."""
        self.status = status
        """The HTTP status, where there was one."""


class TraceError(CoterieError):
    """A trace file that cannot be read."""


class RouterError(CoterieError):
    """A router or its encoder that cannot say anything now (an endpoint that is away). No message holds a prompt."""


class StoreError(CoterieError):
    """The store cannot be opened, read or written. No message holds a password or a text of a conversation."""


class ModelFilesError(CoterieError):
    """A local model that cannot be fetched or found."""
