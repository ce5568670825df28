"""LLM-Blender's GenFuser: its prompt, the model behind it, and the fuser."""

from coterie.fusers.generative.fuser import FuserWeights, Generative

__all__ = ["FuserWeights", "Generative"]
