"""Model files on this machine: what there is to fetch, and what has been fetched."""

from coterie.weights.catalogue import CATALOGUE, Part, Weights
from coterie.weights.fetch import Listed, Progress, listed, pull, remove
from coterie.weights.shelf import folder, has_consent, path

__all__ = [
    "CATALOGUE",
    "Listed",
    "Part",
    "Progress",
    "Weights",
    "folder",
    "has_consent",
    "listed",
    "path",
    "pull",
    "remove",
]
