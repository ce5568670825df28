"""Coterie: a committee of language models that answers better, cheaper or faster than any one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coterie._version import __version__

if TYPE_CHECKING:
    from coterie.answer import Answer, Timing
    from coterie.committee import Committee, save_trace
    from coterie.errors import (
        ConfigError,
        CoterieError,
        MemberError,
        MissingExtra,
        ModelFilesError,
        NoAnswer,
        StoreError,
        TraceError,
    )
    from coterie.fusers.aggregate import Aggregate
    from coterie.judges.agreement import Agreement
    from coterie.judges.length import Length
    from coterie.judges.peer_review import Form, PeerReview
    from coterie.members.llama_cpp import LlamaCppMember
    from coterie.members.openai import OpenAIMember
    from coterie.members.recorded import RecordedMember
    from coterie.members.scripted import Reply, ScriptedMember
    from coterie.methods.best_of import BestOf
    from coterie.methods.peer_blend import PeerBlend
    from coterie.methods.rank_and_fuse import RankAndFuse
    from coterie.methods.vote import Vote
    from coterie.policies import (
        AlternateRanking,
        DynamicElimination,
        FirstK,
        FixedInterval,
        FullRanking,
        RandomK,
        RandomPick,
    )
    from coterie.replays import areplay, replay
    from coterie.run import AnswerPiece, AnswerReset, Piece
    from coterie.store import Database
    from coterie.trace import Trace
    from coterie.types import (
        BallotMode,
        Candidate,
        Completion,
        Failure,
        Judgement,
        Limits,
        Message,
        Place,
        Price,
        Ranking,
        Request,
        Sampling,
        Secret,
        Usage,
    )

_PLACES = {
    "Aggregate": "fusers.aggregate",
    "Agreement": "judges.agreement",
    "AlternateRanking": "policies",
    "Answer": "answer",
    "AnswerPiece": "run",
    "AnswerReset": "run",
    "BallotMode": "types",
    "BestOf": "methods.best_of",
    "Candidate": "types",
    "Committee": "committee",
    "Completion": "types",
    "ConfigError": "errors",
    "CoterieError": "errors",
    "Database": "store",
    "DynamicElimination": "policies",
    "Failure": "types",
    "FirstK": "policies",
    "FixedInterval": "policies",
    "Form": "judges.peer_review",
    "FullRanking": "policies",
    "Judgement": "types",
    "Length": "judges.length",
    "Limits": "types",
    "LlamaCppMember": "members.llama_cpp",
    "MemberError": "errors",
    "Message": "types",
    "MissingExtra": "errors",
    "ModelFilesError": "errors",
    "NoAnswer": "errors",
    "OpenAIMember": "members.openai",
    "PeerBlend": "methods.peer_blend",
    "PeerReview": "judges.peer_review",
    "Piece": "run",
    "Place": "types",
    "Price": "types",
    "RandomK": "policies",
    "RandomPick": "policies",
    "RankAndFuse": "methods.rank_and_fuse",
    "Ranking": "types",
    "RecordedMember": "members.recorded",
    "Reply": "members.scripted",
    "Request": "types",
    "Sampling": "types",
    "ScriptedMember": "members.scripted",
    "Secret": "types",
    "StoreError": "errors",
    "Timing": "answer",
    "Trace": "trace",
    "TraceError": "errors",
    "Usage": "types",
    "Vote": "methods.vote",
    "areplay": "replays",
    "replay": "replays",
    "save_trace": "committee",
}
"""Where each public name stands: they load on first use, so that importing the package costs next to nothing."""

__all__ = [
    "Aggregate",
    "Agreement",
    "AlternateRanking",
    "Answer",
    "AnswerPiece",
    "AnswerReset",
    "BallotMode",
    "BestOf",
    "Candidate",
    "Committee",
    "Completion",
    "ConfigError",
    "CoterieError",
    "Database",
    "DynamicElimination",
    "Failure",
    "FirstK",
    "FixedInterval",
    "Form",
    "FullRanking",
    "Judgement",
    "Length",
    "Limits",
    "LlamaCppMember",
    "MemberError",
    "Message",
    "MissingExtra",
    "ModelFilesError",
    "NoAnswer",
    "OpenAIMember",
    "PeerBlend",
    "PeerReview",
    "Piece",
    "Place",
    "Price",
    "RandomK",
    "RandomPick",
    "RankAndFuse",
    "Ranking",
    "RecordedMember",
    "Reply",
    "Request",
    "Sampling",
    "ScriptedMember",
    "Secret",
    "StoreError",
    "Timing",
    "Trace",
    "TraceError",
    "Usage",
    "Vote",
    "__version__",
    "areplay",
    "replay",
    "save_trace",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _PLACES:
        raise AttributeError(f"module 'coterie' has no attribute {name!r}")
    module = import_module(f"coterie.{_PLACES[name]}")
    globals()[name] = value = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
