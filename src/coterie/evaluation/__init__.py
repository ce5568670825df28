"""Evaluation: what a ranking or an answer is worth, told without flattery."""
