"""What routers are worth on recorded outcomes: every kind against the oracle, the random mix and simple baselines.

    python benchmarks/routing_report.py DATA [--results FOLDER] [--forecasts FOLDER] [--only RUN] [--quick] [--write]

DATA is the folder of the outcome files (``routing_*.jsonl.gz``). Each run is one `coterie eval router`, whose report
lands in the results' folder; a run whose results are there is not made again. Forecasts of routers that were trained on
a GPU are taken from ``FORECASTS/RUN/NAME.npz`` (`coterie eval router --save-forecasts`).
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from figures import progress
from routing_page import Ran, page

REPORT = Path(__file__).parent.parent / "docs" / "benchmarks" / "routers.md"

SIZES = ("--train-sizes", "default")


@dataclass(frozen=True)
class Run:
    """One comparison."""

    name: str
    title: str
    data: str
    """The file's name, without its endings."""
    options: tuple[str, ...] = ()
    note: str = ""


RUNS = (
    Run(
        "routellm2-mmlu",
        "MMLU, GPT-4 and Mixtral",
        "routing_routellm2",
        ("--only", "mmlu", *SIZES),
        "The outcomes that RouteLLM is evaluated on; none of its contaminated prompts were taken out.",
    ),
    Run("routellm2-gsm8k", "GSM8K, GPT-4 and Mixtral", "routing_routellm2", ("--only", "gsm8k", *SIZES)),
    Run("routerbench11", "RouterBench, eleven members with their real costs", "routing_routerbench11"),
    Run("llmrouter9", "LLMRouter, nine members", "routing_llmrouter9"),
    Run("routerdc7", "RouterDC, seven open members", "routing_routerdc7"),
    Run(
        "routerdc7-gsm8k",
        "RouterDC, GSM8K alone",
        "routing_routerdc7",
        ("--only", "gsm8k"),
        "Scores are shares of ten samples: graded quality.",
    ),
    Run(
        "routerdc7-gsm8k-pair",
        "RouterDC, GSM8K, MetaMath and Mistral",
        "routing_routerdc7",
        ("--only", "gsm8k", "--strong", "meta-math/MetaMath-Mistral-7B", "--weak", "mistralai/Mistral-7B-v0.1"),
        "A pair with graded quality, on which Hybrid LLM's three labels differ.",
    ),
    Run("gsm8k-openai4", "GSM8K, four GPT-3 systems", "routing_gsm8k_openai4"),
    Run("routerarena2", "RouterArena, two members", "routing_routerarena2"),
)


def command(run: Run, args: argparse.Namespace) -> list[str]:
    """The arguments of `coterie` for a run."""
    found = ["eval", "router", "--data", str(_file(args.data, run.data)), *run.options]
    if args.quick:
        found += ["--resamples", "100", "--router", "eagle", "--encoder", "static"]
    for router in args.router or ():
        found += ["--router", router]
    if args.encoder and not args.quick:
        found += ["--encoder", args.encoder]
    for file in sorted((args.forecasts / run.name).glob("*.npz")) if args.forecasts else ():
        found += ["--forecasts", f"{file.stem}={file}"]
    return [*found, "--out", str(args.results / run.name)]


def _file(folder: Path, name: str) -> Path:
    found = sorted(folder.glob(f"{name}*.jsonl*"))
    if not found:
        raise SystemExit(f"there is no {name}*.jsonl in {str(folder)!r}")
    return found[0]


def ran(run: Run, args: argparse.Namespace) -> Ran:
    """The run's results, made where they are not there yet."""
    folder = args.results / run.name
    words = command(run, args)
    if not (folder / "results.json").is_file():
        progress(f"{run.name}: coterie {shlex.join(words)}\n")
        environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
        subprocess.run(
            [sys.executable, "-m", "coterie.cli.app", *words], check=True, env=environment, stdout=sys.stderr
        )
    return Ran(run.name, run.title, run.note, shown(["coterie", *words], args), folder)


def shown(words: Sequence[str], args: argparse.Namespace) -> str:
    """A command without the folders of this machine."""
    folders = {"DATA": args.data, "RESULTS": args.results, "FORECASTS": args.forecasts}
    text = shlex.join(words)
    for name, folder in folders.items():
        text = text.replace(str(folder), name) if folder is not None else text
    return text


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="the folder of the outcome files")
    parser.add_argument("--results", type=Path, default=Path("routing-results"), help="where reports are and will be")
    parser.add_argument("--forecasts", type=Path, help="a folder of forecasts made elsewhere")
    parser.add_argument("--only", action="append", help="a run's name; again for more")
    parser.add_argument("--router", action="append", help="instead of every kind that trains no transformer; repeat it")
    parser.add_argument("--encoder", help="instead of minilm")
    parser.add_argument("--quick", action="store_true", help="a smoke run: one router, a static encoder, few samples")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks/routers.md")
    args = parser.parse_args(arguments)
    if args.quick and args.write:
        parser.error("--quick shows that the benchmark runs; its numbers are not worth writing down")
    names = [run.name for run in RUNS]
    if strange := [name for name in args.only or () if name not in names]:
        parser.error(f"there is no run {strange[0]!r}: {', '.join(names)}")
    found = [ran(run, args) for run in RUNS if not args.only or run.name in args.only]
    given = arguments if arguments is not None else sys.argv[1:]
    text = page(found, shown(["python", "benchmarks/routing_report.py", *given], args))
    print(text)
    if args.write:
        REPORT.parent.mkdir(parents=True, exist_ok=True)
        REPORT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
