"""TGAN's generator: latents over time, then an image from each (Saito et al. 2017). Its discriminator is VGAN's."""

import functools

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from jaxgan.networks.dcgan import num_halvings
from jaxgan.networks.layers import Conv, ConvTranspose, batch_norm
from jaxgan.networks.vgan import BASE, NORMAL


class TemporalGenerator(nn.Module):
    """Maps latents [B, Z] to one latent for each frame, [B, frames, Z] in [-1, 1], by convolutions over time."""

    frames: int = 16  # a power of two
    width: int = 512  # channels of the first layer; halved with each of the next two layers

    @nn.compact
    def __call__(self, z: Array, train: bool = True) -> Array:
        # As in the authors' code, batch norm has no bias here.
        activate = lambda x: nn.relu(batch_norm(train, use_bias=False)(x))
        upsampling_conv = functools.partial(ConvTranspose, kernel=(4,), strides=2, kernel_init=NORMAL)
        x = activate(nn.Dense(self.width, use_bias=False, kernel_init=NORMAL)(z[:, None]))
        for i in range(1, num_halvings(self.frames, 1)):
            x = activate(upsampling_conv(self.width >> min(i, 2), use_bias=False)(x))
        return jnp.tanh(upsampling_conv(z.shape[-1])(x))


class Generator(nn.Module):
    """Maps latents [B, Z] to videos [B, frames, size, size, channels] in [-1, 1].

    A frame is drawn from the video's latent and from the frame's own, which `TemporalGenerator` makes. Each of the two
    gives half of the channels of the smallest feature map.
    """

    frames: int = 16  # a power of two
    size: int = 64  # side of a frame in pixels, 4 times a power of two
    channels: int = 3
    width: int = 64  # channels at half the size; doubled each time the size is halved again

    @nn.compact
    def __call__(self, z: Array, train: bool = True) -> Array:
        *widths, first = [(self.width << i) // 2 for i in range(1 + num_halvings(self.size, BASE))]
        activate = lambda x: nn.relu(batch_norm(train)(x))
        half_map = lambda z: activate(nn.Dense(BASE * BASE * first // 2, use_bias=False, kernel_init=NORMAL)(z))
        slow = jnp.repeat(half_map(z)[:, None], self.frames, axis=1)
        fast = half_map(TemporalGenerator(self.frames, 8 * self.width)(z, train))
        split_maps = lambda x: x.reshape(-1, BASE, BASE, first // 2)
        x = jnp.concatenate([split_maps(slow), split_maps(fast)], axis=-1)
        for width in reversed(widths):
            x = activate(ConvTranspose(width, strides=2, use_bias=False, kernel_init=NORMAL)(x))
        x = jnp.tanh(Conv(self.channels, (3, 3), kernel_init=NORMAL)(x))
        return x.reshape(len(z), self.frames, *x.shape[1:])
