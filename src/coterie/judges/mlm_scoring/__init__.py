"""MLM-Scoring: how likely a masked language model finds a text, word by word."""

from coterie.judges.mlm_scoring.judge import MLMScoring

__all__ = ["MLMScoring"]
