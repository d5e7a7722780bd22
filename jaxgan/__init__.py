"""Generative adversarial networks in JAX: train, sample and measure GANs by name, or compose new ones."""

from jaxgan.runs.registry import entries as experiments
from jaxgan.runs.run import Run, load, train

__all__ = ["Run", "experiments", "load", "train"]
