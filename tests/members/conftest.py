"""Real local models, opened once for the whole test session on one event loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import pytest
from local_models import CONTEXT_TOKENS, GEMMA, SMOL, Run

from coterie import weights
from coterie.errors import ModelFilesError
from coterie.house import House
from coterie.members.llama_cpp import LlamaCppMember, LlamaCppModel


@pytest.fixture(scope="session")
def on_loop() -> Iterator[Run[Any]]:
    """Runs a coroutine on the session's loop, where the engines live."""
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture(scope="session")
def house(on_loop: Run[Any]) -> Iterator[House]:
    house = House()
    on_loop(house.__aenter__())
    yield house
    on_loop(house.__aexit__(None, None, None))


@pytest.fixture(scope="session")
def smol_spec() -> LlamaCppMember:
    pytest.importorskip("xllamacpp")
    weights.pull(SMOL, consent=False)
    return LlamaCppMember("smol", SMOL, context_tokens=CONTEXT_TOKENS, slots=2)


@pytest.fixture(scope="session")
def smol(smol_spec: LlamaCppMember, house: House, on_loop: Run[LlamaCppModel]) -> LlamaCppModel:
    """SmolLM2 through its chat template."""
    return on_loop(smol_spec.open(house))


@pytest.fixture(scope="session")
def gemma(house: House, on_loop: Run[LlamaCppModel]) -> LlamaCppModel:
    """Gemma 3, a base model, through examples. Its terms need somebody's consent before it is fetched."""
    pytest.importorskip("xllamacpp")
    if os.environ.get("COTERIE_ACCEPT_GEMMA_TERMS") == "1":
        weights.pull(GEMMA, consent=True)
    try:
        weights.path(GEMMA)
    except ModelFilesError:
        pytest.skip("Gemma is not here: set COTERIE_ACCEPT_GEMMA_TERMS=1, or coterie models pull gemma-3-270m")
    return on_loop(LlamaCppMember("gemma", GEMMA, context_tokens=CONTEXT_TOKENS).open(house))
