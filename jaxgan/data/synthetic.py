"""Densities in the plane. All numbers of a `Density` are in the units that the networks see: divided by `scale`.

The default scales are those of the WGAN-GP toy script (igul222/improved_wgan_training, gan_toy.py), which bring the
standard deviation near one; `scale=1.0` gives the paper's own units.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array


class Density(NamedTuple):
    """A density to learn."""

    draw: Callable[[Array], Array]  # key -> point [D]
    std: float  # of the noise about a mode, or about the curve
    modes: np.ndarray  # [M, D]: where the density is high, centres or points along a curve
    parts: int  # of the modes in their order, all equally likely: single centres, or stretches of a curve
    log_density: Callable[[Array], Array] | None = None  # points [N, D] -> nats [N], where it has a closed form


def mixture(modes: np.ndarray, std: float) -> Density:
    """Equal shares of isotropic Gaussians about `modes` [M, D]."""
    modes = np.asarray(modes, np.float32)
    m, d = modes.shape

    def draw(key: Array) -> Array:
        which, noise = jax.random.split(key)
        return jax.random.choice(which, modes) + std * jax.random.normal(noise, [d])

    def log_density(points: Array) -> Array:
        square = jnp.square(points[:, None] - modes[None]).sum(-1) / std**2
        return jax.nn.logsumexp(-0.5 * square, axis=1) - math.log(m) - 0.5 * d * math.log(2 * math.pi * std**2)

    return Density(draw, std, modes, m, log_density)


def ring(n: int = 8, radius: float = 2.0, std: float = 0.02, scale: float = 1.414) -> Density:
    """Gaussians on a circle, at n different angles: the one at 2 pi would be the first again."""
    angle = 2 * np.pi * np.arange(n) / n
    return mixture(radius / scale * np.stack([np.cos(angle), np.sin(angle)], axis=1), std / scale)


def grid(side: int = 5, spacing: float = 2.0, std: float = 0.05, scale: float = 2.828) -> Density:
    """Gaussians on a square lattice about the origin, side x side of them."""
    at = spacing * (np.arange(side) - (side - 1) / 2)
    return mixture(np.stack(np.meshgrid(at, at), axis=-1).reshape(-1, 2) / scale, std / scale)


def along(curve: Callable[..., Any], std: float, scale: float, parts: int = 20) -> Density:
    """Gaussian noise about points of a curve; `curve(u, xp)` takes u in [0, 1], uniform, to [..., 2] by jnp or np."""

    def draw(key: Array) -> Array:
        where, noise = jax.random.split(key)
        return (curve(jax.random.uniform(where), jnp) + std * jax.random.normal(noise, [2])) / scale

    return Density(draw, std / scale, curve(np.linspace(0, 1, 400), np) / scale, parts)


def swiss_roll(std: float = 0.25, scale: float = 7.5) -> Density:
    """The spiral of scikit-learn's make_swiss_roll, seen along its axis."""

    def curve(u, xp):
        t = 1.5 * np.pi * (1 + 2 * u)
        return xp.stack([t * xp.cos(t), t * xp.sin(t)], axis=-1)

    return along(curve, std, scale)


def line(length: float = 4.0, std: float = 0.02, scale: float = 0.816) -> Density:
    """A segment of the first axis about the origin."""
    return along(lambda u, xp: xp.stack([length * (u - 0.5), 0 * u], axis=-1), std, scale)


def circle(radius: float = 2.0, std: float = 0.02, scale: float = 1.414) -> Density:
    """A circle about the origin."""
    return along(lambda u, xp: radius * xp.stack([xp.cos(2 * np.pi * u), xp.sin(2 * np.pi * u)], axis=-1), std, scale)
