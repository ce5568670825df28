"""The page about routers: the tables of several comparisons, beside what was published."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from figures import paragraphs
from machine import setting

PACKAGES = ("coterie", "numpy", "scipy")

TABLES = (
    "routers",
    "rivals",
    "learning",
    "as-routellm",
    "as-hybrid-llm",
    "as-others",
    "groups",
    "times",
    "calibration",
)
"""Those of a run that stand on the page; the others are in its report."""

TARGET_MMLU = 0.69

PUBLISHED = {
    "routellm2-mmlu": (("random", 0.500), ("MF, gold labels", 0.597), ("causal LLM", 0.600), ("SW ranking", 0.603)),
    "routellm2-gsm8k": (
        ("random", 0.497),
        ("BERT", 0.531),
        ("MF", 0.565),
        ("SW ranking", 0.568),
        ("causal LLM", 0.622),
    ),
}
"""RouteLLM's APGR (2406.18665, tables 1 to 3), its routers trained with gold labels or a judge's."""


@dataclass(frozen=True)
class Ran:
    """A run that was made."""

    name: str
    title: str
    note: str
    command: str
    folder: Path

    @cached_property
    def results(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "results.json").read_text(encoding="utf-8"))
        return found

    def table(self, name: str) -> str:
        """A table under a heading of level 3; empty where there is none."""
        file = self.folder / "tables" / f"{name}.md"
        if not file.is_file():
            return ""
        return re.sub(r"^## ", "### ", file.read_text(encoding="utf-8"), count=1).rstrip()


def page(found: Sequence[Ran], command: str) -> str:
    """The whole page."""
    parts = [*_head(found, command), *_summary(found), *_reasons()]
    for ran in found:
        parts += _run(ran)
    return "\n".join(parts).rstrip() + "\n"


def _head(found: Sequence[Ran], command: str) -> Iterator[str]:
    yield from ("# Routers on recorded outcomes", "")
    yield from paragraphs("""
        What each kind of router is worth where every member's answer to every prompt has been scored: no member was
        called. Every prompt is forecast by a router that has not learned from it (five folds by prompt). The oracle
        knows every score, the random mix knows none; length, a bag of words and nearest neighbours stand in every
        table. `docs/routers-evaluation.md` has the formulas.""")
    yield from setting(PACKAGES)
    resamples = sorted({ran.results["bootstrap"]["resamples"] for ran in found})
    yield f"- Intervals: 95 %, {', '.join(map(str, resamples))} bootstrap samples of the prompts, shared by all rows"
    yield f"- Command: `{command}`"
    yield ""


def _summary(found: Sequence[Ran]) -> Iterator[str]:
    yield from ("## In short", "", "| data | members | n | verdict |", "|---|---:|---:|---|")
    for ran in found:
        members = len(ran.results["members"])
        yield f"| {ran.title} | {members} | {ran.results['prompts']} | {_escaped(ran.results['told']['verdict'])} |"
    yield ""
    yield from _targets(found)


def _targets(found: Sequence[Ran]) -> Iterator[str]:
    """What was aimed at, and whether it was reached."""
    for ran in found:
        best = _best(ran)
        if best is None:
            continue
        apgr = best["figures"].get("apgr")
        if ran.name == "routellm2-mmlu" and apgr:
            held = "reached" if apgr["value"] >= TARGET_MMLU else "missed"
            yield f"- APGR of at least {TARGET_MMLU} on MMLU: {held}, {best['name']} has {_spanned(apgr)}."
        if ran.name == "routellm2-gsm8k" and "length" in best["against"]:
            against = best["against"]["length"]
            held = "reached" if against["beats"] == "yes" else "missed"
            yield f"- Better than length alone on GSM8K: {held}, {best['name']} is at {_spanned(against, '+')} over it."
    below = [name for ran in found for name in _not_above_random(ran)]
    yield "- Every trained router significantly above random: " + (
        f"not {', '.join(below)}." if below else "all of them, on all data."
    )
    yield ""


def _reasons() -> Iterator[str]:
    """What is known of why some routers are no better than chance."""
    yield from ("", "## Why some are no better than chance", "")
    yield from paragraphs("""
        `blending` and `pickllm` read no prompt: they say the same of every one, so between two members they are a
        random mix by construction, and in a pool they are worth what their favourite is worth. Their use is another:
        spreading calls, and finding the best member of a session from rewards.""")
    yield from paragraphs("""
        Of the others the reasons are our reading, not measured. Over costs, an Elo rating has no unit that could be
        weighed against USD, and on RouterBench `eagle` is measured by just that. On RouterDC's pair the scores are
        shares of ten answers, a noisy label, and the length alone is as good as anything. RouterArena's 582 prompts
        leave intervals of seven points.""")
    yield from paragraphs("""
        How the networks' forecasts were made: out of fold with the very folds of this page, on one H200, from all-
        MiniLM-L6-v2, 4 epochs (5 on the smaller sets), learning rate 5e-5, batches of 32 (16), AdamW, the best held-
        back loss kept. `forc` is the paper's shared output that is told a member's name; `forc-heads` has an output
        for each member; `2-networks` and `3-networks` are means over seeds. `coterie eval router --router '{kind:
        forc, heads: each, ...}' --save-forecasts FOLDER` makes such files.""")


def _not_above_random(ran: Ran) -> Iterator[str]:
    for row in ran.results["rows"]:
        for chance in ("random mix", "random member"):
            against = row.get("against", {}).get(chance)
            if row["kind"] == "router" and against is not None and against["beats"] != "yes":
                yield f"{row['name']} on {ran.name} ({_spanned(against, '+')} over the {chance})"


def _best(ran: Ran) -> dict[str, Any] | None:
    key = ran.results["headline"]
    there = [row for row in ran.results["rows"] if row["kind"] == "router" and key in row["figures"]]
    return max(there, key=lambda row: float(row["figures"][key]["value"]), default=None)


def _run(ran: Ran) -> Iterator[str]:
    results = ran.results
    yield from (f"## {ran.title}", "")
    if ran.note:
        yield from (ran.note, "")
    yield from (f"`{ran.command}`", "")
    for sentence in (*results["told"]["run"], f"**{results['told']['verdict']}**"):
        yield from (sentence, "")
    yield from (f"- {sentence}" for sentence in results["told"]["findings"])
    yield from (f"- Beware: {sentence}" for sentence in results["told"]["warnings"])
    yield ""
    for name in TABLES:
        if table := ran.table(name):
            yield from (table, "")
    if ran.name in PUBLISHED:
        yield from _published(PUBLISHED[ran.name])


def _published(rows: Sequence[tuple[str, float]]) -> Iterator[str]:
    yield from ("### Published", "", "| RouteLLM (2406.18665) | APGR |", "|---|---:|")
    yield from (f"| {name} | {value:.3f} |" for name, value in rows)
    yield from (
        "",
        "Its routers learned from other data (arena battles and about 1,500 gold labels), not from these.",
        "",
    )


def _spanned(figure: dict[str, Any], sign: str = "") -> str:
    value = f"{figure['value']:{sign}.3f}"
    if figure["low"] is None:
        return value
    return f"{value} [{figure['low']:{sign}.3f}, {figure['high']:{sign}.3f}]"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
