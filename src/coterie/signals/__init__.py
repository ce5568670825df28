"""What a set of ballots tells about itself: whether reviewers agree, how clear the result is, and what biases them.

Pure numbers of what a run has recorded anyway; nobody is asked. A number that cannot be known is ``None``: with three
members no two reviewers share two answers, so there is no concordance to speak of.
"""

from __future__ import annotations

from coterie.signals.ballots import Ballot, ballots_of
from coterie.signals.concordance import concordance
from coterie.signals.correlation import mid_ranks, pearson, spearman, tau_b
from coterie.signals.kin import kin_preference
from coterie.signals.observing import BallotSignals, Signals, observe

__all__ = [
    "Ballot",
    "BallotSignals",
    "Signals",
    "ballots_of",
    "concordance",
    "kin_preference",
    "mid_ranks",
    "observe",
    "pearson",
    "spearman",
    "tau_b",
]
