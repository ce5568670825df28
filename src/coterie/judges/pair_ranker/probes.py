"""A few questions with good, poor and odd answers, to compare runtimes on where nobody names texts of their own."""

from __future__ import annotations

from collections.abc import Iterator

from coterie.judges.pair_ranker.agreement import ordered_pairs
from coterie.judges.pair_ranker.encoding import Pair

PROBES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "Why is the sky blue?",
        (
            "Air scatters short waves of light more than long ones, so blue light reaches us from every direction.",
            "Because it reflects the sea.",
            "The sky is blue. Blue is a colour. Many things are blue, for example the sky.",
            "I cannot answer that.",
        ),
    ),
    (
        "Write a Python function that returns the largest number of a list, and None for an empty one.",
        (
            "def largest(numbers):\n    return max(numbers, default=None)",
            "def largest(numbers):\n    for n in numbers:\n        return n",
            "Use the function max(). It raises ValueError for an empty list, so check for that first.",
            "SELECT MAX(n) FROM numbers;",
        ),
    ),
    (
        "Translate into German: The train was late, so we missed the concert.",
        (
            "Der Zug hatte Verspätung, deshalb haben wir das Konzert verpasst.",
            "Das Zug war spät, so wir vermissten das Konzert.",
            "Le train était en retard, nous avons donc manqué le concert.",
            "The train was late, so we missed the concert.",
        ),
    ),
    (
        "A shirt costs 40 euros after a discount of 20 percent. What did it cost before?",
        (
            "50 euros: 40 is 80 percent of the old price, and 40 / 0.8 = 50.",
            "48 euros, because 20 percent of 40 is 8.",
            "It cost more before the discount than after it.",
            "60",
        ),
    ),
    (
        "Give me one tip for sleeping better.",
        (
            "Get up at the same time every day, weekends included: it steadies your inner clock.",
            "Drink two cups of strong coffee right before you go to bed.",
            "Sleep better! 😴😴😴",
            "There are many tips. One could name temperature, light, noise, food, screens, and so on and so forth.",
        ),
    ),
    (
        "Summarise: Water expands when it freezes. Ice is therefore lighter than water and floats. Lakes freeze from "
        "above, and fish survive the winter in the water below.",
        (
            "Because ice is lighter than water, lakes freeze from above and fish survive below.",
            "Fish like ice.",
            "Water expands when it freezes. Ice is therefore lighter than water and floats.",
            "",
        ),
    ),
)


def probes() -> Iterator[Pair]:
    """Every ordered pair of answers to each question."""
    for source, candidates in PROBES:
        yield from ordered_pairs(source, candidates)
