"""Judges: each says how good candidates are, in one file of its own."""
