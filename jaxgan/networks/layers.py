"""Layers that all networks share."""

import functools
import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
from jax import Array

from jaxgan import axis
from jaxgan.networks.conv import Padding, Pair, conv2d, conv_transpose2d

Activation = Callable[[Array], Array]
Initializer = nn.initializers.Initializer

leaky_relu = functools.partial(nn.leaky_relu, negative_slope=0.2)  # the slope of DCGAN and its heirs; flax's is 0.01


class Conv(nn.Module):
    """A convolution, with the parameters of flax's and the speed of `conv2d`."""

    features: int
    kernel: Pair = (4, 4)
    strides: Pair = (1, 1)
    padding: str | Padding = "SAME"
    use_bias: bool = True
    kernel_init: Initializer = nn.initializers.lecun_normal()  # flax's default
    bias_init: Initializer = nn.initializers.zeros
    groups: int = 1  # of channels; none meets another's

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel = self.param("kernel", self.kernel_init, (*self.kernel, x.shape[-1] // self.groups, self.features))
        x = self.convolve(x, kernel)
        return x + self.param("bias", self.bias_init, (self.features,))[None, None, None] if self.use_bias else x

    def convolve(self, x: Array, kernel: Array) -> Array:
        """What the layer does before its bias."""
        return conv2d(x, kernel, self.strides, self.padding, self.groups)


class ConvTranspose(Conv):
    """A transposed convolution, without groups, with the parameters of flax's and the speed of `conv_transpose2d`."""

    def convolve(self, x: Array, kernel: Array) -> Array:
        """What the layer does before its bias."""
        return conv_transpose2d(x, kernel, self.strides, self.padding)


def batch_norm(train: bool, momentum: float = 0.9, **options: Any) -> Activation:
    """Return a layer that normalises by the statistics of the whole batch, over all devices that share it.

    `options` are those of flax's BatchNorm, which adds 1e-5 to variances unless told otherwise.
    """
    # Only training needs the other devices' examples.
    shared = axis.AXIS if train and axis.bound() else None
    layer = nn.BatchNorm(not train, axis_name=shared, momentum=momentum, **options)
    return functools.partial(_promoting, layer)


def spectral_norm(train: bool, layer: nn.Module) -> Callable[[Array], Array]:
    """Return the layer with its kernel [..., O], seen as a matrix of O columns, divided by its largest singular value.

    The value is v'Wu, with u and v of one power iteration (Miyato et al. 2018, Algorithm 1), whose start u [1, O] is
    kept in the collection "spectral". Each call that trains moves it on. No gradient goes through u and v.
    """

    def normed(x: Array) -> Array:
        # Epsilon is added to the square of a norm, where the authors' code adds 1e-12 to the norm.
        divided = nn.SpectralNorm(layer, epsilon=1e-24, collection_name="spectral", dtype=x.dtype)
        return _promoting(divided, x, update_stats=train)

    return normed


def _promoting(layer: nn.Module, x: Array, **options: Any) -> Array:
    """What flax's layer makes of x, its statistics in float32 also where x and its parameters are not."""
    with jax.numpy_dtype_promotion("standard"):
        return layer(x, **options)


def equalised(kind: type[nn.Module], *args: Any, gain: float = math.sqrt(2.0), **options: Any) -> Activation:
    """Return a layer whose kernel starts at N(0, 1), and is multiplied by gain / √fan_in each time it is used.

    So Adam's rate means the same part of a kernel in every layer (Karras et al. 2018, section 4.1). `kind` is Conv,
    ConvTranspose or flax's Dense, followed by its arguments; within a compact module.
    """
    layer = kind(*args, kernel_init=nn.initializers.normal(1.0), **options)
    taps = math.prod(layer.kernel) / layer.groups if isinstance(layer, Conv) else 1
    # The layer is linear in kernel and input: to scale one is to scale the other.
    return lambda x: layer(x * (gain / math.sqrt(taps * x.shape[-1])))
