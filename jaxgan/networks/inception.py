"""The Inception network of 2015 that FID uses, in the form of its published weights.

References:
    Szegedy et al. 2015, "Rethinking the Inception architecture".
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

SIZE = 299  # side of the input images in pixels; their values are in [-1, 1]


class Features(NamedTuple):
    """Outputs of the network that metrics of sample quality use."""

    pool3: Array  # [N, 2048], for FID and KID
    logits: Array  # [N, 1008], for the Inception score; without the bias, as in the code of Salimans et al. 2016


class Inception(nn.Module):
    """Maps images [N, 299, 299, 3] to `Features`. Submodules are named as the tensors in pytorch-fid's weight file."""

    @nn.compact
    def __call__(self, x: Array) -> Features:
        x = Unit(32, 3, 2, "VALID", name="Conv2d_1a_3x3")(x)
        x = Unit(32, 3, 1, "VALID", name="Conv2d_2a_3x3")(x)
        x = _max_pool_stride_2(Unit(64, 3, name="Conv2d_2b_3x3")(x))
        x = Unit(80, name="Conv2d_3b_1x1")(x)
        x = _max_pool_stride_2(Unit(192, 3, 1, "VALID", name="Conv2d_4a_3x3")(x))  # 35 x 35
        for name, width in ("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64):
            x = MixedA(width, name=name)(x)
        x = MixedB(name="Mixed_6a")(x)  # 17 x 17
        for name, width in ("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192):
            x = MixedC(width, name=name)(x)
        x = MixedD(name="Mixed_7a")(x)  # 8 x 8
        x = MixedE(_average_pool, name="Mixed_7b")(x)
        x = MixedE(_max_pool, name="Mixed_7c")(x)  # Max pooling as in the weights; the paper averages.
        pool3 = x.mean((1, 2))
        return Features(pool3, nn.Dense(1008, use_bias=False, precision=jax.lax.Precision.HIGHEST, name="fc")(pool3))


class Unit(nn.Module):
    """Convolution, batch norm with running statistics, ReLU."""

    features: int
    kernel: int | tuple[int, int] = 1  # kernel size
    stride: int = 1
    padding: str = "SAME"

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel = (self.kernel, self.kernel) if isinstance(self.kernel, int) else self.kernel
        # At lower precision a GPU rounds mantissas to 10 bits.
        options = {"use_bias": False, "precision": jax.lax.Precision.HIGHEST}
        x = nn.Conv(self.features, kernel, self.stride, self.padding, **options, name="conv")(x)
        return nn.relu(nn.BatchNorm(use_running_average=True, epsilon=1e-3, name="bn")(x))


class MixedA(nn.Module):
    """Concatenates four branches: 1x1, 5x5, two 3x3, and average pooling."""

    pooled: int  # channels of the pooling branch

    @nn.compact
    def __call__(self, x: Array) -> Array:
        return _concatenate(
            Unit(64, name="branch1x1")(x),
            _chain(x, "branch5x5", (48, 1), (64, 5)),
            _chain(x, "branch3x3dbl", (64, 1), (96, 3), (96, 3)),
            Unit(self.pooled, name="branch_pool")(_average_pool(x)),
        )


class MixedB(nn.Module):
    """Reduces 35 x 35 to 17 x 17 pixels."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        return _concatenate(
            Unit(384, 3, 2, "VALID", name="branch3x3")(x),
            _chain(x, "branch3x3dbl", (64, 1), (96, 3), (96, 3, 2, "VALID")),
            _max_pool_stride_2(x),
        )


class MixedC(nn.Module):
    """Concatenates four branches: 1x1, 7x7, two 7x7, and average pooling. Each 7x7 is factored into 1x7 and 7x1."""

    width: int  # inner channels of the 7x7 branches

    @nn.compact
    def __call__(self, x: Array) -> Array:
        row, column = (self.width, (1, 7)), (self.width, (7, 1))
        return _concatenate(
            Unit(192, name="branch1x1")(x),
            _chain(x, "branch7x7", (self.width, 1), row, (192, (7, 1))),
            _chain(x, "branch7x7dbl", (self.width, 1), column, row, column, (192, (1, 7))),
            Unit(192, name="branch_pool")(_average_pool(x)),
        )


class MixedD(nn.Module):
    """Reduces 17 x 17 to 8 x 8 pixels."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        return _concatenate(
            _chain(x, "branch3x3", (192, 1), (320, 3, 2, "VALID")),
            _chain(x, "branch7x7x3", (192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2, "VALID")),
            _max_pool_stride_2(x),
        )


class MixedE(nn.Module):
    """Concatenates four branches: 1x1, 3x3, two 3x3, and `pool`. The last 3x3 is a 1x3 and a 3x1, concatenated."""

    pool: Callable[[Array], Array]

    @nn.compact
    def __call__(self, x: Array) -> Array:
        split = lambda x, name: (Unit(384, (1, 3), name=f"{name}a")(x), Unit(384, (3, 1), name=f"{name}b")(x))
        return _concatenate(
            Unit(320, name="branch1x1")(x),
            *split(_chain(x, "branch3x3", (384, 1)), "branch3x3_2"),
            *split(_chain(x, "branch3x3dbl", (448, 1), (384, 3)), "branch3x3dbl_3"),
            Unit(192, name="branch_pool")(self.pool(x)),
        )


def _chain(x: Array, name: str, *units: tuple[Any, ...]) -> Array:
    for i, unit in enumerate(units, 1):
        x = Unit(*unit, name=f"{name}_{i}")(x)
    return x


def _concatenate(*branches: Array) -> Array:
    return jnp.concatenate(branches, -1)


def _max_pool_stride_2(x: Array) -> Array:
    return nn.max_pool(x, (3, 3), (2, 2))


def _average_pool(x: Array) -> Array:
    # Padding is excluded from the mean, as in TensorFlow.
    return nn.avg_pool(x, (3, 3), padding="SAME", count_include_pad=False)


def _max_pool(x: Array) -> Array:
    return nn.max_pool(x, (3, 3), padding="SAME")
