"""``coterie calibrate router``: the setting of a route's decision that gives a wanted share, cost or quality."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coterie.cli import screen
from coterie.cli.counting import counting
from coterie.cli.sources import ConfigOption, JsonOption
from coterie.errors import ConfigError, TraceError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from coterie.committee import Committee
    from coterie.config import Config
    from coterie.evaluation.significance import Estimate
    from coterie.methods.route import Route
    from coterie.outcomes.outcome import Outcomes
    from coterie.prospects import Prospects
    from coterie.training.routing.calibration import Achieved, Aim, Calibrated, Traffic, Tunable
    from coterie.types import Request

AT_ONCE = 64
"""Requests that are routed side by side."""


class Tuned(StrEnum):
    """Decisions with a setting to calibrate."""

    THRESHOLD = "threshold"
    CHEAPEST_ABOVE = "cheapest_above"
    UTILITY = "utility"
    BUDGET = "budget"


def router(
    traces: Annotated[
        list[Path] | None,
        typer.Argument(help="Recorded traffic: files that ask --trace wrote, or folders of them (*.jsonl)."),
    ] = None,
    *,
    method: Annotated[str, typer.Option("--method", "-m", help="The method that routes.")] = "default",
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", help="Prompts with the outcomes of all members, for a wanted quality; again for more."),
    ] = None,
    decision: Annotated[
        Tuned | None, typer.Option(help="Whose setting to fit; that of the configured decision by default.")
    ] = None,
    share: Annotated[
        str | None, typer.Option(metavar="MEMBER=SHARE", help="Wanted share of calls to a member, such as large=0.3.")
    ] = None,
    mean_usd: Annotated[float | None, typer.Option(help="Wanted mean cost of a request.")] = None,
    quality: Annotated[float | None, typer.Option(help="Wanted mean score, for the least money.")] = None,
    drop: Annotated[
        float | None,
        typer.Option(
            help="As --quality: at most this share of the best single member's mean score less, such as 0.01 for 1 %."
        ),
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Write the decision into the configuration file.")] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Fit a decision's setting to your own traffic: on half of the prompts, checked on the other half.

    The prompts are routed as the configuration says now; no member is called.
    """
    from coterie.cli import sources
    from coterie.committee import Committee
    from coterie.training.routing.calibration import Aim, calibrate

    if bool(traces) == bool(data):
        raise ConfigError("name recorded traces, or outcomes with --data: one of them")
    aim = Aim(_share(share), mean_usd, quality, drop)
    file = sources.file_of(config)
    if write and file is None:
        raise ConfigError("the embedded configuration cannot be written to: `coterie init` writes one of your own")
    made = sources.load(config)
    tuned = _decision(_route(made, method).decision, decision)
    with Committee.from_config(made) as committee, counting() as watch:
        traffic = _traffic(committee, method, traces or (), data or (), watch)
        found = calibrate(traffic, tuned, aim, watch=watch)
    if write and file is not None:
        _write(file, method, found)
    if json:
        screen.print_json(_as_json(found, method, len(traffic.prompts)))
        return
    screen.show(_shown(found, method, aim, file if write else None))


# ---- what is wanted ---------------------------------------------------------------------------


def _share(given: str | None) -> tuple[str, float] | None:
    if given is None:
        return None
    member, _, number = given.rpartition("=")
    try:
        return member, float(number)
    except ValueError:
        raise ConfigError(f"--share is MEMBER=SHARE, such as large=0.3, not {given!r}") from None


def _route(made: Config, name: str) -> Route:
    """The method that routes. Raises `ConfigError`."""
    from coterie.methods.route import Route

    method = made.methods.get(name)
    if isinstance(method, Route):
        return method
    routes = ", ".join(key for key, each in made.methods.items() if isinstance(each, Route)) or "none"
    said = f"there is no method {name!r}" if method is None else f"the method {name!r} chooses nobody"
    raise ConfigError(f"{said}; methods that route (--method): {routes}")


def _decision(configured: object, wanted: Tuned | None) -> Tunable:
    """The configured decision; one with defaults where another kind is wanted. Raises `ConfigError`."""
    from coterie.decisions import Budget, CheapestAbove, Threshold, Utility

    kinds: Mapping[str, Tunable] = {
        "threshold": Threshold(),
        "cheapest_above": CheapestAbove(),
        "utility": Utility(0.0),
        "budget": Budget(0.0),
    }
    if isinstance(configured, Threshold | CheapestAbove | Utility | Budget) and (
        wanted is None or type(kinds[wanted]) is type(configured)
    ):
        return configured
    if wanted is None:
        raise ConfigError(
            f"{type(configured).__name__} has no setting to calibrate: name another decision with --decision, "
            f"one of {', '.join(kinds)}"
        )
    return kinds[wanted]


# ---- traffic ----------------------------------------------------------------------------------


def _traffic(committee: Committee, method: str, traces: Sequence[Path], data: Sequence[Path], watch: Any) -> Traffic:
    from coterie.types import Request

    if data:
        outcomes = _outcomes(data)
        requests = [Request.of(prompt) for prompt in outcomes.prompts]
        return _of_outcomes(_routed(committee, method, requests, watch), requests, outcomes)
    requests = list(_requests(traces, method))
    if not requests:
        raise ConfigError(f"none of these traces is of the method {method!r}")
    return _of_requests(_routed(committee, method, requests, watch), requests)


def _requests(paths: Sequence[Path], method: str) -> Iterator[Request]:
    """What the method was asked in all traces, each run once."""
    from coterie.cli.calibrate import files
    from coterie.trace import Trace

    seen: set[str] = set()
    for file, chosen in files(paths):
        try:
            started = Trace.load(file).started
        except TraceError as error:
            if chosen:
                raise
            screen.complain(f"left out: {error}")
            continue
        if started.method == method and started.run not in seen:
            seen.add(started.run)
            yield started.request


def _routed(committee: Committee, method: str, requests: Sequence[Request], watch: Any) -> list[Prospects]:
    """What the router says of each request now."""
    import asyncio

    async def all_of_them() -> list[Prospects]:
        places = asyncio.Semaphore(AT_ONCE)
        done = 0

        async def one(request: Request) -> Prospects:
            nonlocal done
            async with places:
                prospects = await committee.aprospects(request, method, seed=0)
            done += 1
            watch("routing", done, len(requests))
            return prospects

        return await asyncio.gather(*(one(request) for request in requests))

    said = asyncio.run(all_of_them())
    if silent := sum(not prospects.known for prospects in said):
        screen.complain(
            f"of {silent} of {len(said)} requests the router expects nothing, so the pool's order decides there: "
            "`coterie route` shows what it says"
        )
    return said


def _outcomes(files: Sequence[Path]) -> Outcomes:
    from coterie.outcomes.reading import read

    outcomes = read([str(file) for file in files]).lessons.outcomes
    if outcomes is None:
        raise ConfigError("these files hold battles alone, and calibration needs the outcomes of each member")
    return outcomes


def _of_requests(prospects: Sequence[Prospects], requests: Sequence[Request]) -> Traffic:
    """Traffic of which nobody knows how it would have turned out: only what the router expects."""
    import numpy as np

    from coterie.training.routing.calibration import Traffic

    costs = _expected_usd(prospects)
    return Traffic(
        tuple(request.question for request in requests), tuple(prospects), np.full_like(costs, np.nan), costs
    )


def _of_outcomes(prospects: Sequence[Prospects], requests: Sequence[Request], outcomes: Outcomes) -> Traffic:
    """Traffic with the scores and costs that the outcomes know; a cost that they do not know is as expected."""
    import numpy as np

    from coterie.training.routing.calibration import Traffic

    costs = _expected_usd(prospects)
    scores = np.full_like(costs, np.nan)
    for column, prospect in enumerate(prospects[0].members):
        if prospect.member in outcomes.members:
            known = outcomes.of([prospect.member])
            scores[:, column] = known.scores[:, 0]
            recorded = known.costs_usd[:, 0]
            costs[:, column] = np.where(np.isnan(recorded), costs[:, column], recorded)
    return Traffic(tuple(request.question for request in requests), tuple(prospects), scores, costs)


def _expected_usd(prospects: Sequence[Prospects]) -> Any:
    import numpy as np

    return np.array([[np.nan if p.cost_usd is None else p.cost_usd for p in given.members] for given in prospects])


# ---- telling ----------------------------------------------------------------------------------


def _plain(found: Calibrated) -> dict[str, Any]:
    """The decision as a configuration holds it."""
    from coterie.specs import describe

    made = describe("decisions", found.decision)
    return {**made, found.setting: found.value}


def _write(file: Path, method: str, found: Calibrated) -> None:
    """Raises `ConfigError` where the file cannot be changed in place."""
    from coterie.cli.rewriting import with_setting

    try:
        text = file.read_text(encoding="utf-8")
        file.write_text(with_setting(text, ("methods", method, "decision"), _plain(found)), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {str(file)!r}: {error.strerror}") from error


def _as_json(found: Calibrated, method: str, requests: int) -> dict[str, Any]:
    return {
        "method": method,
        "decision": _plain(found),
        "wanted": found.wanted,
        "held": found.held,
        "verdict": found.word,
        "figure": asdict(found.figure),
        "requests": requests,
        "fitted": _achieved(found.fitted),
        "checked": _achieved(found.checked),
    }


def _achieved(found: Achieved) -> dict[str, Any]:
    return {
        "shares": {name: asdict(share) for name, share in found.shares.items()},
        "mean_usd": asdict(found.mean_usd),
        "quality": asdict(found.quality),
        "best_single": found.best or None,
        "best_single_quality": found.best_quality if found.best else None,
        "drop": asdict(found.drop),
    }


def _shown(found: Calibrated, method: str, aim: Aim, file: Path | None) -> Iterator[RenderableType]:
    import json

    from rich.text import Text

    rows = [
        *((f"share of {name}", found.fitted.shares[name], found.checked.shares[name]) for name in found.checked.shares),
        ("mean USD", found.fitted.mean_usd, found.checked.mean_usd),
        ("mean score", found.fitted.quality, found.checked.quality),
    ]
    if found.checked.best:
        rows.append(("drop below the best single", found.fitted.drop, found.checked.drop))
    cells = [(name, _number(fitted), _number(checked), _interval(checked)) for name, fitted, checked in rows]
    yield screen.table(("", "fitted on", "set aside", "95 %"), cells)
    yield Text("")
    yield Text(f"{_said(aim, found)}: {found.word}{_checked(found.figure)}")
    place = f"written to {file}" if file else f"methods.{method}.decision (--write puts it there)"
    yield Text(f"{json.dumps(_plain(found))}  {place}")


def _said(aim: Aim, found: Calibrated) -> str:
    from coterie.training.routing.calibration import SHARE_TOLERANCE

    if aim.share is not None:
        return f"a share of {aim.share[1]:.3g} for {aim.share[0]}, give or take {SHARE_TOLERANCE:g}"
    if aim.mean_usd is not None:
        return f"at most {aim.mean_usd:.3g} USD a request"
    if aim.quality is not None:
        return f"a mean score of {aim.quality:.4g}"
    of = found.checked
    single = f"{of.best}, {of.best_quality:.4g} on the prompts set aside" if of.best else "unknown there"
    wanted = f", so {found.wanted:.4g} or more" if of.best else ""
    return f"at most {aim.drop:.3g} of the best single member's mean score less ({single}{wanted})"


def _checked(figure: Estimate) -> str:
    """What was found of the aim on the prompts set aside, behind the verdict."""
    if figure.value is None:
        return ", as nothing is known of the prompts set aside"
    interval = _interval(figure)
    return f", with {figure.value:.4g}{f' ({interval})' if interval else ''} on the prompts set aside"


def _number(found: Estimate) -> str:
    return "unknown" if found.value is None else f"{found.value:.4g} (n={found.n})"


def _interval(found: Estimate) -> str:
    return "" if found.low is None or found.high is None else f"{found.low:.4g} to {found.high:.4g}"
