"""Peer review: members judge each other's answers, never their own. A way to review is a file of its own."""

from coterie.judges.peer_review.form import CRITERIA, Form
from coterie.judges.peer_review.judge import PeerReview

__all__ = ["CRITERIA", "Form", "PeerReview"]
