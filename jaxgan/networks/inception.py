"""The Inception network of 2015, as the one published file of its weights has it.

References:
    Szegedy et al. 2015, "Rethinking the Inception architecture".
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

SIZE = 299  # pixels of its input, whose values are in [-1, 1]


class Features(NamedTuple):
    """What the metrics take from images."""

    pool3: Array  # [N, 2048], for FID and KID
    logits: Array  # [N, 1008], for the Inception score, which leaves out their bias (as Salimans et al.'s code)


class Inception(nn.Module):
    """The network; its modules have the names of pytorch-fid's file."""

    @nn.compact
    def __call__(self, x: Array) -> Features:
        x = Unit(32, 3, 2, "VALID", name="Conv2d_1a_3x3")(x)
        x = Unit(32, 3, 1, "VALID", name="Conv2d_2a_3x3")(x)
        x = _halve(Unit(64, 3, name="Conv2d_2b_3x3")(x))
        x = Unit(80, name="Conv2d_3b_1x1")(x)
        x = _halve(Unit(192, 3, 1, "VALID", name="Conv2d_4a_3x3")(x))  # 35 x 35
        for name, width in ("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64):
            x = MixedA(width, name=name)(x)
        x = MixedB(name="Mixed_6a")(x)  # 17 x 17
        for name, width in ("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192):
            x = MixedC(width, name=name)(x)
        x = MixedD(name="Mixed_7a")(x)  # 8 x 8
        x = MixedE(_average, name="Mixed_7b")(x)
        x = MixedE(_largest, name="Mixed_7c")(x)  # Only this network has it so: the paper averages here too.
        pool3 = x.mean((1, 2))
        return Features(pool3, nn.Dense(1008, use_bias=False, precision=jax.lax.Precision.HIGHEST, name="fc")(pool3))


class Unit(nn.Module):
    """Convolution, batch normalisation with fixed statistics, ReLU."""

    features: int
    kernel: int | tuple[int, int] = 1
    stride: int = 1
    padding: str = "SAME"

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel = (self.kernel, self.kernel) if isinstance(self.kernel, int) else self.kernel
        # Without HIGHEST a GPU rounds to 10 bits.
        full = {"use_bias": False, "precision": jax.lax.Precision.HIGHEST}
        x = nn.Conv(self.features, kernel, self.stride, self.padding, **full, name="conv")(x)
        return nn.relu(nn.BatchNorm(use_running_average=True, epsilon=1e-3, name="bn")(x))


class MixedA(nn.Module):
    """Branches of 1x1, 5x5, twice 3x3, and averages."""

    pooled: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        return _join(
            Unit(64, name="branch1x1")(x),
            _chain(x, "branch5x5", (48, 1), (64, 5)),
            _chain(x, "branch3x3dbl", (64, 1), (96, 3), (96, 3)),
            Unit(self.pooled, name="branch_pool")(_average(x)),
        )


class MixedB(nn.Module):
    """From 35 to 17 pixels."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        return _join(
            Unit(384, 3, 2, "VALID", name="branch3x3")(x),
            _chain(x, "branch3x3dbl", (64, 1), (96, 3), (96, 3, 2, "VALID")),
            _halve(x),
        )


class MixedC(nn.Module):
    """Branches of 1x1, 7x7 and twice 7x7, each in its rows and columns, and averages."""

    width: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        row, column = (self.width, (1, 7)), (self.width, (7, 1))
        return _join(
            Unit(192, name="branch1x1")(x),
            _chain(x, "branch7x7", (self.width, 1), row, (192, (7, 1))),
            _chain(x, "branch7x7dbl", (self.width, 1), column, row, column, (192, (1, 7))),
            Unit(192, name="branch_pool")(_average(x)),
        )


class MixedD(nn.Module):
    """From 17 to 8 pixels."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        return _join(
            _chain(x, "branch3x3", (192, 1), (320, 3, 2, "VALID")),
            _chain(x, "branch7x7x3", (192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2, "VALID")),
            _halve(x),
        )


class MixedE(nn.Module):
    """Branches of 1x1, 3x3 and twice 3x3, whose last layers are rows beside columns, and what `pool` gives."""

    pool: Callable[[Array], Array]

    @nn.compact
    def __call__(self, x: Array) -> Array:
        cross = lambda x, name: (Unit(384, (1, 3), name=f"{name}a")(x), Unit(384, (3, 1), name=f"{name}b")(x))
        return _join(
            Unit(320, name="branch1x1")(x),
            *cross(_chain(x, "branch3x3", (384, 1)), "branch3x3_2"),
            *cross(_chain(x, "branch3x3dbl", (448, 1), (384, 3)), "branch3x3dbl_3"),
            Unit(192, name="branch_pool")(self.pool(x)),
        )


def _chain(x: Array, name: str, *units: tuple[Any, ...]) -> Array:
    for i, unit in enumerate(units, 1):
        x = Unit(*unit, name=f"{name}_{i}")(x)
    return x


def _join(*branches: Array) -> Array:
    return jnp.concatenate(branches, -1)


def _halve(x: Array) -> Array:
    return nn.max_pool(x, (3, 3), (2, 2))


def _average(x: Array) -> Array:
    # Over what lies within the image alone, as TensorFlow does it.
    return nn.avg_pool(x, (3, 3), padding="SAME", count_include_pad=False)


def _largest(x: Array) -> Array:
    return nn.max_pool(x, (3, 3), padding="SAME")
