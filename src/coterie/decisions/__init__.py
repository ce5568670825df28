"""Decisions: from what a router expects of members to who is asked.

Each is a frozen dataclass, pure but for the draws of the generator it is handed. `docs/design/0004-the-routers.md`
says why they stand apart from routers.
"""

from coterie.decisions.best import Best
from coterie.decisions.budget import Budget
from coterie.decisions.cheapest_above import CheapestAbove
from coterie.decisions.explore import Explore
from coterie.decisions.optimistic import Optimistic
from coterie.decisions.sample import Sample
from coterie.decisions.threshold import Threshold
from coterie.decisions.utility import Utility

__all__ = ["Best", "Budget", "CheapestAbove", "Explore", "Optimistic", "Sample", "Threshold", "Utility"]
