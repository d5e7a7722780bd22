"""Low resolution images agree with Matlab's imresize."""

import numpy as np
import pytest

from jaxgan.data.datasets import Dataset
from jaxgan.data.resolution import low_high_resolution
from jaxgan.errors import UserError


def matlab_weights(n: int, factor: int) -> np.ndarray:
    """Returns the float64 weights [n / factor, n] of Matlab's imresize: bicubic, antialiased, mirrored at the ends."""
    near = lambda x: 1.5 * x**3 - 2.5 * x**2 + 1
    far = lambda x: -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    kernel = lambda x: near(x) if x <= 1 else far(x) if x <= 2 else 0.0
    weights = np.zeros([n // factor, n])
    for i, row in enumerate(weights):
        centre = (i + 0.5) * factor - 0.5
        for j in range(int(centre - 2 * factor) - 1, int(centre + 2 * factor) + 3):
            mirrored = -1 - j if j < 0 else 2 * n - 1 - j if j >= n else j
            row[mirrored] += kernel(abs(centre - j) / factor)
    return weights / weights.sum(1, keepdims=True)


@pytest.fixture
def photos() -> Dataset:
    """Smooth images with sharp edges and noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:48, :36]
    smooth = 128 + 60 * np.sin(x / 5)[..., None] * np.cos(y / 7)[..., None] + rng.normal(0, 10, [3, 48, 36, 3])
    smooth[:, 20:30, 12:24] += 60
    return Dataset("photos", np.clip(smooth, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_low_resolution_agrees_with_matlab_away_from_the_border(photos, factor):
    low, high = low_high_resolution(photos, factor)
    assert high is photos
    assert low.name == f"photos:bicubic/{factor}"
    rows, columns = matlab_weights(48, factor), matlab_weights(36, factor)
    expected = np.einsum("ih,nhwc,jw->nijc", rows, photos.images.astype(float), columns)
    difference = np.abs(np.clip(expected, 0, 255) - low.images)
    # Pillow rounds to integers twice: after the first axis, an error that the second amplifies up to 1.25 times, and at
    # the end.
    assert difference[:, 2:-2, 2:-2].max() <= 2.0


def test_sizes_must_be_divisible_by_the_factor(photos):
    grey = Dataset("grey", photos.images[..., :1])
    assert low_high_resolution(grey, 4)[0].images.shape == (3, 12, 9, 1)
    with pytest.raises(UserError, match="48 x 36 are not divisible by 5; crop them to 45 x 35"):
        low_high_resolution(grey, 5)
