"""Encoders: texts into vectors, local by default.

`vectors_of` is for whoever has many texts and no event loop (training, evaluation)::

    vectors_of(encoder, texts, folder=None, watch=None) -> NDArray[np.float32]   # (texts, dimensions)

A committee opens an encoder through its house instead, and awaits `encode`. `from_plain` and `to_plain` write encoders
into files and read them again, and `default_encoder` is what is taken where none is named. No encoder's module is
loaded before it is asked for.
"""

from coterie.encoders.kept import Watch, vectors_of
from coterie.encoders.plain import KINDS, default_encoder, from_plain, to_plain

__all__ = ["KINDS", "Watch", "default_encoder", "from_plain", "to_plain", "vectors_of"]
