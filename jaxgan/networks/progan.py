"""Progressively growing networks (Karras et al. 2018, arXiv 1710.10196), with equalised learning rates.

`StyleGenerator` is the generator of StyleGAN (Karras et al. 2019, arXiv 1812.04948), which grows in the same way.

Level 0 has the smallest images, of `base` pixels, and each further level doubles the side. All levels share parameters,
and images of a lower level are shown at the full size, by repeated pixels. While a level is faded in, `fade` grows from
0 to 1 and weighs it against the level below.
"""

import math

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax

from jaxgan.core import prng, resample
from jaxgan.networks.layers import Conv, equalised_lr, leaky_relu
from jaxgan.networks.minibatch import minibatch_std
from jaxgan.networks.resnet import downsample, upsample
from jaxgan.networks.stylegan2 import Mapping


def pixel_norm(x: Array) -> Array:
    """Returns x [..., C] divided by the root of the mean square over C (Karras et al. 2018, section 4.2)."""
    return x * lax.rsqrt((x**2).mean(-1, keepdims=True) + 1e-8)


class Generator(nn.Module):
    """Maps latents [B, Z] to unbounded images [B, H, H, channels], H = base * 2 ** (len(widths) - 1)."""

    channels: int = 3
    widths: tuple[int, ...] = (512, 512, 512, 512)  # channels at each level
    base: int = 4  # side of level 0 in pixels

    @nn.compact
    def __call__(self, z: Array, train: bool = True, level: int | None = None, fade: float | Array = 1.0) -> Array:
        top = len(self.widths) - 1
        level = top if level is None else level
        first = self.widths[0]
        activate = lambda x: pixel_norm(leaky_relu(x))
        # The authors divide the gain by 4, because the latents are a single pixel.
        dense = equalised_lr(nn.Dense, self.base**2 * first, gain=math.sqrt(2.0) / 4.0)
        x = activate(dense(pixel_norm(z)).reshape(-1, self.base, self.base, first))
        image = None
        for n, width in enumerate(self.widths[: level + 1]):
            for k in range(1 if n == 0 else 2):
                x = upsample(x) if n and k == 0 else x
                x = activate(equalised_lr(Conv, width, (3, 3), name=f"conv_{n}_{k}")(x))
            if n >= level - 1 or self.is_initializing():
                image = _show(x, image, n, level, self.channels, fade)
        for _ in range(top - level):
            image = upsample(image)
        return image


def _show(x: Array, image: Array | None, n: int, level: int, channels: int, fade: float | Array) -> Array:
    """Returns the image of feature maps of level n, at `level` faded in over `image`, the one of the level below."""
    out = equalised_lr(Conv, channels, (1, 1), gain=1.0, name=f"to_image_{n}")(x)
    return out if image is None or n < level else _mix(upsample(image), out, fade)


def adain(x: Array, scale: Array, shift: Array) -> Array:
    """Returns adaptive instance normalisation (Karras et al. 2019, Eq. 1): each map with the mean and deviation given.

    Args:
        x: Feature maps [B, H, W, C].
        scale: Their new standard deviations [B, C].
        shift: Their new means [B, C].
    """
    x = x - x.mean((1, 2), keepdims=True)
    x = x * lax.rsqrt((x**2).mean((1, 2), keepdims=True) + 1e-8)
    return x * scale[:, None, None] + shift[:, None, None]


class Styled(nn.Module):
    """Adds noise [B, H, W] and a bias to feature maps, and gives them the style that w [B, W] determines."""

    @nn.compact
    def __call__(self, x: Array, noise: Array, w: Array) -> Array:
        channels = x.shape[-1]
        strength = self.param("noise_strength", nn.initializers.zeros, (channels,))
        bias = self.param("bias", nn.initializers.zeros, (channels,))
        x = leaky_relu(x + noise[..., None] * strength[None, None, None] + bias[None, None, None])
        scale, shift = jnp.split(equalised_lr(nn.Dense, 2 * channels, gain=1.0, name="style")(w), 2, axis=1)
        return adain(x, 1.0 + scale, shift)


class StyleGenerator(nn.Module):
    """Maps latents [B, Z] and example keys [B] for noise to images like those of `Generator`.

    A mapping network turns z into a style w, of as many dimensions, for all layers. The first feature map is a learned
    constant, and sizes are doubled bilinearly (Karras et al. 2019, section 2).
    """

    channels: int = 3
    widths: tuple[int, ...] = (512, 512, 512, 512)  # channels at each level
    base: int = 4  # side of level 0 in pixels
    depth: int = 8  # layers of the mapping network

    @nn.compact
    def __call__(
        self, z: Array, keys: Array, train: bool = True, level: int | None = None, fade: float | Array = 1.0
    ) -> Array:
        top = len(self.widths) - 1
        level = top if level is None else level
        w = Mapping(z.shape[1], self.depth)(z, train=train)
        constant = self.param("constant", nn.initializers.ones, (self.base, self.base, self.widths[0]))
        x = jnp.broadcast_to(constant[None], (len(z), *constant.shape))
        image = None
        for n, width in enumerate(self.widths[: level + 1]):
            side = self.base << n
            noise = prng.normal(prng.fold_in(keys, n), 2, side, side)
            for k in (0, 1):
                if n or k:
                    x = resample.upsample(x) if k == 0 else x
                    x = equalised_lr(Conv, width, (3, 3), use_bias=False, name=f"conv_{n}_{k}")(x)
                x = Styled(name=f"styled_{n}_{k}")(x, noise[:, k], w)
            if n >= level - 1 or self.is_initializing():
                image = _show(x, image, n, level, self.channels, fade)
        for _ in range(top - level):
            image = upsample(image)
        return image


class Discriminator(nn.Module):
    """Maps images [B, H, H, C] to logits [B]."""

    widths: tuple[int, ...] = (512, 512, 512, 512)  # channels at each level
    group: int = 4  # examples in a group of the minibatch standard deviation

    @nn.compact
    def __call__(self, x: Array, train: bool = True, level: int | None = None, fade: float | Array = 1.0) -> Array:
        top = len(self.widths) - 1
        level = top if level is None else level
        from_image = lambda n, x: leaky_relu(equalised_lr(Conv, self.widths[n], (1, 1), name=f"from_image_{n}")(x))
        image = x
        for _ in range(top - level):
            image = downsample(image)
        x = from_image(level, image)
        for n in range(level, 0, -1):
            x = leaky_relu(equalised_lr(Conv, self.widths[n], (3, 3), name=f"conv_{n}_0")(x))
            x = downsample(leaky_relu(equalised_lr(Conv, self.widths[n - 1], (3, 3), name=f"conv_{n}_1")(x)))
            if n == level or self.is_initializing():
                image = downsample(image)
                below = from_image(n - 1, image)
                x = _mix(below, x, fade) if n == level else x
        x = minibatch_std(x, self.group)
        x = leaky_relu(equalised_lr(Conv, self.widths[0], (3, 3), name="conv_0_0")(x)).reshape(len(x), -1)
        x = leaky_relu(equalised_lr(nn.Dense, self.widths[0], name="dense")(x))
        return equalised_lr(nn.Dense, 1, gain=1.0, name="logit")(x)[:, 0]


def _mix(below: Array, above: Array, fade: float | Array) -> Array:
    return below + jnp.asarray(fade, above.dtype) * (above - below)
