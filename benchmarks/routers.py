"""How quick routers are: decisions and lessons of each, alone and with an encoder, beside limits and peers.

    python benchmarks/routers.py [--data FILE ...] [--vectors FILE ...] [--only PART ...] [--quick] [--write]

Eagle and k nearest neighbours are measured over vectors of real prompts, where there are any: `--data` encodes the
prompts of outcome files with MiniLM (once; they stay in the encoders' cache), `--vectors` reads unit vectors from .npy.
Where those are fewer than are to be stored, more are made of them. Without either all are invented; the page says so.
At the full size the run takes some ten minutes on two cores, most of them to store a million vectors, and 8 GB.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import router_journal
import router_learners
import router_neighbours
import router_rankings
import router_readers
from figures import progress
from router_speed_page import page
from router_times import QUICK, Plan, Report
from router_vectors import material

REPORT = Path(__file__).parent.parent / "docs" / "benchmarks" / "router_speed.md"

Part = Callable[[Plan, Report], None]


def parts(data: list[str], vectors: list[Path], folder: Path) -> Mapping[str, Part]:
    """What is measured, part by part; the quick ones first."""
    return {
        "learners": lambda plan, report: report.rows.extend(router_learners.measure(plan)),
        "journal": partial(_journal, folder=folder),
        "readers": lambda plan, report: report.rows.extend(router_readers.measure(plan)),
        "rankings": router_rankings.measure,
        "neighbours": partial(_neighbours, data=data, vectors=vectors),
    }


def _journal(plan: Plan, report: Report, folder: Path) -> None:
    report.rows.extend(router_journal.measure(plan, folder))
    report.facts.append(f"The journal lies on a file system of the kind {router_journal.filesystem(folder)}.")


def _neighbours(plan: Plan, report: Report, data: list[str], vectors: list[Path]) -> None:
    given = material(data, vectors, router_neighbours.needed(plan), plan.queries)
    report.facts.append(given.about)
    router_neighbours.measure(plan, given, report)


def measure(plan: Plan, chosen: Mapping[str, Part]) -> Report:
    """All of the chosen parts, one after the other."""
    report = Report()
    for name, part in chosen.items():
        progress(f"{name}: begins")
        began = time.perf_counter()
        part(plan, report)
        report.timed_s[name] = time.perf_counter() - began
        progress(f"{name}: took {report.timed_s[name]:.0f} s")
        gc.collect()
    return report


def main() -> None:
    text = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(description=text)
    parser.add_argument("--data", nargs="+", default=[], metavar="FILE", help="outcome files, whose prompts are stored")
    parser.add_argument("--vectors", nargs="+", default=[], type=Path, metavar="FILE", help="unit vectors, .npy")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where the journal is written")
    parser.add_argument("--only", nargs="+", choices=list(parts([], [], Path())), help="some parts alone")
    parser.add_argument("--quick", action="store_true", help="a smoke run of a few thousand comparisons")
    parser.add_argument("--write", action="store_true", help=f"write docs/benchmarks/{REPORT.name}")
    args = parser.parse_args()
    if args.write and (args.quick or args.only):
        parser.error("--write takes the whole run: a page of --quick or --only would leave out what it is for")
    every = parts(args.data, args.vectors, args.folder)
    load = os.getloadavg()[0]
    report = measure(QUICK if args.quick else Plan(), {name: every[name] for name in args.only or every})
    progress("")
    told = page(report, load, _command())
    print(told)
    if args.write:
        REPORT.write_text(told, encoding="utf-8")


def _command() -> str:
    """As it was given, files by their names alone."""
    words = [Path(word).name if "/" in word else word for word in sys.argv[1:]]
    return " ".join(["python", "benchmarks/routers.py", *words])


if __name__ == "__main__":
    main()
