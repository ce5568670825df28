"""What fusing is worth, as numbers with intervals, as a table and in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from coterie.errors import ConfigError
from coterie.evaluation.fusing import Fused, Measure, Shown
from coterie.evaluation.significance import STANDARD, Bootstrap, Difference, Estimate, difference, estimate
from coterie.types import Json

NOTHING = "–"

HEADINGS = ("measured by", "prompts", "best candidate", "fused", "gain", "wins/ties/losses")


@dataclass(frozen=True)
class Line:
    """One measurement of both texts, with intervals over prompts."""

    name: str
    best: Estimate
    fused: Estimate
    gain: Difference
    """The fused text's less the best candidate's, prompt by prompt."""
    judges: bool
    """True where more is better."""

    @property
    def verdict(self) -> str:
        """`gains`, `loses`, or `level` where the interval holds 0; empty where there is none, or nothing is judged."""
        value = self.gain.estimate.value
        if not self.judges or value is None or self.gain.clear is None:
            return ""
        if not self.gain.clear:
            return "level"
        return "gains" if value > 0 else "loses"


@dataclass(frozen=True)
class Worth:
    """What a fuser is worth on some prompts."""

    fuser: str
    chooser: str
    """Who chose the candidates that it was shown."""
    top_k: int
    """How many at most; 0 for all."""
    prompts: int
    lines: tuple[Line, ...]
    copies_of_best: Estimate
    """Share of the fused texts that are the best candidate to the letter."""
    copies: Estimate
    """Share of the fused texts that are any candidate the fuser was shown."""
    failures: int
    """Prompts on which the fuser wrote nothing; the best candidate stands in for its text."""
    notes: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Names:
    """What was evaluated."""

    fuser: str
    chooser: str
    top_k: int


def worth(
    names: Names,
    prompts: Sequence[Shown],
    fused: Sequence[Fused],
    measures: Sequence[Measure],
    *,
    notes: Sequence[str] = (),
    left_out: Mapping[str, int] | None = None,
    bootstrap: Bootstrap = STANDARD,
) -> Worth:
    """Everything that was measured, with intervals."""
    errors = [made.error for made in fused if made.error]
    failed = (
        (f"the fuser wrote nothing on {len(errors)} of {len(prompts)} prompts; first: {errors[0]}",) if errors else ()
    )
    return Worth(
        names.fuser,
        names.chooser,
        names.top_k,
        len(prompts),
        tuple(_line(measure, bootstrap) for measure in measures),
        estimate(_copied(prompts, fused, 1), bootstrap=bootstrap),
        estimate(_copied(prompts, fused, None), bootstrap=bootstrap),
        len(errors),
        (*notes, *failed),
        dict(left_out or {}),
    )


def check(prompts: Sequence[Shown], left_out: Mapping[str, int]) -> None:
    """Raises `ConfigError` where there is no prompt to measure on, saying why."""
    if not prompts:
        why = ", ".join(f"{n} {reason}" for reason, n in left_out.items())
        raise ConfigError(f"there is no example on which fusing can be measured: {why or 'there is none at all'}")


def _line(measure: Measure, bootstrap: Bootstrap) -> Line:
    """A measurement with its intervals, of the prompts where both texts have a number."""
    both = [(a, b) for a, b in zip(measure.best, measure.fused, strict=True) if a is not None and b is not None]
    best, fused = ([pair[n] for pair in both] for n in (0, 1))
    return Line(
        measure.name,
        estimate(best, bootstrap=bootstrap),
        estimate(fused, bootstrap=bootstrap),
        difference(fused, best, bootstrap=bootstrap),
        measure.judges,
    )


def _copied(prompts: Sequence[Shown], fused: Sequence[Fused], first: int | None) -> list[float]:
    """1 for each text written that is one of the `first` candidates, white space at its ends aside."""
    return [
        float(made.text.strip() in {text.strip() for text in prompt.best[:first]})
        for prompt, made in zip(prompts, fused, strict=True)
        if not made.error
    ]


# ---- telling ----------------------------------------------------------------------------------


def told(found: Worth) -> Iterator[str]:
    """Whether fusing gains or loses, in sentences; the last one sums them up."""
    judging = [line for line in found.lines if line.judges]
    for line in judging:
        yield _sentence(line)
    if (share := found.copies.value) is not None and found.copies_of_best.value is not None:
        yield (
            f"Copying: {found.copies_of_best.value:.0%} of the fused texts are the best candidate to the letter, "
            f"{share:.0%} are one of the candidates shown."
        )
    yield _verdict(judging)


def _sentence(line: Line) -> str:
    gain = line.gain.estimate
    if gain.value is None:
        return f"{line.name}: no prompt has a number for both texts."
    between = f"[{gain.low:+.3f}, {gain.high:+.3f}]" if gain.low is not None and gain.high is not None else ""
    told_as = {"gains": "fusing gains", "loses": "fusing loses", "level": "no clear difference,"}
    said = told_as.get(line.verdict, "too few prompts for an interval,")
    return f"{line.name}: {said} {gain.value:+.3f} {between}".rstrip() + f" on {gain.n} prompts."


def _verdict(lines: Sequence[Line]) -> str:
    said = [line.verdict for line in lines]
    gained, lost = said.count("gains"), said.count("loses")
    if not any(said):
        return "In short: nothing measured says whether fusing gains or loses."
    of = f"of {len(said)} measurements" if len(said) > 1 else "measurement"
    if gained and lost:
        return f"In short: fusing gains in {gained} and loses in {lost} {of}."
    if gained:
        return f"In short: fusing gains over the best candidate in {gained} {of}, and loses in none."
    if lost:
        return f"In short: fusing loses against the best candidate in {lost} {of}, and gains in none."
    return "In short: fusing neither gains nor loses clearly; it does not pay for its generation here."


def rows(found: Worth) -> Iterator[tuple[str, ...]]:
    """The table, under `HEADINGS`."""
    for line in found.lines:
        gain = line.gain
        yield (
            line.name,
            str(gain.estimate.n),
            _number(line.best, line),
            _number(line.fused, line),
            _interval(gain.estimate, line),
            f"{gain.wins}/{gain.ties}/{gain.losses}",
        )


def _number(of: Estimate, line: Line) -> str:
    return NOTHING if of.value is None else f"{of.value:.{_digits(line)}f}"


def _interval(of: Estimate, line: Line) -> str:
    digits = _digits(line)
    if of.value is None:
        return NOTHING
    if of.low is None or of.high is None:
        return f"{of.value:+.{digits}f}"
    return f"{of.value:+.{digits}f} [{of.low:+.{digits}f}, {of.high:+.{digits}f}]"


def _digits(line: Line) -> int:
    return 3 if line.judges else 1


def as_json(found: Worth) -> dict[str, Json]:
    """The whole as plain data, intervals in full."""
    data = asdict(found)
    for line, of in zip(found.lines, data["lines"], strict=True):
        of["verdict"] = line.verdict
    return {**data, "in_words": list(told(found))}


def markdown(found: Worth) -> str:
    """The whole as a part of a Markdown page."""
    table = [HEADINGS, ["---"] * len(HEADINGS), *rows(found)]
    shown = f"the {found.top_k} best candidates" if found.top_k else "all candidates"
    parts = [
        f"{found.fuser} wrote out of {shown}, chosen by {found.chooser}, on {found.prompts} prompts; gains with 95 % "
        f"bootstrap intervals over prompts. A vote is 1 for the one, 0 for the other, and a half for a tie.",
        "\n".join(f"| {' | '.join(row)} |" for row in table),
        "\n".join(f"- {sentence}" for sentence in (*told(found), *found.notes)),
    ]
    return "\n\n".join(parts) + "\n"
