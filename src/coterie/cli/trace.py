"""``coterie trace``: look at a recorded run, and run it again without asking anybody."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from coterie.cli import screen
from coterie.cli.sources import JsonOption
from coterie.errors import ConfigError, NoAnswer

app = typer.Typer(help="Look at a recorded run, and replay it.", no_args_is_help=True)

TraceFile = Annotated[Path, typer.Argument(help="A file that ask --trace wrote.")]


@app.command()
def show(file: TraceFile, json: JsonOption = False) -> None:
    """Draw a run: who did what when, the critical path marked, candidates, ballots and the bill."""
    from coterie.cli import waterfall
    from coterie.trace import Trace

    trace = Trace.load(file)
    if json:
        screen.print_json(waterfall.as_json(trace))
        return
    screen.show(waterfall.of_trace(trace))


@app.command()
def replay(
    file: TraceFile,
    rule: Annotated[str | None, typer.Option(help="Another ranking rule.")] = None,
    judge: Annotated[str | None, typer.Option(help="Another judge, by its name.")] = None,
    fuser: Annotated[str | None, typer.Option(help="Another fuser, by its name.")] = None,
    top_k: Annotated[int | None, typer.Option(help="Another K.")] = None,
    trace: Annotated[Path | None, typer.Option("--trace", help="Write the replay's trace to this file.")] = None,
    json: JsonOption = False,
) -> None:
    """Run a recorded run again, perhaps under another rule, judge or fuser; no member is called."""
    from coterie.cli.ask import no_answer, print_answer
    from coterie.replays import replay as again
    from coterie.trace import Trace

    given: dict[str, Any] = {"rule": rule, "judge": judge, "fuser": fuser, "top_k": top_k}
    changes = {name: value for name, value in given.items() if value is not None}
    screen.check_trace(trace)
    traces: list[Trace] = []
    recorded = Trace.load(file)
    try:
        answer = again(recorded, changes, traces.append)
    except NoAnswer as error:
        if json:
            screen.print_json(no_answer(error, recorded.started.method, traces[-1]))
        screen.stop(str(error), 1)
    except ConfigError as error:
        raise ConfigError(f"{str(file)!r} cannot be replayed so: {error}") from error
    finally:
        if trace is not None and traces:
            screen.write_trace(traces[-1], trace)
    if json:
        screen.print_json(answer.to_json())
        return
    print_answer(answer)
