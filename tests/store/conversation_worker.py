"""Another process that leads conversations over a shared store, until it is done or killed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent.parent


def start(policy: str, url: str, name: str = "", latency_s: float = 0.0) -> subprocess.Popen[str]:
    """A process that leads the conversation of ten questions under the policy of that name.

    It says the number of the conversation and the plan of each turn, once that turn was answered. Its members
    take `latency_s` for all they do.
    """
    command = [sys.executable, "-W", "error", str(Path(__file__)), policy, url, name, str(latency_s)]
    env = os.environ | {"PYTHONPATH": str(TESTS)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)


async def main(policy: str, url: str, name: str, latency_s: str) -> None:
    from coterie import Committee
    from coterie.specs import build
    from coterie.store import Database
    from coterie.types import Place
    from ten_questions_live import QUESTIONS, Client, by_judge, members

    method = by_judge(build("policies", policy))
    async with Committee(members(float(latency_s)), {"default": method}, store=Database.at(url)) as made:
        client = Client(made, Place(name or None, turns=10))
        for question in QUESTIONS:
            plan = await client.ask(question)
            sys.stdout.write(f"{client.planned.conversation} {plan}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
