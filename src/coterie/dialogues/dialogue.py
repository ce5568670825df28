"""What a dialogue is: a conversation of questions with known answers."""

from __future__ import annotations

from dataclasses import dataclass, replace

from coterie.errors import ConfigError

UNKNOWN = "unknown"
"""A gold answer that says there is none. CoQA's own word; what other data sets mark otherwise is read as this."""

NO_ANSWER = "noAnswer"
"""How INSCIT's kinds of answers begin that tell why there is no direct one."""


@dataclass(frozen=True)
class Question:
    """One turn: what is asked, and what is known of the answer."""

    text: str
    answers: tuple[str, ...] = ()
    """Gold answers, one an annotator; the first is the main one, on which later questions build.

    Empty where nobody gave one: such a question can be asked and not scored.
    """
    evidence: tuple[str, ...] = ()
    """Words of the passage that the main answer rests on."""
    passages: tuple[str, ...] = ()
    """What this turn is to be answered from, where every turn has texts of its own."""
    verbalized: tuple[str, ...] = ()
    """The main answer as whole sentences."""
    kinds: tuple[str, ...] = ()
    """Aligned with ``answers`` where the data set says what each one does: ``directAnswer``, ``clarification``..."""

    def __post_init__(self) -> None:
        if not all(text.strip() for text in (self.text, *self.answers)):
            raise ValueError(f"neither a question nor an answer is blank, unlike those of {self!r:.200}")
        if self.kinds and len(self.kinds) != len(self.answers):
            raise ValueError(f"{len(self.kinds)} kinds were given for {len(self.answers)} answers to {self.text!r:.80}")

    @property
    def unanswerable(self) -> bool:
        """True where the main gold answer says that there is none."""
        if self.kinds and self.kinds[0].startswith(NO_ANSWER):
            return True
        return bool(self.answers) and self.answers[0].casefold().rstrip(".!") == UNKNOWN

    def led_by(self, answer: str) -> Question:
        """The same question with `answer` as the main one; unchanged where it is none of the answers."""
        if answer not in self.answers:
            return self
        first = self.answers.index(answer)
        order = (first, *(n for n in range(len(self.answers)) if n != first))
        kinds = tuple(self.kinds[n] for n in order) if self.kinds else ()
        return replace(self, answers=tuple(self.answers[n] for n in order), kinds=kinds)


@dataclass(frozen=True)
class Dialogue:
    """A conversation: questions in their order, and what they may be answered from."""

    dataset: str
    id: str
    questions: tuple[Question, ...]
    domain: str = ""
    """Empty where the data set has none."""
    passage: str = ""
    """What every turn is to be answered from; empty for closed book."""
    title: str = ""
    """What it is about: an article and its section, a post, an entity."""
    background: str = ""
    """What the asker had read before: QuAC's first paragraph of the article, DoQA's post."""
    dropped: int = 0
    """Questions left out at its end, the first of which has no gold answer."""

    def __post_init__(self) -> None:
        if not self.questions:
            raise ValueError(f"{self.id!r} of {self.dataset!r} has no questions, so it is no dialogue")

    @property
    def closed_book(self) -> bool:
        """True where there is nothing to answer from."""
        return not self.passage and not any(question.passages for question in self.questions)

    def question(self, turn: int) -> Question:
        """The question of a turn, numbered from 1. Raises `ConfigError` where there is no such turn."""
        if not 1 <= turn <= len(self.questions):
            raise ConfigError(f"{self.id!r} of {self.dataset!r} has turns 1 to {len(self.questions)}, not {turn!r}")
        return self.questions[turn - 1]

    def context(self, turn: int) -> str:
        """What an answer at that turn may rest on, as metrics of support read it; empty for closed book."""
        return "\n\n".join(filter(None, (self.passage, *self.question(turn).passages)))
