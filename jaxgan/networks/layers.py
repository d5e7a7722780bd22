"""Layers that several networks use: convolutions, norms, dropout, resampling and the equalised learning rate."""

import functools
import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from jaxgan.core import axis
from jaxgan.networks.conv import Padding, Strides, conv, conv_transpose

Activation = Callable[[Array], Array]
Initializer = nn.initializers.Initializer

BATCH_NORM_MOMENTUM = 0.9  # weight of the old value in an update of the running statistics

leaky_relu = functools.partial(nn.leaky_relu, negative_slope=0.2)  # DCGAN's slope; flax's default is 0.01


class Conv(nn.Module):
    """Convolution over as many axes as `kernel` has, computed by `conv` in the dtype of the input.

    Its parameters are those of `flax.linen.Conv`.
    """

    features: int
    kernel: tuple[int, ...] = (4, 4)  # kernel size in pixels
    strides: Strides = 1
    padding: str | Padding = "SAME"
    use_bias: bool = True
    kernel_init: Initializer = nn.initializers.lecun_normal()  # flax's default
    bias_init: Initializer = nn.initializers.zeros
    groups: int = 1  # groups into which the channels are divided

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel = self.param("kernel", self.kernel_init, (*self.kernel, x.shape[-1] // self.groups, self.features))
        out = self.convolve(x, kernel.astype(x.dtype))
        if not self.use_bias:
            return out
        bias = self.param("bias", self.bias_init, (self.features,)).astype(x.dtype)
        return out + jnp.expand_dims(bias, range(x.ndim - 1))

    def convolve(self, x: Array, kernel: Array) -> Array:
        """Returns the layer's output before the bias is added."""
        return conv(x, kernel, self.strides, self.padding, self.groups)


class ConvTranspose(Conv):
    """Transposed convolution with the parameters of `flax.linen.ConvTranspose`; `groups` must be 1."""

    def convolve(self, x: Array, kernel: Array) -> Array:
        """Returns the layer's output before the bias is added."""
        return conv_transpose(x, kernel, self.strides, self.padding)


def batch_norm(train: bool, momentum: float = BATCH_NORM_MOMENTUM, **options: Any) -> Activation:
    """Returns a batch norm layer whose statistics are those of the whole batch, over all devices.

    Args:
        train: Whether to normalise by the batch and update the running statistics, or to use the running statistics.
        momentum: Weight of the old value in an update of the running statistics.
        **options: Other arguments of `flax.linen.BatchNorm`, whose epsilon is 1e-5 by default.
    """
    axis_name = axis.AXIS_NAME if train and axis.is_sharded() else None
    layer = nn.BatchNorm(not train, axis_name=axis_name, momentum=momentum, **options)
    return functools.partial(_call_with_promotion, layer)


class SpectralNorm(nn.Module):
    """A layer with its kernel divided by an estimate of the kernel's largest singular value, see `spectral_norm`.

    `flax.linen.SpectralNorm` stores the divided kernel as the initial parameter. Here the parameter is what the layer's
    initialiser returns, and only the forward pass divides it.
    """

    layer: nn.Module
    iterations: int = 1  # of the power method in each call

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        if self.is_initializing():
            self.layer(x)  # Creates the parameters.
        params, name = self.layer.variables["params"], self.layer.name
        matrix = params["kernel"].reshape(-1, params["kernel"].shape[-1])
        u_init = lambda: jax.random.normal(self.make_rng("params"), (1, matrix.shape[1]))
        u = self.variable("spectral", f"{name}/u", u_init)
        sigma = self.variable("spectral", f"{name}/sigma", jnp.ones, ())
        estimate, next_u = largest_singular_value(matrix.astype(u.value.dtype), u.value, self.iterations)
        if train:
            u.value, sigma.value = next_u, estimate
        kernel = params["kernel"] / jnp.where(estimate == 0, 1, estimate).astype(matrix.dtype)
        return self.layer.clone(parent=None).apply({"params": {**params, "kernel": kernel}}, x)


def instance_norm(affine: bool = False, **options: Any) -> Activation:
    """Returns a layer that normalises each channel of each image by its mean and variance over the pixels.

    It does the same in training and in evaluation. A batch norm layer on a batch of one image in training is this layer
    with `affine`.

    Args:
        affine: Whether a learned scale and bias per channel follow.
        **options: Other arguments of `flax.linen.InstanceNorm`, such as `scale_init`.
    """
    layer = nn.InstanceNorm(epsilon=1e-5, use_scale=affine, use_bias=affine, use_fast_variance=False, **options)
    return functools.partial(_call_with_promotion, layer)


def spectral_norm(train: bool, layer: nn.Module, iterations: int = 1) -> Callable[[Array], Array]:
    """Returns the layer with its kernel divided by an estimate of the kernel's largest singular value.

    The kernel [..., O] is reshaped to a matrix W with O columns. The estimate is v'Wu after a power iteration (Miyato
    et al. 2018, Algorithm 1), or as many as `iterations`, from u [1, O] in the collection "spectral". A call with
    `train` stores the new u, and the estimate as sigma. No gradient flows through u and v.
    """
    return lambda x: SpectralNorm(layer, iterations)(x, train)


def largest_singular_value(matrix: Array, u: Array, iterations: int = 1) -> tuple[Array, Array]:
    """Returns an estimate v'Wu of the largest singular value of W [I, O], and the next u [1, O], by power iterations.

    No gradient flows through u and v.
    """
    normalise = lambda x: x / (jnp.linalg.norm(x) + 1e-12)  # epsilon as in the authors' code
    fixed = jax.lax.stop_gradient(matrix)
    for _ in range(iterations):
        v = normalise(u @ fixed.T)
        u = normalise(v @ fixed)
    return (v @ matrix @ u.T)[0, 0], u


def _call_with_promotion(layer: nn.Module, x: Array, **options: Any) -> Array:
    """Calls a layer that keeps float32 statistics, with dtype promotion for inputs and params in bfloat16."""
    with jax.numpy_dtype_promotion("standard"):
        return layer(x, **options)


class PReLU(nn.Module):
    """max(x, 0) + a min(x, 0) with a learned slope a for each channel, initially 1/4 (He et al. 2015, Eq. 1)."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        slope = self.param("slope", nn.initializers.constant(0.25), (x.shape[-1],))
        return jnp.where(x >= 0, x, slope[None, None, None] * x)


def dropout(x: Array, keys: Array, keep_prob: float) -> Array:
    """Returns x [B, ...] with entries set to 0 with probability 1 - keep_prob, and the others divided by keep_prob.

    The mask of an example depends only on its key in `keys` [B].
    """
    mask = jax.vmap(lambda key, example: jax.random.bernoulli(key, keep_prob, example.shape))(keys, x)
    return jnp.where(mask, x / keep_prob, 0.0)


def reflect_pad(x: Array, width: int) -> Array:
    """Returns images [B, H, W, C] with `width` mirrored pixels on all sides; those of the edge are not repeated."""
    return jnp.pad(x, ((0, 0), (width, width), (width, width), (0, 0)), mode="reflect")


def pixel_shuffle(x: Array, factor: int = 2) -> Array:
    """Returns images [B, H r, W r, C] from maps [B, H, W, C r²] with r = `factor` (Shi et al. 2016, Eq. 4).

    The r² values of a block of pixels are adjacent in the last axis of x, in rows of r, and its slowest index is C.
    """
    b, h, w, c = x.shape
    blocks = x.reshape(b, h, w, c // factor**2, factor, factor)
    return blocks.transpose(0, 1, 4, 2, 5, 3).reshape(b, h * factor, w * factor, -1)


def equalised_lr(
    layer_class: type[nn.Module],
    *args: Any,
    gain: float = math.sqrt(2.0),
    lr_multiplier: float = 1.0,
    **options: Any,
) -> Activation:
    """Returns a layer with an equalised learning rate (Karras et al. 2018, section 4.1).

    The kernel is initialised from N(0, 1) and multiplied by gain / √fan_in at each call. Adam's relative step size is
    then equal for all layers. Call it within a compact method.

    Args:
        layer_class: Conv, ConvTranspose or `flax.linen.Dense`.
        *args: Positional arguments of the layer.
        gain: Standard deviation of the scaled kernel times √fan_in.
        lr_multiplier: Learning rate of the layer relative to that of others (Karras et al. 2019, section 4). The kernel
            is initialised 1 / lr_multiplier times as large, and the output is multiplied by lr_multiplier.
        **options: Keyword arguments of the layer, other than `kernel_init`.
    """
    layer = layer_class(*args, kernel_init=nn.initializers.normal(1.0 / lr_multiplier), **options)
    receptive_field = math.prod(layer.kernel) / layer.groups if isinstance(layer, Conv) else 1

    def apply(x: Array) -> Array:
        # Scaling the input is equivalent to scaling the kernel.
        y = layer(x * (gain / math.sqrt(receptive_field * x.shape[-1])))
        return y if lr_multiplier == 1.0 else y * lr_multiplier

    return apply
