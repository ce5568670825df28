"""What a trained router says of itself: `card.json` for programs, `README.md` for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coterie.encoders import to_plain
from coterie.evaluation.routing.entries import HEADLINES, KIND_NAMES, ordered
from coterie.evaluation.routing.telling import sentence
from coterie.outcomes.tally import tally
from coterie.routers.artifact import About
from coterie.training import card_parts
from coterie.types import Json

if TYPE_CHECKING:
    from coterie.evaluation.routing.board import Board
    from coterie.evaluation.significance import Estimate
    from coterie.outcomes.outcome import Lessons
    from coterie.protocols import Encoder
    from coterie.training.routing.fitting import Material, RouterData, RouterTask
    from coterie.training.routing.measuring import Beside, Measured


@dataclass(frozen=True)
class Course:
    """How long a training took."""

    fit_s: float
    """Reading, encoding what was not encoded before, and fitting."""
    seconds: float
    """With the measurements."""


def card(task: RouterTask, material: Material, about: About, found: Measured, course: Course) -> dict[str, Json]:
    """Everything there is to say, as plain data; no path of this machine is in it."""
    encoder = about.encoder
    return {
        "kind": task.recipe.kind,
        "members": list(material.members),
        "encoder": None if encoder is None else _encoder_of(encoder),
        "prices": {member: asdict(price) for member, price in about.prices.items()},
        "spending": about.spending.to_json(),
        "data": _data(task.data, material),
        "settings": _settings(task.recipe),
        "course": asdict(course),
        "measurements": measurements(found),
        "versions": card_parts.versions("numpy", "scipy"),
    }


def measurements(found: Measured) -> dict[str, Json]:
    """What was measured, as plain data."""
    return {
        "comparison": None if found.board is None else _comparison(found.board, found.board.ground.pair),
        "squared_error": _beside(found.squared_error),
        "battle_accuracy": _beside(found.accuracy),
        "decided_battles": found.battles,
        "notes": list(found.notes),
    }


def save(made: Mapping[str, Any], folder: Path) -> None:
    """Afterwards `folder` holds `card.json` and `README.md`."""
    card_parts.save(made, readme(made), folder)


# ---- as plain data ------------------------------------------------------------------------------


def _encoder_of(encoder: Encoder) -> dict[str, Json]:
    part = to_plain(encoder)
    shown = {name: card_parts.shown_name(value) if isinstance(value, str) else value for name, value in part.items()}
    return {"identity": encoder.identity, "part": shown}


def _data(data: RouterData, material: Material) -> dict[str, Json]:
    told = card_parts.told_files(data.data)
    if data.source_split is not None:
        told["held_out"] = {"source_split": data.source_split}
    return {
        **told,
        "feedback": [card_parts.shown_name(name) for name in data.feedback],
        "learned": _counts(material.sides.learned),
        "measured": _counts(material.sides.measured),
        "left_out": dict(material.left_out),
    }


def _counts(lessons: Lessons) -> dict[str, Json]:
    found = tally(lessons)
    return {**asdict(found), "summary": found.summary()}


def _settings(recipe: Any) -> dict[str, Json]:
    if not is_dataclass(recipe) or isinstance(recipe, type):
        return {}
    found: dict[str, Json] = json.loads(json.dumps(asdict(recipe)))
    return found | ({"base": card_parts.shown_name(found["base"])} if isinstance(found.get("base"), str) else {})


def _comparison(board: Board, pair: Any) -> dict[str, Json]:
    return {
        "prompts": len(board.ground),
        "pair": None if pair is None else asdict(pair),
        "headline": board.headline,
        "best_single": board.best_single,
        "mean_scores": dict(zip(board.ground.outcomes.members, board.ground.scores.mean(axis=0).tolist(), strict=True)),
        "no_costs_because": board.ground.unpriced,
        "rows": [
            {
                "name": row.name,
                "kind": row.kind,
                "figures": {key: _estimate(figure.estimate) for key, figure in row.figures.items()},
            }
            for row in ordered(board, board.headline)
        ],
        "said": [sentence(board, row) for row in board.forecast],
    }


def _estimate(found: Estimate) -> dict[str, Json]:
    return {"value": found.value, "low": found.low, "high": found.high, "n": found.n}


def _beside(found: Beside | None) -> dict[str, Json] | None:
    if found is None:
        return None
    gain = found.gain.estimate
    return {
        "router": _estimate(found.router),
        "baseline": _estimate(found.baseline),
        "gain": _estimate(gain),
        "clear": found.gain.clear,
    }


# ---- for people ---------------------------------------------------------------------------------


def readme(made: Mapping[str, Any]) -> str:
    """The card as a page."""
    measured, course = made["measurements"], made["course"]
    return card_parts.page(
        f"# A router of the kind {made['kind']}, for {len(made['members'])} members",
        f"Opened by Coterie's router `trained` (`path:` this folder). It was trained on {', '.join(made['members'])}.",
        _encoder(made),
        "## Held-back prompts",
        "No prompt was both learned from and measured. Intervals are 95 % bootstrap intervals over prompts.",
        _compared(measured["comparison"]),
        _known_scores(measured["squared_error"]),
        _decided(measured["battle_accuracy"], measured["decided_battles"]),
        "\n".join(f"Note: {note}." for note in measured["notes"]),
        "## Data",
        card_parts.licences(made),
        _sides(made["data"]),
        card_parts.reasons("Left out", made["data"]["left_out"]),
        "## What members cost",
        _spending(made),
        "## Training",
        f"Reading, encoding and fitting took {course['fit_s']:.1f} s, and {course['seconds']:.1f} s with measuring.",
        card_parts.settings_table(made),
        card_parts.made_with(made),
    )


def _encoder(made: Mapping[str, Any]) -> str:
    if made["encoder"] is None:
        return ""
    return f"It reads vectors of the encoder `{made['encoder']['part']['kind']}` (`{made['encoder']['identity']}`)."


def _compared(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return ""
    headline = found["headline"]
    pair = found["pair"]
    what = f"`{pair['weak']}` against `{pair['strong']}`" if pair else "All members"
    rows = [
        (row["name"], KIND_NAMES[row["kind"]], *_shown(row["figures"].get(headline)))
        for row in found["rows"]
        if headline in row["figures"]
    ]
    means = ", ".join(f"{member} {score:.4f}" for member, score in found["mean_scores"].items())
    return card_parts.page(
        f"{what}, on {found['prompts']} prompts of which every member's score is known. Mean scores: {means}.",
        card_parts.table(("", "what it is", HEADLINES[headline].heading, "95 %"), rows),
        "\n".join(f"- {said}" for said in found["said"]),
    ).rstrip()


def _known_scores(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return ""
    return card_parts.table(
        ("mean squared error of expected scores", "", "95 %"),
        [("the router", *_shown(found["router"])), ("each member's mean score", *_shown(found["baseline"]))],
    )


def _decided(found: Mapping[str, Any] | None, battles: int) -> str:
    if found is None:
        return ""
    return card_parts.table(
        (f"share of {battles} decided battles told rightly", "", "95 %"),
        [("the router", *_shown(found["router"])), ("the order of won battles", *_shown(found["baseline"]))],
    )


def _shown(found: Mapping[str, Any] | None) -> tuple[str, str]:
    if found is None or found["value"] is None:
        return "", ""
    between = "" if found["low"] is None else f"{found['low']:.4f} to {found['high']:.4f}"
    return f"{found['value']:.4f}", between


def _sides(data: Mapping[str, Any]) -> str:
    rows = [(side, *(data[side][name] for name in _COUNTED), _missing(data[side])) for side in ("learned", "measured")]
    return card_parts.table(("", "prompts with outcomes", "battles", "prompts again", "scores unknown"), rows)


_COUNTED = ("prompts", "battles", "repeated")


def _missing(counts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {n}" for name, n in counts["unscored"].items())


def _spending(made: Mapping[str, Any]) -> str:
    tokens, usd, prices = made["spending"]["output_tokens"], made["spending"]["cost_usd"], made["prices"]
    rows = [
        (
            member,
            *(f"{prices[member][name]:g}" if member in prices else "unknown" for name in ("input_usd", "output_usd")),
            f"{tokens[member]:.1f}" if member in tokens else "unknown",
            f"{usd[member]:.3g}" if member in usd else "unknown",
        )
        for member in made["members"]
    ]
    heads = ("member", "USD per M tokens in", "out", "mean tokens of an answer", "mean USD of an answer")
    return card_parts.table(heads, rows)
