"""The discriminator of AC-GAN for CIFAR-10 (Odena et al. 2016, appendix A), which also names the class of an image.

For images of `base` times a power of two pixels: those of 32 halve three times. The noise on images is left out, and
weights start at LeCun's normal: with the paper's N(0, 0.02) plain descent at a rate of 0.001 was unstable on the small
digits, so that after ten steps one device and eight were 0.003 apart.
"""

import flax.linen as nn
import jax
from jax import Array

from jaxgan.networks.dcgan import halvings
from jaxgan.networks.layers import Conv, batch_norm, leaky_relu
from jaxgan.networks.maxout import dropout


class Discriminator(nn.Module):
    """Images [B, H, H, C], then keys [B] for dropout, to logits [B] and logits of the classes [B, classes]."""

    classes: int
    width: int = 16  # channels of the first layer; twice as many in each that follows
    base: int = 4  # pixels of the last feature map
    keep: float = 0.5  # the part that dropout leaves

    @nn.compact
    def __call__(self, x: Array, keys: Array, train: bool = True) -> tuple[Array, Array]:
        for n in range(2 * halvings(x.shape[1], self.base)):
            strides = (1, 1) if n % 2 else (2, 2)
            x = Conv(self.width << n, (3, 3), strides, use_bias=n == 0)(x)
            x = leaky_relu(batch_norm(train)(x) if n else x)
            if train:
                x = dropout(x, jax.vmap(jax.random.fold_in, (0, None))(keys, n), self.keep)
        x = x.reshape(len(x), -1)
        return nn.Dense(1)(x)[:, 0], nn.Dense(self.classes)(x)
