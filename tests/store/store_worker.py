"""Another process at the same database: what it is told on the command line, until it is done or killed."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from coterie.protocols import Store
from coterie.store import Database
from coterie.types import Json, Message, Secret, Transcript


def start(task: str, url: str | Path, *rest: object, path: Path | None = None) -> subprocess.Popen[str]:
    """A process that does `task`; what it says can be read from its standard output.

    `path` is where it finds the package, if that is not where this process does.
    """
    command = [sys.executable, "-W", "error", str(Path(__file__)), task, *map(str, (url, *rest))]
    env = os.environ | ({"PYTHONPATH": str(path)} if path else {})
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)


def asked(number: int) -> tuple[Message, ...]:
    """What a client sends on that turn of the conversation that `talk` leads."""
    past = [
        m for n in range(1, number) for m in (Message("user", f"question {n}"), Message("assistant", f"answer {n}"))
    ]
    return (*past, Message("user", f"question {number}"))


def say(word: object) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


async def count(store: Store, name: str, times: str) -> None:
    """Add one to a record, many times."""
    say("ready")
    for _ in range(int(times)):
        await store.records.update("count", name, lambda value: (value or 0) + 1)


async def hold(store: Store, name: str) -> None:
    """Begin to change a record, and never come to an end."""

    def never(_value: Json) -> Json:
        say("held")
        time.sleep(600)

    await store.records.update("count", name, never)


async def talk(store: Store, name: str) -> None:
    """Answer turn after turn of one conversation, and say each number once the turn is kept."""
    after = None
    for number in itertools.count(1):
        transcript, answer = Transcript(asked(number)), Message("assistant", f"answer {number}")
        after = await store.conversations.remember(transcript, answer, f"{name}-{number}", {"turn": number}, after)
        say(number)


async def note(store: Store, space: str, who: str, times: str) -> None:
    """Add pairs of entries to a journal, and say the second one's number once both are kept."""
    say("ready")
    for number in range(1, int(times) + 1):
        say(await store.journals.append(space, [[who, number, "first"], [who, number, "second"]]))


async def look(_store: Store) -> None:
    """Open it, and no more."""
    say("ready")


TASKS: dict[str, Callable[..., Awaitable[None]]] = {
    "count": count,
    "hold": hold,
    "talk": talk,
    "note": note,
    "look": look,
}


async def main(task: str, url: str, *rest: str) -> None:
    async with Database(Secret(url), wait_s=60.0).open() as store:
        await TASKS[task](store, *rest)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
