"""``coterie eval convqa``: single members, LLM-Blender and peer blending on conversations with known answers."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coterie.cli import screen
from coterie.cli.sources import ConfigOption, GemmaOption

if TYPE_CHECKING:
    from coterie.config import Config
    from coterie.dialogues import Dialogue, Interview
    from coterie.evaluation.blending.header import DataSet, Header
    from coterie.evaluation.blending.report import Report
    from coterie.evaluation.convqa.lineup import Lineup
    from coterie.evaluation.convqa.running import Evaluation
    from coterie.evaluation.metrics import Metric

DataArgument = Annotated[
    list[str],
    typer.Argument(
        help="Files of conversations (CoQA, QuAC, DoQA, ConvQuestions, Atlas-Converse, INSCIT, or this project's own "
        "layout; plain or gzipped), or owner/repository/file.json."
    ),
]
OutOption = Annotated[
    Path,
    typer.Option("--out", "-o", help="The folder of the report. One that holds an interrupted run is gone on with."),
]
TurnsOption = Annotated[
    int | None, typer.Option("--turns", min=1, help="Whole conversations, drawn by the seed, until there are so many.")
]
HistoryOption = Annotated[
    str, typer.Option("--history", help="What stands for earlier answers: gold, or own, which measures the drift.")
]
PolicyOption = Annotated[
    list[str] | None, typer.Option("--policy", help="A policy under which peers blend. Repeat it. Default: all.")
]
MethodOption = Annotated[
    list[str] | None, typer.Option("--method", "-m", help="Another method of the configuration that takes part.")
]
MetricOption = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        help="What holds an answer against the gold ones: f1, or {name: bertscore, model: ..., num_layers: ...}; the "
        "first is what verdicts are about. Repeat it. Default: f1, exact_match, rougeL.",
    ),
]
SizeOption = Annotated[
    list[int] | None,
    typer.Option(
        "--n",
        min=2,
        help="A smaller pool, of the first so many members, with which LLM-Blender and full peer blending are tried "
        "too. Repeat it. Default: a few sizes.",
    ),
]
TopOption = Annotated[int, typer.Option("--top-k", min=1, help="LLM-Blender's K, where the pool has so many.")]
AtOnceOption = Annotated[
    int | None,
    typer.Option(
        "--at-once",
        min=1,
        help="Calls under way at the same time, all members together. 1 takes the time of each as if it had the "
        "machine for itself, which members on one machine need. Default: as many as members take.",
    ),
]
TokensOption = Annotated[int, typer.Option("--max-tokens", min=1, help="Of an answer.")]
TemperatureOption = Annotated[float, typer.Option("--temperature", min=0.0, help="Of members that write answers.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Of the conversations, the ballots and the intervals.")]
RecordingsOption = Annotated[
    Path | None,
    typer.Option("--recordings", help="What members said, to be used and added to. Default: in the folder of --out."),
]


def convqa(
    data: DataArgument,
    *,
    out: OutOption,
    config: ConfigOption = None,
    turns: TurnsOption = None,
    history: HistoryOption = "gold",
    policy: PolicyOption = None,
    method: MethodOption = None,
    metric: MetricOption = None,
    n: SizeOption = None,
    top_k: TopOption = 3,
    at_once: AtOnceOption = None,
    max_tokens: TokensOption = 64,
    temperature: TemperatureOption = 0.0,
    seed: SeedOption = 42,
    recordings: RecordingsOption = None,
    accept_gemma_terms: GemmaOption = None,
) -> None:
    """Compare blending with every single member, chance and the oracle, under every ranking-reduction policy.

    Writes the tables and figures of "Efficient Blending of Large Language Models", chapter 6, to one HTML page. What
    members said is kept, so an interrupted run goes on where it was, and another one asks nobody twice.
    """
    from coterie.cli import sources
    from coterie.evaluation.convqa.lineup import Lineup
    from coterie.types import Sampling

    metrics = metrics_of(metric)
    made = sources.ready(config, accept_gemma_terms)
    chosen = {"policies": tuple(policy)} if policy else {}
    sizes = None if n is None else tuple(n)
    lineup = Lineup.of(made, method or (), top_k=top_k, temperature=temperature, sizes=sizes, **chosen)
    from coterie.evaluation.convqa.running import Evaluation

    dialogues = dialogues_of(data, turns, seed)
    entries = tuple(lineup.entries())
    sampling = Sampling(temperature=temperature, max_tokens=max_tokens)
    evaluation = Evaluation(dialogues, entries, interview_of(history), sampling, seed)
    header = header_of([evaluation], made, lineup, metrics, at_once, "Blending on conversations")
    job = Job((evaluation,), made, header, out, recordings or out / "recordings.jsonl", at_once)
    tell(screen.run(job.done(metrics)), out)


@dataclass(frozen=True)
class Job:
    """Evaluations whose rows stand in one file, and where they go."""

    evaluations: tuple[Evaluation, ...]
    config: Config
    header: Header
    out: Path
    recordings: Path
    at_once: int | None
    ask: bool = True

    async def done(self, metrics: Sequence[Metric]) -> Report:
        """Everything asked and scored, and the report written."""
        from coterie.cli.eval import progress
        from coterie.evaluation.blending import recording
        from coterie.evaluation.blending.report import make, write
        from coterie.evaluation.convqa.quality import opened
        from coterie.evaluation.convqa.recordings import Recordings

        self.out.mkdir(parents=True, exist_ok=True)
        skipped: list[str] = []
        members = self.config.members.values()
        with (
            Recordings(self.recordings, members) as responses,
            opened(metrics, skipped) as quality,
            recording.Recorder(self.out / "rows.jsonl", self.header) as recorder,
        ):
            for why in skipped:
                typer.echo(f"coterie: {why}", err=True)
            with progress("answering", sum(evaluation.steps for evaluation in self.evaluations)) as step:
                for evaluation in self.evaluations:
                    async with evaluation.committee(self.config, responses, self.at_once, ask=self.ask) as committee:
                        await evaluation.run(committee, recorder, quality, step)
        report = make(recording.read(self.out / "rows.jsonl"))
        write(report, self.out)
        return report


def tell(report: Report, out: Path) -> None:
    """The words of the report, and where the rest is."""
    said = report.told
    for sentence in (*said.run, said.verdict, *said.findings, *said.warnings):
        typer.echo(screen.shown(sentence))
    typer.echo(f"the report: {out / 'report.html'}")


def metrics_of(named: Sequence[str] | None) -> list[Metric]:
    """The metrics by name, or by a configuration in a line; the usual ones where none is named."""
    from coterie.evaluation import metrics
    from coterie.evaluation.arguments import is_mapping, mapping

    made: list[Metric] = []
    for text in named or ("f1", "exact_match", "rougeL"):
        settings: dict[str, Any] = mapping(text) if is_mapping(text) else {"name": text}
        made.append(metrics.build(str(settings.pop("name", "")), **settings))
    return made


def dialogues_of(data: Sequence[str], turns: int | None, seed: int) -> tuple[Dialogue, ...]:
    """All dialogues of the files, or so many that there are `turns` questions."""
    from coterie import dialogues

    found = [dialogue for name in data for dialogue in dialogues.read(name)]
    return dialogues.sample(found, turns, seed) if turns else tuple(found)


def interview_of(history: str) -> Interview:
    from coterie.dialogues import Interview
    from coterie.errors import ConfigError

    if history == "gold":
        return Interview(history="gold")
    if history == "own":
        return Interview(history="own")
    raise ConfigError(f"--history is gold or own, not {history!r}")


def header_of(
    evaluations: Sequence[Evaluation],
    config: Config,
    lineup: Lineup,
    metrics: Sequence[Metric],
    at_once: int | None,
    title: str,
) -> Header:
    """What is run, as the first record of a file of rows says it."""
    from coterie._version import __version__
    from coterie.dialogues import summarize
    from coterie.evaluation.blending.header import DataSet, Header
    from coterie.evaluation.convqa.quality import measure
    from coterie.specs import describe

    def data_set(summary: Any) -> DataSet:
        return DataSet(
            summary.dataset,
            ", ".join(summary.domains),
            summary.conversations,
            summary.turns,
            int(summary.turns_each.low),
            int(summary.turns_each.high),
            fingerprint=summary.fingerprint,
        )

    entries = [entry for evaluation in evaluations for entry in evaluation.entries]
    asked = dict.fromkeys(name for entry in entries for name in entry.method.asks)
    evaluation = evaluations[0]
    blender = {"method": "LLM-Blender", "top_k": min(lineup.top_k, len(lineup.members))} if lineup.blender else {}
    return Header(
        title,
        datetime.now(UTC).isoformat(timespec="seconds"),
        tuple(measure(metric) for metric in metrics),
        tuple(data_set(summary) for summary in summarize(evaluation.dialogues)),
        tuple({"name": name, **describe("members", config.members[name])} for name in asked),
        reference=blender,
        versions={"coterie": __version__, "python": platform.python_version()},
        hardware=f"{platform.machine()}, {os.cpu_count()} cores",
        settings={
            "interview": asdict(evaluation.interview),
            "sampling": [asdict(each.sampling) for each in evaluations],
            "at_once": at_once,
            "methods": {entry.key: describe("methods", entry.method) for entry in entries},
        },
        seed=evaluation.seed,
    )
