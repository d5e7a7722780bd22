"""PSNR, SSIM and luma against definitions written out in loops, and against scikit-image where it is installed."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from jaxgan.evaluate import paired


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 256, [2, 16, 19, 3], np.uint8)
    return np.clip(truth + rng.normal(0, 30, truth.shape), 0, 255).astype(np.uint8), truth


def test_ssim_equals_its_definition_window_by_window(images):
    """Weighted moments of each 11 x 11 window, computed directly from the definition."""
    x, y = (np.float64(array[1, :, :, 2]) for array in images)
    d = np.arange(-5, 6)
    weights = np.exp(-(d[:, None] ** 2 + d[None] ** 2) / (2 * 1.5**2))
    weights /= weights.sum()
    values = []
    for i in range(16 - 10):
        for j in range(19 - 10):
            a, b = x[i : i + 11, j : j + 11], y[i : i + 11, j : j + 11]
            mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
            var_a, var_b = (weights * (a - mean_a) ** 2).sum(), (weights * (b - mean_b) ** 2).sum()
            cov = (weights * (a - mean_a) * (b - mean_b)).sum()
            c1, c2 = 2.55**2, 7.65**2
            values.append(
                (2 * mean_a * mean_b + c1) * (2 * cov + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
            )
    assert_allclose(paired.ssim(*(array[1:, :, :, 2:] for array in images)), [np.mean(values)], rtol=1e-10)


def test_psnr_and_ssim_equal_those_of_scikit_image(images):
    metrics = pytest.importorskip("skimage.metrics")
    for k, (x, y) in enumerate(zip(*images, strict=True)):
        assert_allclose(paired.psnr(*images)[k], metrics.peak_signal_noise_ratio(y, x), rtol=1e-12)
        options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
        expected = metrics.structural_similarity(y, x, channel_axis=-1, **options)
        assert_allclose(paired.ssim(*images)[k], expected, rtol=1e-10)


def test_luma_equals_that_of_scikit_image(images):
    colour = pytest.importorskip("skimage.color")
    assert_allclose(paired.luma(images[0])[..., 0], colour.rgb2ycbcr(images[0])[..., 0], rtol=1e-5)


def test_known_values(images):
    _, truth = images
    shifted = np.clip(truth, 0, 245)
    assert_allclose(paired.psnr(shifted + np.uint8(10), shifted), 20 * np.log10(25.5))
    assert_allclose(paired.mean_absolute_error(shifted + np.uint8(10), shifted), 10.0)
    assert_allclose(paired.ssim(truth, truth), 1.0)
    assert np.all(np.isinf(paired.psnr(truth, truth)))
    extremes = np.array([0, 255], np.uint8).reshape(1, 1, 2, 1).repeat(3, axis=3)
    assert_allclose(paired.luma(extremes).ravel(), [16.0, 235.0])
    with pytest.raises(ValueError, match="at least 11 x 11 pixels, not 10 x 19"):
        paired.ssim(truth[:, :10], truth[:, :10])


def test_blurred_images_have_less_high_frequency_energy(images):
    _, truth = images
    stripes = np.tile(np.array([0, 4], np.uint8), 8)[None, None, :, None].repeat(4, axis=1)
    assert paired.high_frequency_energy(stripes) == 16.0
    blurred = truth.reshape(2, 8, 2, 19, 3).mean(2).repeat(2, axis=1)
    assert paired.high_frequency_energy(blurred) < paired.high_frequency_energy(truth)
