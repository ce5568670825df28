"""``coterie eval ablate``: what N, K, the judge, the rule and the policy do, over what members said before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coterie.cli import eval_convqa as convqa
from coterie.cli import screen
from coterie.cli.sources import ConfigOption, GemmaOption

if TYPE_CHECKING:
    from coterie.config import Config
    from coterie.dialogues import Dialogue, Interview
    from coterie.evaluation.convqa.lineup import Lineup
    from coterie.evaluation.convqa.running import Evaluation
    from coterie.evaluation.convqa.sweep import Sweep
    from coterie.protocols import Fuser, Judge
    from coterie.types import Sampling

RecordingsOption = Annotated[
    Path, typer.Option("--recordings", help="What members said: recordings.jsonl in the folder of an eval convqa.")
]
SizeOption = Annotated[list[int] | None, typer.Option("--n", min=1, help="A size of the pool. Repeat it.")]
TopOption = Annotated[list[int] | None, typer.Option("--k", min=1, help="How many are fused; 1 selects. Repeat it.")]
JudgeOption = Annotated[
    list[str] | None,
    typer.Option("--judge", help="Who ranks: peers (as the configuration's peer_blend has it), or a judge as in rank."),
]
RuleOption = Annotated[list[str] | None, typer.Option("--rule", help="Default: the judge's usual one. Repeat it.")]
SubsetsOption = Annotated[int, typer.Option("--pools", min=1, help="Pools of one size that are tried at most.")]
AskOption = Annotated[
    bool, typer.Option("--ask", help="Ask members for what was not recorded. Otherwise such answers count as missing.")
]
DomainOption = Annotated[bool, typer.Option("--by-domain", help="Every domain as a data set of its own.")]
TemperatureOption = Annotated[
    list[float] | None,
    typer.Option("--temperature", min=0.0, help="At which members answered, as recorded. Repeat it. Default: 0."),
]


def ablate(
    data: convqa.DataArgument,
    *,
    recordings: RecordingsOption,
    out: convqa.OutOption,
    config: ConfigOption = None,
    n: SizeOption = None,
    k: TopOption = None,
    judge: JudgeOption = None,
    rule: RuleOption = None,
    policy: convqa.PolicyOption = None,
    temperature: TemperatureOption = None,
    pools: SubsetsOption = 10,
    by_domain: DomainOption = False,
    ask: AskOption = False,
    turns: convqa.TurnsOption = None,
    history: convqa.HistoryOption = "gold",
    metric: convqa.MetricOption = None,
    max_tokens: convqa.TokensOption = 64,
    at_once: convqa.AtOnceOption = None,
    seed: convqa.SeedOption = 42,
    accept_gemma_terms: GemmaOption = None,
) -> None:
    """Vary pool size, K, judge, rule, policy and temperature over recorded completions, at no new calls.

    Tells quality, latency, memory and USD of every combination with intervals, between the best single member and the
    oracle. Data, turns, history, tokens and seed are those of the run that was recorded.
    """
    from coterie.cli import sources
    from coterie.evaluation.convqa.lineup import FULL, Lineup
    from coterie.evaluation.convqa.sweep import Sweep
    from coterie.types import Sampling

    made = sources.ready(config, accept_gemma_terms)
    lineup = Lineup.of(made)
    sweep = Sweep(
        lineup.members,
        _fuser(lineup),
        tuple(n or ()),
        tuple(k or (1,)),
        _judges(judge or ["peers"], lineup),
        tuple(rule or ()),
        tuple(policy or (FULL,)),
        pools,
        seed=seed,
    )
    metrics = convqa.metrics_of(metric)
    dialogues = convqa.dialogues_of(data, turns, seed)
    if by_domain:
        dialogues = _by_domain(dialogues)
    of = partial(_evaluation, sweep, lineup, made, dialogues, convqa.interview_of(history))
    jobs = [of(Sampling(temperature=degree, max_tokens=max_tokens)) for degree in temperature or [0.0]]
    header = convqa.header_of(jobs, made, lineup, metrics, at_once, "Blending, varied")
    job = convqa.Job(tuple(jobs), made, header, out, recordings, at_once, ask)
    convqa.tell(screen.run(job.done(metrics)), out)


def _evaluation(
    sweep: Sweep,
    lineup: Lineup,
    config: Config,
    dialogues: tuple[Dialogue, ...],
    interview: Interview,
    sampling: Sampling,
) -> Evaluation:
    """Every combination at one temperature."""
    from coterie.evaluation.convqa.memory import weights_bytes
    from coterie.evaluation.convqa.running import Evaluation

    degree = sampling.temperature
    entries = tuple(replace(sweep, temperature=degree).entries(replace(lineup, temperature=degree)))
    memory = {entry.key: weights_bytes(entry.method, config) for entry in entries}
    return Evaluation(dialogues, entries, interview, sampling, sweep.seed, memory)


def _fuser(lineup: Lineup) -> Fuser:
    """The fuser of the configuration: the peers' own, or LLM-Blender's."""
    from coterie.fusers.aggregate import Aggregate

    if lineup.peers is not None and lineup.peers.fuser is not None:
        return lineup.peers.fuser
    return lineup.blender.fuser if lineup.blender is not None else Aggregate()


def _judges(named: Sequence[str], lineup: Lineup) -> Mapping[str, Judge]:
    from coterie.evaluation.judges import judge_of
    from coterie.judges.peer_review import PeerReview

    found: dict[str, Judge] = {}
    for text in named:
        if text == "peers":
            found[text] = lineup.peers.review if lineup.peers is not None else PeerReview()
        else:
            name, part = judge_of(text)
            found[name] = part
    return found


def _by_domain(dialogues: Sequence[Dialogue]) -> tuple[Dialogue, ...]:
    return tuple(replace(d, dataset=f"{d.dataset}: {d.domain}" if d.domain else d.dataset) for d in dialogues)
