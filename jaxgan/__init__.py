"""Generative adversarial networks in JAX: a game is data, and one update step plays it."""

from jaxgan.run import Run, load

__all__ = ["Run", "load"]
