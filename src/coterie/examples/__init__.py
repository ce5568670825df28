"""Examples: questions with candidate answers and what is known of their quality, to train on and to evaluate by."""

from coterie.examples.example import Comparison, Example, Text, Verdict
from coterie.examples.reading import read
from coterie.examples.split import held_out

__all__ = ["Comparison", "Example", "Text", "Verdict", "held_out", "read"]
