"""Fusers: each makes one new candidate out of the best ones, in one file of its own."""
