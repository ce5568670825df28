"""What the tests of local members have in common."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, T]], T]
"""Runs a coroutine on the loop of the whole test session, where the engines live."""

SMOL = "smollm2-135m-instruct"
GEMMA = "gemma-3-270m"
CONTEXT_TOKENS = 768
