"""What a lesson says each member has earned: how a bandit reads feedback."""

from __future__ import annotations

from collections.abc import Mapping

from coterie.prospects import Lesson


def rewards(lesson: Lesson) -> Mapping[str, float]:
    """A reward in [0, 1] by member.

    A rating is the reward of everyone whom the answer was made from. A preference is a game: 1 for the better member, 0
    for the other, 1/2 each for a tie, whichever of them had been chosen. Where both are said, a member that was rated
    has its rating, which says more.
    """
    feedback = lesson.feedback
    earned: dict[str, float] = {}
    if feedback.preferred is not None and feedback.over is not None:
        earned = (
            {feedback.preferred: 0.5, feedback.over: 0.5}
            if feedback.tie
            else {feedback.preferred: 1.0, feedback.over: 0.0}
        )
    if feedback.rating is not None:
        earned |= dict.fromkeys(lesson.routed.chosen, feedback.rating)
    return earned
