"""StyleGAN3's generator (Karras et al. 2021, Alias-free GAN, arXiv 2106.12423), configurations T and R.

A feature map stands for a continuous signal whose frequencies are limited. Each layer convolves the map, raises its
sampling rate, applies the leaky ReLU, and lowers the rate again. A low-pass filter before and after the leaky ReLU
keeps the frequencies within what the map can hold, so that a shift of the input signal shifts the image, by fractions
of a pixel as well. Maps have a margin around the image, because pixels at the border depend on the border.

R is also equivariant to rotation: its kernels are 1 x 1 and its lowering filters radially symmetric.

The input is a set of sine waves, whose translation and rotation follow from the style. Lengths are in sides of the
image and frequencies in cycles per side.
"""

import functools
import math
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxgan.core import axis
from jaxgan.networks.layers import leaky_relu
from jaxgan.networks.stylegan2 import Mapping, linear, modulated_conv

TAPS = 6  # of a filter, per sample at the lower of its two rates
OUTPUT_SCALE = 0.25  # of images; with it untrained images have about the standard deviation of data (appendix G)


class Signal(NamedTuple):
    """What a feature map holds.

    Attributes:
        size: Height and width in samples, with the margin.
        rate: Samples per side of the image.
        cutoff: Frequency up to which the signal is kept.
        half_width: Half of the width of the band above, in which filters fall from pass to stop.
        channels: Number of channels.
    """

    size: int
    rate: int
    cutoff: float
    half_width: float
    channels: int


@functools.cache
def layer_signals(
    size: int,
    width: int,
    max_width: int,
    layers: int = 14,
    critical: int = 2,
    margin: int = 10,
    first_cutoff: float = 2.0,
    first_stopband: float = 2.0**2.1,
    last_stopband: float = 2.0**0.3,
) -> tuple[Signal, ...]:
    """Returns the signals after each of `layers` layers, and after the layer to an image (section 3.2, appendix D.1).

    Cutoff and stopband grow geometrically from layer to layer up to the last `critical` ones, whose cutoff is half the
    sampling rate. Sampling rates are `size` divided by powers of two.

    Args:
        size: Side of the image in pixels.
        width: Channels at the full size; elsewhere inversely proportional to the cutoff.
        max_width: Limit of the channels.
        layers: Number of layers, without the one to an image.
        critical: Number of critically sampled layers.
        margin: Samples on each side of the image, except in the last two maps.
        first_cutoff: Cutoff of the first layer.
        first_stopband: Stopband of the first layer.
        last_stopband: Stopband of the last layer relative to its cutoff.

    Raises ValueError if a sampling rate is not a whole number.
    """
    last_cutoff = size / 2
    exponents = np.minimum(np.arange(layers + 1) / (layers - critical), 1.0)
    cutoffs = first_cutoff * (last_cutoff / first_cutoff) ** exponents
    stopbands = first_stopband * (last_cutoff * last_stopband / first_stopband) ** exponents
    halvings = -np.ceil(np.log2(np.minimum(2.0 * stopbands / size, 1.0)))
    rates = size / 2**halvings
    if (rates % 1).any():
        raise ValueError(f"size {size} must be divisible by {2 ** int(halvings.max())}")
    half_widths = np.maximum(stopbands, rates / 2) - cutoffs
    sizes = rates + 2 * margin
    sizes[-2:] = size
    channels = np.rint(np.minimum(width * last_cutoff / cutoffs, max_width))
    rows = zip(sizes, rates, cutoffs, half_widths, channels, strict=True)
    return tuple(Signal(int(n), int(rate), float(f), float(h), int(c)) for n, rate, f, h, c in rows)


def lowpass(taps: int, cutoff: float, half_width: float, rate: float) -> np.ndarray:
    """Returns a separable low-pass filter [taps] with the sum 1: sinc times a Kaiser window (section 3.2)."""
    x = (np.arange(taps) - (taps - 1) / 2) / rate
    taps_1d = np.sinc(2.0 * cutoff * x) * np.kaiser(taps, _kaiser_beta(taps, half_width, rate))
    return taps_1d / taps_1d.sum()


def radial_lowpass(taps: int, cutoff: float, half_width: float, rate: float) -> np.ndarray:
    """Returns a radially symmetric low-pass filter [taps, taps] with the sum 1: jinc times a Kaiser window (E.3)."""
    from scipy.special import j1  # Importing SciPy takes a moment.

    x = (np.arange(taps) - (taps - 1) / 2) / rate
    radius = np.hypot(x[:, None], x[None])
    window = np.kaiser(taps, _kaiser_beta(taps, half_width, rate))
    taps_2d = j1(2.0 * np.pi * cutoff * radius) / radius * np.outer(window, window)
    return taps_2d / taps_2d.sum()


def _kaiser_beta(taps: int, half_width: float, rate: float) -> float:
    """Returns the parameter of a Kaiser window whose transition band is 2 `half_width` wide (Kaiser 1974)."""
    attenuation = 2.285 * (taps - 1) * np.pi * 2.0 * half_width / (rate / 2) + 7.95  # dB
    if attenuation > 50:
        return 0.1102 * (attenuation - 8.7)
    return 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21) if attenuation > 21 else 0.0


def filter_matrices(taps: np.ndarray, size: int, out_size: int, step: int, out_step: int) -> np.ndarray:
    """Returns a filter as matrices [2, K, out_size, size] for the rows and columns, of which it is a sum of K products.

    Samples of both signals are symmetric about the centre of the image. Outside of its samples the signal is 0.

    Args:
        taps: Filter [T], or [T, T] if it is not separable. K is 1, or the rank of the matrix.
        size: Samples of the input along an axis.
        out_size: Samples of the output along an axis.
        step: Distance of the input's samples, in taps.
        out_step: Distance of the output's samples, in taps.
    """
    if taps.ndim == 1:
        factors = np.stack([taps, taps])[:, None]
    else:
        left, values, right = np.linalg.svd(taps)
        rank = int((values > 1e-7 * values[0]).sum())
        factors = np.stack([left.T[:rank] * values[:rank, None], right[:rank]])
    place = lambda n, step: step * (np.arange(n) - (n - 1) / 2)
    index = place(out_size, out_step)[:, None] - place(size, step)[None] + (len(taps) - 1) / 2
    is_tap = (index % 1 == 0) & (index >= 0) & (index < len(taps))
    return np.where(is_tap, factors[..., np.where(is_tap, index, 0).astype(int)], 0.0).astype(np.float32)


def apply_filter(x: Array, matrices: np.ndarray) -> Array:
    """Returns images [B, H, W, C] after a filter of `filter_matrices`. Matrix products suit sizes up to hundreds."""
    rows, columns = jnp.asarray(matrices, x.dtype)
    product = functools.partial(jnp.einsum, precision=lax.Precision.HIGHEST)
    return product("kvw,kbuwc->buvc", columns, product("kuh,bhwc->kbuwc", rows, x))


class FourierInput(nn.Module):
    """Maps w [B, W] and inverse transformations [3, 3] to a map of sine waves of random frequencies (appendix F).

    w gives each example a rotation and a translation of its own, which are the identity at first.
    """

    signal: Signal

    @nn.compact
    def __call__(self, w: Array, inverse: Array) -> Array:
        size, rate, cutoff, _, channels = self.signal
        init_key = lambda: self.make_rng("params")

        def draw_frequencies() -> Array:
            """Uniform on the disc of radius `cutoff`."""
            radius, angle = jax.random.uniform(init_key(), (2, channels))
            radius, angle = cutoff * jnp.sqrt(radius), 2.0 * math.pi * angle
            return jnp.stack([radius * jnp.cos(angle), radius * jnp.sin(angle)], 1)

        frequencies = self.variable("fourier", "frequencies", draw_frequencies).value
        phases = self.variable("fourier", "phases", lambda: jax.random.uniform(init_key(), (channels,)) - 0.5).value

        first = lambda key, shape, dtype=jnp.float32: jnp.asarray([1.0, 0.0, 0.0, 0.0], dtype)
        layer = nn.Dense(4, kernel_init=nn.initializers.zeros, bias_init=first)
        pose = layer(w / math.sqrt(w.shape[1]))
        cos, sin, x, y = pose.T / jnp.linalg.norm(pose[:, :2], axis=1)[None]
        rotation = jnp.stack([jnp.stack([cos, -sin], 1), jnp.stack([sin, cos], 1)], 1)
        # Of a place in the image: the transformation that was given, then the learned translation and rotation.
        linear_part = rotation @ inverse[None, :2, :2].astype(w.dtype)
        shift = jnp.einsum("bij,bj->bi", rotation, inverse[None, :2, 2].astype(w.dtype) - jnp.stack([x, y], 1))
        phases = phases[None] + jnp.einsum("ci,bi->bc", frequencies, shift)
        frequencies = jnp.einsum("ci,bij->bcj", frequencies, linear_part)
        # A given transformation that scales may move frequencies beyond what the map can hold.
        beyond = (jnp.linalg.norm(frequencies, axis=2) - cutoff) / (rate / 2 - cutoff)
        place = jnp.asarray((np.arange(size) - (size - 1) / 2) / rate, w.dtype)
        angle = (frequencies[:, None, None, :, 0] * place[None, None, :, None]) + (
            frequencies[:, None, None, :, 1] * place[None, :, None, None]
        )
        waves = jnp.sin(2.0 * math.pi * (angle + phases[:, None, None]))
        waves = waves * jnp.clip(1.0 - beyond, 0.0, 1.0)[:, None, None]
        kernel = self.param("kernel", nn.initializers.normal(1.0), (channels, channels))
        return waves @ kernel.astype(w.dtype) / math.sqrt(channels)


class Layer(nn.Module):
    """A modulated convolution with bias, and the filtered leaky ReLU. Maps a signal and w [B, W] to the next signal.

    The input is divided by the root of its mean square, a moving average in the collection "average" (section 3.2). The
    layer to an image has neither demodulation, nor leaky ReLU, nor filters.
    """

    before: Signal
    after: Signal
    kernel: int = 3  # side of the kernel in samples
    radial: bool = False  # whether the lowering filter is radially symmetric
    to_image: bool = False
    magnitude_decay: float = 0.999  # of the moving average, per update

    @nn.compact
    def __call__(self, x: Array, w: Array, train: bool = True) -> Array:
        before, after = self.before, self.after
        average = self.variable("average", "magnitude", jnp.ones, ())
        if train:
            mean = axis.batch_mean((lax.stop_gradient(x).astype(jnp.float32) ** 2).mean((1, 2, 3)))
            average.value = mean + self.magnitude_decay * (average.value - mean)
        x = x * lax.rsqrt(average.value).astype(x.dtype)
        style = linear(nn.Dense, before.channels, bias_init=nn.initializers.ones)(w)
        side = 1 if self.to_image else self.kernel
        kernel = self.param("kernel", nn.initializers.normal(1.0), (side, side, before.channels, after.channels))
        if self.to_image:
            style = style / math.sqrt(before.channels)
        padding = ((side - 1, side - 1),) * 2
        x = modulated_conv(x, kernel.astype(x.dtype), style, demodulate=not self.to_image, padding=padding)
        x = x + self.param("bias", nn.initializers.zeros, (after.channels,)).astype(x.dtype)[None, None, None]
        if self.to_image:
            return apply_filter(x, filter_matrices(np.ones(1), x.shape[1], after.size, 1, 1))
        rate = 2 * max(before.rate, after.rate)
        up, down = rate // before.rate, rate // after.rate
        large_size = (after.size - 1) * down + TAPS * down  # what the lowering filter sees
        raising = up * lowpass(TAPS * up, before.cutoff, before.half_width, rate)
        design = radial_lowpass if self.radial else lowpass
        lowering = design(TAPS * down, after.cutoff, after.half_width, rate)
        x = apply_filter(x, filter_matrices(raising, x.shape[1], large_size, up, 1))
        x = math.sqrt(2.0) * leaky_relu(x)
        return apply_filter(x, filter_matrices(lowering, large_size, after.size, 1, down))


class Generator(nn.Module):
    """Maps latents [B, Z], and labels int32 [B] if `classes` > 0, to images [B, H, H, channels]."""

    channels: int = 3
    signals: tuple[Signal, ...] = layer_signals(256, 128, 512)
    critical: int = 2  # critically sampled layers, which have separable filters
    rotation: bool = False  # configuration R: 1 x 1 kernels and radially symmetric filters
    features: int = 512  # dimensions of w
    depth: int = 2  # layers of the mapping network
    classes: int = 0
    w_decay: float = 0.998  # of the mean style, per update
    magnitude_decay: float = 0.999  # of the mean squares, per update

    def setup(self) -> None:
        """Makes the mapping network, the input and the layers."""
        self.mapping = Mapping(self.features, self.depth, self.classes, average_decay=self.w_decay)
        self.input = FourierInput(self.signals[0])
        *signals, last = self.signals
        after = [*signals, last._replace(channels=self.channels)]
        before = [signals[0], *signals]
        self.layers = [
            Layer(
                a,
                b,
                kernel=1 if self.rotation else 3,
                radial=self.rotation and n < len(signals) - self.critical,
                to_image=n == len(signals),
                magnitude_decay=self.magnitude_decay,
            )
            for n, (a, b) in enumerate(zip(before, after, strict=True))
        ]

    @property
    def num_layers(self) -> int:
        """The number of layers that have a style; the input is one of them."""
        return len(self.signals) + 1

    def __call__(self, z: Array, *labels: Array, train: bool = True, psi: float = 1.0) -> Array:
        """Returns images; `psi` truncates the styles."""
        return self.synthesise(self.styles(z, *labels, train=train, psi=psi), train=train)

    def styles(self, z: Array, *labels: Array, train: bool = True, psi: float = 1.0) -> Array:
        """Returns the styles of all layers [B, L, features], truncated by `psi`."""
        w = self.mapping(z, *labels, train=train)
        ws = jnp.broadcast_to(w[:, None], (len(w), self.num_layers, self.features))
        return self.mapping.truncate(ws, psi)

    def synthesise(self, ws: Array, inverse: Array | None = None, train: bool = True) -> Array:
        """Returns images from the styles of all layers [B, L, features].

        Args:
            ws: Styles.
            inverse: Transformation [3, 3] of the input waves: from the place (x, y, 1) in an image to the place in the
                untransformed image, in sides of the image from its centre. By default the identity.
            train: Whether to update the averages.
        """
        x = self.input(ws[:, 0], jnp.eye(3) if inverse is None else inverse)
        for n, layer in enumerate(self.layers):
            x = layer(x, ws[:, n + 1], train)
        return OUTPUT_SCALE * x
