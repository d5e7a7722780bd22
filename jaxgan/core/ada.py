"""Adaptive discriminator augmentation (Karras et al. 2020b, arXiv 2006.06676).

Reals and fakes are transformed at random before the discriminator sees them, each transformation with probability p. As
long as p is below about 0.8 the generator does not learn the transformations. p follows from how far the discriminator
separates reals: it rises while their logits are mostly positive, which means that the discriminator overfits.

Images are [B, H, W, C], C 1 or 3, in [-1, 1]. The pipeline is "bgc": pixel blitting, general geometric transformations
and colour transformations (appendix B). Geometry is one matrix for each image, and so is colour. Unlike in the authors'
code, blitting copies pixels and does not pass through the resampling of general transformations.
"""

import functools
import math
from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgan.core import axis, prng
from jaxgan.core.augment import Augmentation
from jaxgan.core.game import Scalars, TrainState
from jaxgan.core.resample import downsample, upsample

# The orthogonal wavelet filter "sym6" (Daubechies 1992, table 6.2), with the sum 1.
SYM6 = tuple(
    tap / math.sqrt(2.0)
    for tap in (
        0.015404109327027373,
        0.0034907120842174702,
        -0.11799011114819057,
        -0.048311742585633,
        0.4910559419267466,
        0.787641141030194,
        0.3379294217276218,
        -0.07263752278646252,
        -0.021060292512300564,
        0.04472490177066578,
        0.0017677118642428036,
        -0.007800708325034148,
    )
)
MARGIN = len(SYM6) // 2  # pixels at twice the size that the filter needs around the image
GREY_AXIS = np.float32([1, 1, 1, 0]) / math.sqrt(3.0)

NUM_UNIFORM, NUM_NORMAL = 21, 7  # draws for an image

# Standard deviations and ranges of the transformations (appendix B).
SHIFT_MAX, SHIFT_STD = 0.125, 0.125  # of whole and of fractional translations, relative to the size
SCALE_STD, ASPECT_STD = 0.2, 0.2  # of log2
BRIGHTNESS_STD = 0.2
CONTRAST_STD, SATURATION_STD = 0.5, 1.0  # of log2


def adaptive(batch_size: int, target: float = 0.6, every: int = 4, images: float = 500_000.0) -> Augmentation:
    """Returns the augmentation whose probability p is the buffer "augment_p" and starts at 0.

    Every `every` steps p changes by sign(E sign D(x) - target) * batch_size * every / images, and is at least 0.

    Args:
        batch_size: Examples per step, over all devices.
        target: Desired mean sign of the discriminator's logits at reals, r_t (Eq. 1).
        every: Steps between updates of p.
        images: Number of images in which p can rise from 0 to 1.
    """

    def apply(state: TrainState, x: Array, keys: Array) -> Array:
        return transform(x, keys, state.buffers["augment_p"])

    def update(state: TrainState, real_logits: Array) -> tuple[TrainState, Scalars]:
        sign = axis.batch_mean(jnp.sign(real_logits))
        change = jnp.sign(sign - target) * (batch_size * every / images)
        p = jnp.maximum(state.buffers["augment_p"] + change, 0.0)
        return state.with_buffers(augment_p=p), {"p": p, "sign": sign}

    return Augmentation(apply, {"augment_p": np.float32(0.0)}, update, every)


def transform(x: Array, keys: Array, p: Array | float) -> Array:
    """Returns images after the whole pipeline. An image for which no transformation is drawn is returned unchanged.

    Args:
        x: Images [B, H, W, C].
        keys: Example keys [B].
        p: Probability of each transformation.
    """
    _, h, w, channels = x.shape
    draws = iter(prng.uniform(keys, NUM_UNIFORM).T)
    normals = iter(prng.normal(prng.fold_in(keys, 1), NUM_NORMAL).T)
    x = blit(x, draw_blit(draws, p, h, w))
    inverse, is_moved = draw_geometry(draws, normals, p, h, w)
    x = jnp.where(is_moved[:, None, None, None], warp(x, inverse), x)
    colour, is_coloured = draw_colour(draws, normals, p, channels)
    return jnp.where(is_coloured[:, None, None, None], recolour(x, colour), x)


def draw_blit(draws: Iterator[Array], p: Array | float, h: int, w: int) -> Array:
    """Returns inverse transformations [B, 3, 3] that map pixels to pixels: flips, quarter turns and whole shifts.

    Args:
        draws: Draws [B] from U[0, 1).
        p: Probability of each transformation.
        h: Height in pixels.
        w: Width in pixels.
    """
    is_flipped, is_turned, is_shifted = (next(draws) < p for _ in range(3))
    flip = jnp.where(is_flipped, 1.0 - 2.0 * jnp.floor(2.0 * next(draws)), 1.0)
    quarters = jnp.where(is_turned, jnp.floor(4.0 * next(draws)), 0.0)
    shifts = [jnp.round(SHIFT_MAX * (2.0 * next(draws) - 1.0) * side) for side in (w, h)]
    x, y = (jnp.where(is_shifted, shift, 0.0) for shift in shifts)
    turn = rotation(0.5 * math.pi * quarters)
    return _product(scaling(flip, jnp.ones_like(flip)), turn, translation(-x, -y))


def draw_geometry(
    draws: Iterator[Array], normals: Iterator[Array], p: Array | float, h: int, w: int
) -> tuple[Array, Array]:
    """Returns inverse transformations [B, 3, 3]: scalings, rotations and shifts; and which are drawn, bool [B].

    `normals` are draws [B] from N(0, 1); the other arguments are those of `draw_blit`.
    """
    is_drawn = []

    def gated(probability: Array | float, value: Array, neutral: float) -> Array:
        is_drawn.append(next(draws) < probability)
        return jnp.where(is_drawn[-1], value, neutral)

    angle = lambda: math.pi * (2.0 * next(draws) - 1.0)
    # A rotation before or after the anisotropic scaling has the probability p (appendix B).
    p_rotation = 1.0 - jnp.sqrt(jnp.clip(1.0 - p, 0.0, 1.0))
    scale = gated(p, jnp.exp2(SCALE_STD * next(normals)), 1.0)
    before = gated(p_rotation, angle(), 0.0)
    aspect = gated(p, jnp.exp2(ASPECT_STD * next(normals)), 1.0)
    after = gated(p_rotation, angle(), 0.0)
    is_shifted = next(draws) < p
    x, y = (jnp.where(is_shifted, SHIFT_STD * next(normals) * side, 0.0) for side in (w, h))
    inverse = _product(
        scaling(1.0 / scale, 1.0 / scale),
        rotation(before),
        scaling(1.0 / aspect, aspect),
        rotation(after),
        translation(-x, -y),
    )
    return inverse, functools.reduce(jnp.logical_or, [*is_drawn, is_shifted])


def draw_colour(
    draws: Iterator[Array], normals: Iterator[Array], p: Array | float, channels: int
) -> tuple[Array, Array]:
    """Returns colour transformations [B, 4, 4], and which of them are drawn, bool [B].

    Brightness, contrast and inversion of luma come first. Images with one channel have neither hue nor saturation.
    """
    is_drawn = []

    def gated(value: Array, neutral: float) -> Array:
        is_drawn.append(next(draws) < p)
        return jnp.where(is_drawn[-1], value, neutral)

    brightness = gated(BRIGHTNESS_STD * next(normals), 0.0)
    contrast = gated(jnp.exp2(CONTRAST_STD * next(normals)), 1.0)
    inversion = gated(jnp.floor(2.0 * next(draws)), 0.0)
    parts = [colour_shift(brightness), colour_scale(contrast), luma_inversion(inversion)]
    if channels > 1:
        hue = gated(math.pi * (2.0 * next(draws) - 1.0), 0.0)
        saturation = gated(jnp.exp2(SATURATION_STD * next(normals)), 1.0)
        parts += [hue_rotation(hue), saturation_scale(saturation)]
    return _product(*parts[::-1]), functools.reduce(jnp.logical_or, is_drawn)


def blit(x: Array, inverse: Array) -> Array:
    """Returns images moved by transformations that map pixels to pixels. Arguments are those of `warp`.

    Pixels are copied, so the result is exact.
    """
    b, h, w, c = x.shape
    rows, columns = jnp.mgrid[:h, :w].astype(jnp.float32)
    places = jnp.stack([columns - (w - 1) / 2, rows - (h - 1) / 2])
    source = jnp.einsum("bij,jyx->biyx", inverse[:, :2, :2], places) + inverse[:, :2, 2, None, None]

    def reflected(place: Array, side: int) -> Array:
        index = jnp.round(place + (side - 1) / 2).astype(jnp.int32) % (2 * side - 2)
        return jnp.minimum(index, 2 * side - 2 - index)

    index = reflected(source[:, 1], h) * w + reflected(source[:, 0], w)
    return jnp.take_along_axis(x.reshape(b, h * w, c), index.reshape(b, h * w, 1), 1).reshape(x.shape)


def warp(x: Array, inverse: Array) -> Array:
    """Returns images moved by affine transformations.

    As in the authors' code, images are sampled bilinearly at twice the size, between upsampling and downsampling by an
    orthogonal wavelet filter, which together are the identity. Outside of the image it is continued by reflection.
    There the authors' code reflects once, and uses 0 further out.

    Args:
        x: Images [B, H, W, C].
        inverse: Matrices [B, 3, 3] from the place (x, y, 1) of an output pixel to that of an input pixel, in pixels
            from the image's centre.
    """
    b, h, w, c = x.shape
    for dimension in (1, 2):  # One period of the reflected image, and a margin for the filter.
        side = x.shape[dimension]
        pads = [(0, 0)] * 4
        pads[dimension] = (MARGIN // 2, side - 2 + MARGIN // 2)
        x = jnp.pad(x, pads, mode="reflect")
    large = upsample(x, SYM6, pad=(MARGIN, MARGIN - 1))[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
    rows, columns = large.shape[1:3]  # 4 (H - 1), 4 (W - 1)
    # Places at twice the size, relative to the centre; the filter's delay is half a pixel (authors' code).
    y, x = jnp.mgrid[-MARGIN : 2 * h + MARGIN, -MARGIN : 2 * w + MARGIN].astype(jnp.float32)
    center_y, center_x = h - 0.5, w - 0.5
    shift = lambda t: jnp.stack([x - center_x + t, y - center_y + t])
    source = 2.0 * jnp.einsum("bij,jyx->biyx", inverse[:, :2, :2], 0.5 * shift(0.5))
    source = source + 2.0 * inverse[:, :2, 2, None, None] - 0.5
    source_x, source_y = source[:, 0] + center_x, source[:, 1] + center_y
    left, top = jnp.floor(source_x), jnp.floor(source_y)
    pixels = large.reshape(b, rows * columns, c)

    def pixel(y: Array, x: Array) -> Array:
        index = (y.astype(jnp.int32) % rows) * columns + x.astype(jnp.int32) % columns
        return jnp.take_along_axis(pixels, index.reshape(b, -1, 1), 1).reshape(*index.shape, c)

    across, down = (source_x - left)[..., None], (source_y - top)[..., None]
    upper = (1.0 - across) * pixel(top, left) + across * pixel(top, left + 1.0)
    lower = (1.0 - across) * pixel(top + 1.0, left) + across * pixel(top + 1.0, left + 1.0)
    return downsample((1.0 - down) * upper + down * lower, SYM6[::-1], pad=(-1, -1))


def recolour(x: Array, matrix: Array) -> Array:
    """Returns images with the colour of each pixel, (r, g, b, 1), multiplied by matrices [B, 4, 4].

    Grey images [B, H, W, 1] get the mean of the three results.
    """
    linear, offset = matrix[:, :3, :3], matrix[:, :3, 3]
    if x.shape[3] == 3:
        return jnp.einsum("bij,byxj->byxi", linear, x) + offset[:, None, None]
    return x * linear.sum(2).mean(1)[:, None, None, None] + offset.mean(1)[:, None, None, None]


def translation(x: Array, y: Array) -> Array:
    """Returns matrices [B, 3, 3] that move points by (x, y)."""
    one, zero = jnp.ones_like(x), jnp.zeros_like(x)
    return _stack([[one, zero, x], [zero, one, y], [zero, zero, one]])


def scaling(x: Array, y: Array) -> Array:
    """Returns matrices [B, 3, 3] that scale both coordinates."""
    one, zero = jnp.ones_like(x), jnp.zeros_like(x)
    return _stack([[x, zero, zero], [zero, y, zero], [zero, zero, one]])


def rotation(angle: Array) -> Array:
    """Returns matrices [B, 3, 3] that rotate the x axis towards the y axis."""
    cos, sin, one, zero = jnp.cos(angle), jnp.sin(angle), jnp.ones_like(angle), jnp.zeros_like(angle)
    return _stack([[cos, -sin, zero], [sin, cos, zero], [zero, zero, one]])


def colour_shift(amount: Array) -> Array:
    """Returns matrices [B, 4, 4] that add [B] to all colours."""
    return _eye(amount) + amount[:, None, None] * np.float32([[0, 0, 0, 1]] * 3 + [[0] * 4])[None]


def colour_scale(factor: Array) -> Array:
    """Returns matrices [B, 4, 4] that multiply all colours by [B]."""
    return _eye(factor) + (factor - 1.0)[:, None, None] * np.diag(np.float32([1, 1, 1, 0]))[None]


def luma_inversion(amount: Array) -> Array:
    """Returns matrices [B, 4, 4] that change the sign of the mean colour where [B] is 1, and keep it where it is 0."""
    return _eye(amount) - 2.0 * amount[:, None, None] * np.outer(GREY_AXIS, GREY_AXIS)[None]


def hue_rotation(angle: Array) -> Array:
    """Returns matrices [B, 4, 4] that rotate colours about the grey axis."""
    x, y, z, _ = GREY_AXIS
    cross = np.float32([[0, -z, y, 0], [z, 0, -x, 0], [-y, x, 0, 0], [0, 0, 0, 0]])
    cos, sin = jnp.cos(angle)[:, None, None], jnp.sin(angle)[:, None, None]
    grey = np.outer(GREY_AXIS, GREY_AXIS) + np.diag(np.float32([0, 0, 0, 1]))  # is kept
    return cos * _eye(angle) + sin * cross[None] + (1.0 - cos) * grey[None]


def saturation_scale(factor: Array) -> Array:
    """Returns matrices [B, 4, 4] that multiply the distance of colours from the grey axis by [B]."""
    grey = np.outer(GREY_AXIS, GREY_AXIS) + np.diag(np.float32([0, 0, 0, 1]))  # is kept
    return grey[None] + factor[:, None, None] * (_eye(factor) - grey[None])


def _eye(like: Array) -> Array:
    return jnp.broadcast_to(jnp.eye(4)[None], (len(like), 4, 4))


def _stack(rows: list[list[Array]]) -> Array:
    return jnp.stack([jnp.stack(row, 1) for row in rows], 1)


def _product(*matrices: Array) -> Array:
    return functools.reduce(jnp.matmul, matrices)
