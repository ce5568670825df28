"""``coterie eval fuser``: whether a fused text is worth more than the best candidate that was there for nothing."""

from __future__ import annotations

import json as json_text
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coterie.cli import screen
from coterie.cli.sources import ConfigOption, JsonOption
from coterie.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from coterie.config import Config
    from coterie.evaluation.fusing import Fused, Measure, Shown
    from coterie.evaluation.fusing_choice import Choice
    from coterie.evaluation.fusing_worth import Worth
    from coterie.examples import Example
    from coterie.protocols import Fuser, Judge


DataArgument = Annotated[
    str, typer.Argument(help="A file of examples with references, plain or gzipped, or owner/repository/file.jsonl.")
]
FuserOption = Annotated[
    str,
    typer.Option(
        "--fuser",
        help="A fuser's kind, a trained fuser's folder, or {kind: ..., setting: ...}; NAME= before it names it.",
    ),
]
BaseOption = Annotated[
    str | None,
    typer.Option("--base", help="The model under an adapter: a folder, a hub name, a GGUF file or a pulled model."),
]
RankerOption = Annotated[
    str,
    typer.Option(
        "--ranker",
        help="Who chooses the candidates: a judge, as in eval rank; scores (by --by), or none (by lot).",
    ),
]
ByOption = Annotated[str | None, typer.Option("--by", help="The score in the data to choose by, with --ranker scores.")]
TopOption = Annotated[
    int, typer.Option("--top-k", min=0, help="Candidates that are shown, the best so many; 0 for all.")
]
MetricOption = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        help="What holds a text against the reference: rougeL, or {name: bertscore, model: ..., num_layers: ...}. "
        "Repeat it for several. Default: rougeL.",
    ),
]
JudgeOption = Annotated[
    str | None, typer.Option("--judge", help="Who votes between the fused text and the best candidate: a judge.")
]
LimitOption = Annotated[int | None, typer.Option("--limit", min=1, help="At most so many examples, drawn by the seed.")]
HeldOutOption = Annotated[
    float | None,
    typer.Option(
        "--held-out", min=0.0, max=1.0, help="Only the share of prompts that training with this share sets aside."
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", help="Of the examples drawn, the judges' draws and the intervals.")]
BatchOption = Annotated[int, typer.Option("--batch", min=1, help="Texts written at once by weights of its own.")]
CardOption = Annotated[bool, typer.Option("--card", help="Add the result to the card in the trained fuser's folder.")]


def fuser(
    data: DataArgument,
    *,
    fuser: FuserOption,
    base: BaseOption = None,
    ranker: RankerOption = "length",
    by: ByOption = None,
    top_k: TopOption = 3,
    metric: MetricOption = None,
    judge: JudgeOption = None,
    limit: LimitOption = None,
    held_out: HeldOutOption = None,
    seed: SeedOption = 42,
    batch: BatchOption = 16,
    config: ConfigOption = None,
    card: CardOption = False,
    json: JsonOption = False,
) -> None:
    """Compare fused texts with the best candidates: metrics against the reference, a judge's vote, copying, lengths.

    Prints each with its 95 % bootstrap interval over prompts, and says in words whether fusing gains or loses.
    """
    from coterie.cli.eval import drawn, read_examples
    from coterie.evaluation.fusing_choice import choice_of

    asked = _Asked.of(fuser, base, judge, metric or ["rougeL"], config, card=card)
    examples = drawn(read_examples(data, held_out), limit, seed)
    choice = choice_of(ranker, examples, by)
    found, samples = screen.run(_evaluated(asked, choice, examples, top_k, seed, batch))
    told = {"data": Path(data).name, "held_out": held_out, "limit": limit, "seed": seed, **_json(found)}
    if card and asked.folder is not None:
        _add_to_card(asked.folder, told, found)
    if json:
        screen.print_json({**told, "samples": samples})
        return
    screen.show(_shown(found))


@dataclass(frozen=True)
class _Asked:
    """What is to be evaluated, and by what."""

    name: str
    fuser: Fuser
    folder: Path | None
    """The trained fuser's, where it is one."""
    judge: tuple[str, Judge] | None
    metrics: Sequence[Any]
    config: Config | None

    @classmethod
    def of(
        cls, fuser: str, base: str | None, judge: str | None, metrics: Sequence[str], config: Path | None, *, card: bool
    ) -> _Asked:
        from coterie.cli import sources
        from coterie.evaluation.fusers import fuser_of
        from coterie.evaluation.judges import judge_of

        name, part, folder = fuser_of(fuser, base)
        if card and folder is None:
            raise ConfigError(f"--card adds to the card in a trained fuser's folder, and {fuser!r} is none")
        voter = judge_of(judge) if judge else None
        asks_members = any(getattr(one, "asks", ()) for one in (part, voter[1] if voter else None))
        return cls(
            name,
            part,
            folder,
            voter,
            [_metric(text) for text in metrics],
            sources.load(config) if config or asks_members else None,
        )


def _metric(text: str) -> Any:
    """A metric from its name, or a mapping with its name and settings. Raises `ConfigError`."""
    import yaml

    from coterie.evaluation.metrics import build

    if not text.startswith("{"):
        return build(text)
    try:
        spec = dict(yaml.safe_load(text))
        return build(spec.pop("name"), **spec)
    except (yaml.YAMLError, TypeError, ValueError, KeyError) as error:
        raise ConfigError(f"{text!r} is no metric's name, and no mapping with a name and settings: {error}") from error


# ---- working ----------------------------------------------------------------------------------


async def _evaluated(
    asked: _Asked, choice: Choice, examples: Sequence[Example], top_k: int, seed: int, batch: int
) -> tuple[Worth, list[dict[str, str]]]:
    from coterie.cli.eval import progress
    from coterie.committee import Committee
    from coterie.evaluation import fusing, fusing_worth
    from coterie.evaluation.significance import STANDARD, Bootstrap

    members = tuple(asked.config.members.values()) if asked.config else ()
    left_out: Counter[str] = Counter()
    async with Committee(members, {}) as committee:
        with progress(f"{choice.name} ranks", len(examples)) if choice.ruled else nullcontext(_ignore) as step:
            ranks, notes = await choice.ranks(committee, examples, on_done=step)
        prompts = fusing.shown(examples, ranks, top_k, left_out)
        fusing_worth.check(prompts, left_out)
        with progress(f"{asked.name} fuses", len(prompts)) as step:
            fused = await fusing.fuse_all(asked.fuser, prompts, members, batch=batch, on_done=step)
        measures = [*_by_metrics(asked.metrics, prompts, fused), fusing.lengths(prompts, fused)]
        if asked.judge is not None:
            name, judge = asked.judge
            with progress(f"{name} votes on", len(prompts)) as step:
                measures.append(await fusing.by_vote(committee, (name, judge), prompts, fused, on_done=step))
    names = fusing_worth.Names(asked.name, choice.name, top_k)
    bootstrap = Bootstrap(STANDARD.resamples, seed=seed)
    found = fusing_worth.worth(names, prompts, fused, measures, notes=notes, left_out=left_out, bootstrap=bootstrap)
    return found, [_sample(prompt, made) for prompt, made in zip(prompts, fused, strict=True)]


def _ignore() -> None:
    """Nobody waits for scores that stand in the data."""


def _by_metrics(metrics: Sequence[Any], prompts: Sequence[Shown], fused: Sequence[Fused]) -> Iterator[Measure]:
    from coterie.evaluation.fusing import by_metric

    for metric in metrics:
        with metric.open() as opened:
            yield by_metric(opened, prompts, fused)


def _sample(prompt: Shown, made: Fused) -> dict[str, str]:
    """Both texts side by side, for whoever wants to look."""
    return {
        "id": prompt.example.id,
        "question": prompt.example.source,
        "reference": prompt.example.output,
        "best": prompt.best[0],
        "fused": made.text,
        "error": made.error,
    }


# ---- telling ----------------------------------------------------------------------------------


def _json(found: Worth) -> dict[str, Any]:
    from coterie.evaluation.fusing_worth import as_json

    return as_json(found)


def _add_to_card(folder: Path, told: dict[str, Any], found: Worth) -> None:
    from coterie.evaluation.fusing_worth import markdown
    from coterie.training.fusing_cards import add_worth

    page = f"On `{told['data']}`" + (f", the {told['held_out']:g} held out" if told["held_out"] is not None else "")
    add_worth(folder, json_text.loads(json_text.dumps(told)), f"{page}: {markdown(found)}".rstrip())
    typer.echo(f"coterie: added to the card in {str(folder)!r}", err=True)


def _shown(found: Worth) -> Iterator[RenderableType]:
    from rich.text import Text

    from coterie.cli.report import section
    from coterie.evaluation import fusing_worth

    yield from section(
        f"{found.fuser} beside the best candidate, chosen by {found.chooser}",
        screen.table(fusing_worth.HEADINGS, fusing_worth.rows(found)),
    )
    notes = [*found.notes, *(f"left out: {n} {reason}" for reason, n in found.left_out.items())]
    if notes:
        yield from section("notes", Text("\n".join(map(screen.shown, notes))))
    yield from section("in words", Text("\n".join(map(screen.shown, fusing_worth.told(found)))))
