"""Resampling equals upfirdn of SciPy, keeps constants, and its two directions are transposes of each other."""

import functools

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import signal

from jaxgan.core.resample import BINOMIAL, downsample, upsample

UNEVEN = (0.1, 0.4, 0.3, 0.15, 0.03, 0.02)  # not symmetric
LONG = (0.02, 0.05, 0.1, 0.2, 0.3, 0.15, 0.1, 0.03, 0.03, 0.02)


def upfirdn(x, taps, up, down, pad):
    """Resamples both axes of images with SciPy in float64. Zeros are inserted after the last pixel as well."""
    for axis in (1, 2):
        length = up * x.shape[axis]
        x = np.swapaxes(np.asarray(x, np.float64), axis, 3)
        padded = np.zeros((*x.shape[:3], sum(pad) + length))
        padded[..., pad[0] : pad[0] + length : up] = x
        filtered = signal.upfirdn(up * np.asarray(taps), padded, axis=3)[..., len(taps) - 1 : padded.shape[3]]
        x = np.swapaxes(filtered[..., ::down], axis, 3)
    return x


@pytest.mark.parametrize("taps", [BINOMIAL, UNEVEN, LONG])
def test_resampling_equals_scipy(taps, key):
    x = jax.random.normal(key, [2, 5, 6, 3])
    half = len(taps) // 2
    assert_allclose(upsample(x, taps), upfirdn(x, taps, 2, 1, (half, half - 1)), atol=1e-5)
    assert_allclose(upsample(x, taps, (4, 3)), upfirdn(x, taps, 2, 1, (4, 3)), atol=1e-5)
    even = x[:, :4]
    assert_allclose(downsample(even, taps), upfirdn(even, taps, 1, 2, (half - 1, half - 1)), atol=1e-5)
    assert_allclose(downsample(x, taps, (2, 2), 1), upfirdn(x, taps, 1, 1, (2, 2)), atol=1e-5)


def test_sizes_and_constants(key):
    ones = np.ones([1, 8, 8, 1], np.float32)
    assert_allclose(upsample(ones)[:, 1:-1, 1:-1], 1.0, rtol=1e-6)
    assert_allclose(downsample(ones)[:, 1:-1, 1:-1], 1.0, rtol=1e-6)
    assert upsample(ones).shape == (1, 16, 16, 1)
    assert downsample(ones).shape == (1, 4, 4, 1)
    with pytest.raises(ValueError, match="odd length"):
        upsample(ones, pad=(1, 1))


def test_upsampling_is_four_times_the_transpose_of_downsampling(key):
    x, y = jax.random.normal(key, [2, 4, 6, 3]), jax.random.normal(key, [2, 8, 12, 3])
    (transposed,) = jax.linear_transpose(functools.partial(downsample), y)(x)
    assert_allclose(upsample(x), 4.0 * transposed, atol=1e-5)
