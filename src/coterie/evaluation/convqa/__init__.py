"""Conversational question answering: members, routers' baselines, LLM-Blender and peer blending over known answers.

After chapters 5 and 6 of "Efficient Blending of Large Language Models". What it records, `evaluation.blending` tells.
"""
