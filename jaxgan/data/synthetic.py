"""Toy densities in the plane. All values of a `Density` are in the units of the networks: divided by `scale`.

The default scales are those of the WGAN-GP toy script (igul222/improved_wgan_training, gan_toy.py), which bring the
standard deviation of the data near one; `scale=1.0` gives the units of the paper.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array


class Density(NamedTuple):
    """A density to learn.

    Attributes:
        sample: key [] -> point [D].
        std: Standard deviation of the noise around a mode or around the curve.
        modes: [M, D], points of high density: the centres of a mixture, or points along a curve in their order.
        num_modes: Number of equal groups of consecutive `modes` that count as one mode each: M for a mixture,
            the number of segments for a curve.
        log_density: points [N, D] -> log-density [N] in nats, if it has a closed form.
    """

    sample: Callable[[Array], Array]
    std: float
    modes: np.ndarray
    num_modes: int
    log_density: Callable[[Array], Array] | None = None


def gaussian_mixture(modes: np.ndarray, std: float) -> Density:
    """Returns a mixture of equally likely isotropic Gaussians with centres `modes` [M, D]."""
    modes = np.asarray(modes, np.float32)
    m, d = modes.shape

    def sample(key: Array) -> Array:
        mode_key, noise_key = jax.random.split(key)
        return jax.random.choice(mode_key, modes) + std * jax.random.normal(noise_key, [d])

    def log_density(points: Array) -> Array:
        square = jnp.square(points[:, None] - modes[None]).sum(-1) / std**2
        return jax.nn.logsumexp(-0.5 * square, axis=1) - math.log(m) - 0.5 * d * math.log(2 * math.pi * std**2)

    return Density(sample, std, modes, m, log_density)


def ring(n: int = 8, radius: float = 2.0, std: float = 0.02, scale: float = 1.414) -> Density:
    """Returns n Gaussians at equal angles on a circle around the origin, the first at angle 0."""
    angle = 2 * np.pi * np.arange(n) / n
    return gaussian_mixture(radius / scale * np.stack([np.cos(angle), np.sin(angle)], axis=1), std / scale)


def grid(side: int = 5, spacing: float = 2.0, std: float = 0.05, scale: float = 2.828) -> Density:
    """Returns side x side Gaussians on a square lattice around the origin."""
    coordinates = spacing * (np.arange(side) - (side - 1) / 2)
    centres = np.stack(np.meshgrid(coordinates, coordinates), axis=-1).reshape(-1, 2)
    return gaussian_mixture(centres / scale, std / scale)


def curve(position: Callable[..., Any], std: float, scale: float, num_modes: int = 20) -> Density:
    """Returns Gaussian noise around points of a curve.

    Args:
        position: (u, xp) -> points [..., 2] at parameters u [...] in [0, 1]; xp is the module jnp or np. Samples take u
            uniformly.
        std: Standard deviation of the noise, before division by `scale`.
        scale: The unit.
        num_modes: Number of segments of equal length in u that count as modes.
    """

    def sample(key: Array) -> Array:
        position_key, noise_key = jax.random.split(key)
        points = position(jax.random.uniform(position_key), jnp)
        return (points + std * jax.random.normal(noise_key, [2])) / scale

    return Density(sample, std / scale, position(np.linspace(0, 1, 400), np) / scale, num_modes)


def swiss_roll(std: float = 0.25, scale: float = 7.5) -> Density:
    """Returns the spiral of scikit-learn's make_swiss_roll, projected along its axis."""

    def spiral(u: Any, xp: Any) -> Any:
        t = 1.5 * np.pi * (1 + 2 * u)
        return xp.stack([t * xp.cos(t), t * xp.sin(t)], axis=-1)

    return curve(spiral, std, scale)


def line(length: float = 4.0, std: float = 0.02, scale: float = 0.816) -> Density:
    """Returns noise around a segment of the first axis, centred at the origin."""
    return curve(lambda u, xp: xp.stack([length * (u - 0.5), 0 * u], axis=-1), std, scale)


def circle(radius: float = 2.0, std: float = 0.02, scale: float = 1.414) -> Density:
    """Returns noise around a circle, centred at the origin."""
    return curve(lambda u, xp: radius * xp.stack([xp.cos(2 * np.pi * u), xp.sin(2 * np.pi * u)], axis=-1), std, scale)
