"""Resampling of images [B, H, W, C] by a factor of two with a separable low-pass filter.

All functions convolve both axes with a filter of taps [K], in the manner of `upfirdn` (upsample, filter, downsample) of
StyleGAN2. Pixels outside the image count as 0. Short filters are sums of shifted images, which all backends fuse. Both
axes are padded before the first one is filtered, because the CPU backend repeats a padding between the two for every
tap. Long filters are products with banded matrices, which compile sooner and are several times faster on the CPU.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

BINOMIAL = (0.125, 0.375, 0.375, 0.125)  # StyleGAN2's filter, [1, 3, 3, 1] / 8
MAX_SHIFTS = 8  # taps of the longest filter that is a sum of shifted images


def upsample(x: Array, taps: Sequence[float] = BINOMIAL, pad: tuple[int, int] | None = None) -> Array:
    """Returns images with twice the height and width: a zero is inserted after each pixel, and the result is filtered.

    The filter is multiplied by 2 along each axis, which keeps the mean.

    Args:
        x: Images [B, H, W, C].
        taps: The filter; its sum is 1.
        pad: Zeros before and after each axis, after the insertion. By default the output is [B, 2H, 2W, C] and not
            shifted against the input.

    Raises ValueError for a padding that gives an odd length.
    """
    low, high = ((len(taps) + 1) // 2, (len(taps) - 2) // 2) if pad is None else pad
    kernel = 2.0 * np.asarray(taps[::-1])
    lengths = [2 * x.shape[axis] + low + high - len(taps) + 1 for axis in (1, 2)]
    for length in lengths:
        if length % 2:
            raise ValueError(f"padding ({low}, {high}) gives an odd length {length} with {len(taps)} taps")
    if len(taps) > MAX_SHIFTS:
        for axis, length in zip((1, 2), lengths, strict=True):
            x = apply_along(x, axis, _banded_matrix(kernel, length, x.shape[axis], low, 1, 2))
        return x
    x = _pad(x, (low + 1) // 2, (high + 1) // 2)
    for axis, length in zip((1, 2), lengths, strict=True):
        phases = []
        for phase in (0, 1):  # Half of the taps meet inserted zeros.
            first = (phase + low) % 2
            offsets = range((phase + first - low) // 2 + (low + 1) // 2, length)
            terms = zip(kernel[first::2], offsets, strict=False)
            phases.append(sum(float(tap) * _window(x, axis, offset, length // 2) for tap, offset in terms))
        x = jnp.stack(phases, axis + 1).reshape(*x.shape[:axis], length, *x.shape[axis + 1 :])
    return x


def downsample(
    x: Array, taps: Sequence[float] = BINOMIAL, pad: tuple[int, int] | None = None, factor: int = 2
) -> Array:
    """Returns filtered images, of which every `factor`-th row and column is kept.

    Args:
        x: Images [B, H, W, C].
        taps: The filter; its sum is 1.
        pad: Zeros before and after each axis. By default the output is [B, H / factor, W / factor, C] and not shifted
            against the input.
        factor: 2, or 1 to filter only.
    """
    low, high = ((len(taps) - factor + 1) // 2, (len(taps) - factor) // 2) if pad is None else pad
    kernel = np.asarray(taps[::-1])
    lengths = [(x.shape[axis] + low + high - len(taps)) // factor + 1 for axis in (1, 2)]
    if len(taps) > MAX_SHIFTS:
        for axis, length in zip((1, 2), lengths, strict=True):
            x = apply_along(x, axis, _banded_matrix(kernel, length, x.shape[axis], low, factor, 1))
        return x
    x = _pad(x, low, high)
    for axis, length in zip((1, 2), lengths, strict=True):
        x = sum(float(tap) * _window(x, axis, offset, length, factor) for offset, tap in enumerate(kernel))
    return x


def apply_along(x: Array, axis: int, matrix: np.ndarray) -> Array:
    """Returns images [B, H, W, C] with the columns (axis 1) or rows (axis 2) of pixels multiplied by a matrix."""
    product = {1: "ij,bjwc->biwc", 2: "ij,bhjc->bhic"}[axis]
    return jnp.einsum(product, jnp.asarray(matrix, x.dtype), x, precision=lax.Precision.HIGHEST)


def _banded_matrix(kernel: np.ndarray, length: int, size: int, low: int, step: int, in_step: int) -> np.ndarray:
    """Returns the matrix [length, size] whose output i is the sum of kernel[k] x[j], k = in_step j - step i + low."""
    index = in_step * np.arange(size)[None] - step * np.arange(length)[:, None] + low
    is_tap = (index >= 0) & (index < len(kernel))
    return np.where(is_tap, kernel[np.where(is_tap, index, 0)], 0.0)


def _pad(x: Array, low: int, high: int) -> Array:
    """Returns x with zeros before and after its rows and columns; negative numbers remove pixels."""
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), (low, high, 0), (low, high, 0), (0, 0, 0)])


def _window(x: Array, axis: int, start: int, length: int, stride: int = 1) -> Array:
    """Returns `length` entries of x along an axis, from `start` on."""
    return lax.slice_in_dim(x, start, start + stride * (length - 1) + 1, stride, axis)
