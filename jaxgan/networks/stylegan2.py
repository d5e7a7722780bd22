"""StyleGAN2's networks (Karras et al. 2020, arXiv 1912.04958), in the form of StyleGAN2-ADA (arXiv 2006.06676).

Learning rates are equalised: weights are drawn from N(0, 1) and scaled where they are used. A leaky ReLU is followed by
a factor √2, which keeps the second moment. Feature maps have sides of `base` times a power of two. Images of another
size are cropped from the next larger one by the generator, and padded to it by the discriminator.
"""

import functools
import math

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxgan.core import axis, prng
from jaxgan.core.resample import downsample, upsample
from jaxgan.networks.conv import Padding, conv, conv_transpose
from jaxgan.networks.layers import Conv, equalised_lr, leaky_relu
from jaxgan.networks.minibatch import minibatch_std

NOISE, SECOND_LATENT, MIXING = 1, 2, 3  # folded into example keys, which themselves draw z

linear = functools.partial(equalised_lr, gain=1.0)


def activate(x: Array) -> Array:
    """Returns √2 times the leaky ReLU with slope 0.2."""
    return math.sqrt(2.0) * leaky_relu(x)


def normalise(x: Array) -> Array:
    """Returns x [B, N] divided by the root of each row's mean square."""
    return x * lax.rsqrt((x**2).mean(1, keepdims=True) + 1e-8)


def modulated_conv(
    x: Array,
    kernel: Array,
    style: Array,
    demodulate: bool = True,
    up: bool = False,
    padding: str | Padding = "SAME",
) -> Array:
    """Returns the convolution of each image with a kernel of its own (Karras et al. 2020, section 2.2).

    The kernel of an example is w' = style[i] * kernel[h, w, i, o], divided, if `demodulate`, by the root of the sum of
    w'² over h, w and i. The input is scaled in place of the kernel before one convolution that all examples share, and
    the output after it. On the CPU this is several times faster than a grouped convolution.

    Args:
        x: Images [B, H, W, I].
        kernel: Kernel [h, w, I, O].
        style: Scales of the input channels [B, I].
        demodulate: Whether to normalise the kernels.
        up: Whether to double the size, by a transposed convolution and the filter of `resample`; for 3 x 3 kernels.
        padding: Of the convolution, if not `up`; as for `conv`.

    Returns:
        Images [B, H, W, O], or [B, 2H, 2W, O]. Another padding changes H and W.
    """
    x = x * style[:, None, None]
    if up:
        x = conv_transpose(x, kernel, (2, 2), "VALID")
        # The transposed convolution inserts zeros, so that the filter must have the sum 2 along each axis.
        x = 4.0 * downsample(x, pad=(1, 1), factor=1)
    else:
        x = conv(x, kernel, padding=padding)
    if not demodulate:
        return x
    norm = lax.rsqrt(style**2 @ (kernel**2).sum((0, 1)) + 1e-8)
    return x * norm[:, None, None]


class Mapping(nn.Module):
    """Maps latents [B, Z], and labels int32 [B] if `classes` > 0, to styles w [B, features].

    With `latents` False there are no latents, and the network embeds the labels alone, as in the discriminator.
    `train` updates the moving average of w in the collection "average".
    """

    features: int = 512
    depth: int = 8
    classes: int = 0
    latents: bool = True
    lr_multiplier: float = 0.01
    average_decay: float = 0.995  # of the mean w, per update

    @nn.compact
    def __call__(self, z: Array | None, labels: Array | None = None, train: bool = True) -> Array:
        inputs = [normalise(z)] if self.latents else []
        if self.classes:
            one_hot = nn.one_hot(labels, self.classes, dtype=jnp.float32 if z is None else z.dtype)
            inputs.append(normalise(linear(nn.Dense, self.features)(one_hot)))
        w = jnp.concatenate(inputs, axis=1)
        for _ in range(self.depth):
            w = activate(linear(nn.Dense, self.features, lr_multiplier=self.lr_multiplier)(w))
        if self.latents:
            average = self.variable("average", "w", jnp.zeros, (self.features,))
            if train:
                mean = axis.batch_mean(w.astype(jnp.float32))
                average.value = mean + self.average_decay * (average.value - mean)
        return w

    def truncate(self, w: Array, psi: float) -> Array:
        """Returns styles [..., features] moved towards their mean: mean + psi (w - mean) (Karras et al. 2019, B)."""
        if psi == 1.0:
            return w
        mean = self.get_variable("average", "w").astype(w.dtype)
        mean = jnp.broadcast_to(mean, w.shape)
        return mean + psi * (w - mean)


class StyledConv(nn.Module):
    """A modulated 3 x 3 convolution with noise, bias and activation.

    Maps feature maps, w [B, W] and noise [B, H, W] of the output's size to feature maps.
    """

    features: int
    up: bool = False

    @nn.compact
    def __call__(self, x: Array, w: Array, noise: Array) -> Array:
        channels = x.shape[-1]
        style = linear(nn.Dense, channels, bias_init=nn.initializers.ones)(w)
        kernel = self.param("kernel", nn.initializers.normal(1.0), (3, 3, channels, self.features))
        x = modulated_conv(x, kernel, style, up=self.up)
        x = x + noise[..., None].astype(x.dtype) * self.param("noise_strength", nn.initializers.zeros, ())
        return activate(x + self.param("bias", nn.initializers.zeros, (self.features,))[None, None, None])


class ToImage(nn.Module):
    """A modulated 1 x 1 convolution to an image, without demodulation. Maps feature maps and w [B, W] to images."""

    channels: int

    @nn.compact
    def __call__(self, x: Array, w: Array) -> Array:
        channels = x.shape[-1]
        style = linear(nn.Dense, channels, bias_init=nn.initializers.ones)(w) / math.sqrt(channels)
        kernel = self.param("kernel", nn.initializers.normal(1.0), (1, 1, channels, self.channels))
        x = modulated_conv(x, kernel, style, demodulate=False)
        return x + self.param("bias", nn.initializers.zeros, (self.channels,))[None, None, None]


class Synthesis(nn.Module):
    """Maps styles ws [B, L, W], one for each of L = `2 * len(widths)` layers, and example keys [B] to images.

    The image is the sum of one image from each resolution, upsampled (the skip architecture).
    """

    channels: int
    widths: tuple[int, ...]  # channels at each resolution, beginning with the smallest
    base: int = 4  # side of the smallest feature map in pixels
    size: int | None = None  # side of images, cropped from the largest feature maps; by default the side of these

    @nn.compact
    def __call__(self, ws: Array, keys: Array) -> Array:
        constant = self.param("constant", nn.initializers.normal(1.0), (self.base, self.base, self.widths[0]))
        x = jnp.broadcast_to(constant[None], (len(ws), *constant.shape))
        noise = self.draw_noise(keys)
        image = None
        for n, width in enumerate(self.widths):
            if n:
                x = StyledConv(width, up=True)(x, ws[:, 2 * n - 1], noise[2 * n - 1])
            x = StyledConv(width)(x, ws[:, 2 * n], noise[2 * n])
            out = ToImage(self.channels)(x, ws[:, 2 * n + 1])
            image = out if image is None else upsample(image) + out
        margin = 0 if self.size is None else (image.shape[1] - self.size) // 2
        return image[:, margin:, margin:][:, : self.size, : self.size]

    def draw_noise(self, keys: Array) -> list[Array]:
        """Returns noise [B, H, W] from N(0, 1) for each convolution, all from one draw, which compiles sooner."""
        sides = [self.base << (n + 1) // 2 for n in range(2 * len(self.widths) - 1)]
        ends = np.cumsum([side**2 for side in sides])
        draws = prng.normal(prng.fold_in(keys, NOISE), int(ends[-1]))
        parts = jnp.split(draws, ends[:-1], axis=1)
        return [part.reshape(-1, side, side) for part, side in zip(parts, sides, strict=True)]


class Generator(nn.Module):
    """Maps latents [B, Z], labels int32 [B] if `classes` > 0, and example keys [B] to images [B, H, H, channels].

    The keys draw noise and, in training, second latents for style mixing (Karras et al. 2019, section 3.1): with
    probability `mixing` the layers from a random one on have the style of a second latent.
    """

    channels: int = 3
    widths: tuple[int, ...] = (512, 512, 512, 512)  # channels at each resolution, beginning with the smallest
    base: int = 4  # side of the smallest feature map in pixels
    features: int = 512  # dimensions of w
    depth: int = 8  # layers of the mapping network
    classes: int = 0
    mixing: float = 0.9
    size: int | None = None  # side of images, cropped from the largest feature maps; by default the side of these

    def setup(self) -> None:
        """Makes the two parts."""
        self.mapping = Mapping(self.features, self.depth, self.classes)
        self.synthesis = Synthesis(self.channels, self.widths, self.base, self.size)

    @property
    def num_layers(self) -> int:
        """The number of layers that have a style."""
        return 2 * len(self.widths)

    def __call__(self, z: Array, *labels_and_keys: Array, train: bool = True, psi: float = 1.0) -> Array:
        """Returns images; `psi` truncates the styles."""
        return self.synthesise(self.styles(z, *labels_and_keys, train=train, psi=psi), labels_and_keys[-1])

    def styles(self, z: Array, *labels_and_keys: Array, train: bool = True, psi: float = 1.0) -> Array:
        """Returns the styles of all layers [B, L, features], mixed if `train`, and truncated by `psi`."""
        *labels, keys = labels_and_keys
        w = self.mapping(z, *labels, train=train)
        ws = jnp.broadcast_to(w[:, None], (len(w), self.num_layers, self.features))
        if train and self.mixing:
            second_z = prng.normal(prng.fold_in(keys, SECOND_LATENT), z.shape[1]).astype(z.dtype)
            second = self.mapping(second_z, *labels, train=False)
            coin, place = prng.uniform(prng.fold_in(keys, MIXING), 2).T
            first_layer = 1.0 + jnp.floor(place * (self.num_layers - 1))  # 1, ..., num_layers - 1
            first_layer = jnp.where(coin < self.mixing, first_layer, 1.0 * self.num_layers)
            is_second = jnp.arange(1.0 * self.num_layers)[None] >= first_layer[:, None]
            ws = jnp.where(is_second[..., None], second[:, None], ws)
        return self.mapping.truncate(ws, psi)

    def synthesise(self, ws: Array, keys: Array, train: bool = True) -> Array:
        """Returns images from the styles of all layers [B, L, features] and example keys [B] for noise."""
        return self.synthesis(ws, keys)


class Discriminator(nn.Module):
    """Maps images [B, H, H, C], and labels int32 [B] if `classes` > 0, to logits [B].

    With classes the logit is the scaled inner product of the features and a mapped label (Karras et al. 2020b, C.2).
    """

    widths: tuple[int, ...] = (512, 512, 512, 512)  # channels at each resolution, beginning with the full size
    residual: bool = True  # whether blocks have residual connections
    group: int = 4  # examples in a group of the minibatch standard deviation
    classes: int = 0
    base: int | None = None  # side of the smallest feature map, for images that are padded to `base` times 2^n

    @nn.compact
    def __call__(self, x: Array, labels: Array | None = None, train: bool = True) -> Array:
        conv = functools.partial(linear, Conv)
        if self.base is not None:
            missing = (self.base << (len(self.widths) - 1)) - x.shape[1]
            pad = (missing // 2, missing - missing // 2)
            x = jnp.pad(x, ((0, 0), pad, pad, (0, 0)), mode="edge")
        x = activate(conv(self.widths[0], (1, 1))(x))
        for width, next_width in zip(self.widths, self.widths[1:], strict=False):
            inner = activate(conv(width, (3, 3))(x))
            inner = downsample(inner, pad=(2, 2), factor=1)
            inner = activate(conv(next_width, (3, 3), strides=(2, 2), padding="VALID")(inner))
            if self.residual:
                inner = math.sqrt(0.5) * (inner + conv(next_width, (1, 1), use_bias=False)(downsample(x)))
            x = inner
        x = minibatch_std(x, self.group)
        width = self.widths[-1]
        x = activate(conv(width, (3, 3))(x)).reshape(len(x), -1)
        x = activate(linear(nn.Dense, width)(x))
        out = linear(nn.Dense, width if self.classes else 1)(x)
        if not self.classes:
            return out[:, 0]
        embedding = Mapping(width, depth=8, classes=self.classes, latents=False)(None, labels, train)
        return (out * embedding).sum(1) / math.sqrt(width)


def widths_by_size(size: int, base: int, width: int, max_width: int) -> tuple[int, ...]:
    """Returns the channels at each resolution, beginning with the smallest: `width` at the full size.

    Each halving of the size doubles the channels, up to `max_width`. The full size is the smallest of `base`, 2 `base`,
    4 `base` and so on that is not below `size`.
    """
    halvings = range(1 + max(0, math.ceil(math.log2(size / base))))
    return tuple(min(width << n, max_width) for n in reversed(halvings))
