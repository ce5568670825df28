"""A pool of scripted members and short conversations, for the tests of the evaluation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from coterie import PeerBlend, PeerReview, RankAndFuse, Reply, Request, ScriptedMember
from coterie.config import Config
from coterie.dialogues import Dialogue, Question
from coterie.judges.length import Length
from coterie.judges.peer_review import CRITERIA
from coterie.protocols import Method
from coterie.types import BallotMode

GOLD = {"Who wrote it?": "Ann Lee", "And when?": "in 1901", "Where?": "Oslo", "Why?": "for money"}


def dialogues(number: int = 3, turns: int = 4) -> tuple[Dialogue, ...]:
    questions = tuple(Question(asked, (answer,)) for asked, answer in list(GOLD.items())[:turns])
    return tuple(Dialogue("demo", f"d{n}", questions, "books", passage=f"Passage {n}.") for n in range(number))


def question_of(request: Request) -> str:
    """The question that the last turn asks."""
    return request.messages[-1].text.rpartition("Question: ")[2]


class Script:
    """What a member says, and how often it was asked for what: `knows` are the questions it can answer."""

    def __init__(self, name: str, knows: Mapping[str, str], **how: object) -> None:
        self.name = name
        self.knows = knows
        self.how = how
        self.asked: list[str] = []

    def member(self) -> ScriptedMember:
        return replace(ScriptedMember(self.name, script=self._say), **self.how)  # type: ignore[arg-type]

    def _say(self, request: Request, number: int) -> Reply:
        text = request.messages[-1].text
        if text.startswith("You are reviewing"):
            self.asked.append("review")
            return Reply(json.dumps({"scores": dict(_scores(text))}))
        if text.startswith("Several assistants"):
            self.asked.append("fuse")
            return Reply(re.findall(r"<answer-\w+ id=\"1\">\n(.*?)\n", text)[0])
        self.asked.append("generate")
        return Reply(self.knows.get(question_of(request), f"{self.name} does not know"))


def _scores(prompt: str) -> Iterator[tuple[str, int]]:
    """5 for a right answer and 2 for any other: of each, or of the only one by every criterion."""
    for label, text in re.findall(r'<answer-\w+(?: id="(\w+)")?>\n(.*?)\n</answer-\w+>', prompt, re.DOTALL):
        yield from ((name, 5 if text in GOLD.values() else 2) for name in ([label] if label else CRITERIA))


def pool() -> list[Script]:
    """ann knows the first two answers, bob the third, cat nothing."""
    known = list(GOLD.items())
    return [Script("ann", dict(known[:2])), Script("bob", dict(known[2:3])), Script("cat", {})]


def config(scripts: list[Script]) -> Config:
    names = tuple(script.name for script in scripts)
    methods: dict[str, Method] = {
        "peers": PeerBlend(names, 2, review=PeerReview(ballot=BallotMode.TEXT)),
        "blender": RankAndFuse(names, Length(), "mean", 2),
    }
    return Config({script.name: script.member() for script in scripts}, methods)
