"""Layers that all networks share."""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
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

    convolve = staticmethod(conv2d)

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel = self.param("kernel", self.kernel_init, (*self.kernel, x.shape[-1], self.features))
        x = self.convolve(x, kernel, self.strides, self.padding)
        return x + self.param("bias", self.bias_init, (self.features,))[None, None, None] if self.use_bias else x


class ConvTranspose(Conv):
    """A transposed convolution, with the parameters of flax's and the speed of `conv_transpose2d`."""

    convolve = staticmethod(conv_transpose2d)


def batch_norm(train: bool, momentum: float = 0.9, **options: Any) -> nn.BatchNorm:
    """Return a layer that normalises by the statistics of the whole batch, over all devices that share it.

    `options` are those of flax's BatchNorm, which adds 1e-5 to variances unless told otherwise.
    """
    # Only training needs the other devices' examples.
    shared = axis.AXIS if train and axis.bound() else None
    return nn.BatchNorm(not train, axis_name=shared, momentum=momentum, **options)


def spectral_norm(train: bool, layer: nn.Module) -> Callable[[Array], Array]:
    """Return the layer with its kernel [..., O], seen as a matrix of O columns, divided by its largest singular value.

    The value is v'Wu, with u and v of one power iteration (Miyato et al. 2018, Algorithm 1), whose start u [1, O] is
    kept in the collection "spectral". Each call that trains moves it on. No gradient goes through u and v.
    """
    # Added to the square of a norm, where the authors' code adds 1e-12 to the norm.
    normed = nn.SpectralNorm(layer, epsilon=1e-24, collection_name="spectral")
    return functools.partial(normed, update_stats=train)
