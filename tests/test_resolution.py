import numpy as np
import pytest

from jaxgan.data.datasets import Dataset
from jaxgan.data.resolution import low_high
from jaxgan.errors import Problem


def matlab(n: int, factor: int) -> np.ndarray:
    """The weights [n / factor, n] of Matlab's imresize: bicubic, antialiased, mirrored at the ends; in float64."""
    x = lambda u: np.abs(u)
    near = lambda u: 1.5 * x(u) ** 3 - 2.5 * x(u) ** 2 + 1
    far = lambda u: -0.5 * x(u) ** 3 + 2.5 * x(u) ** 2 - 4 * x(u) + 2
    kernel = lambda u: np.where(x(u) <= 1, near(u), np.where(x(u) <= 2, far(u), 0.0))
    weights = np.zeros([n // factor, n])
    for i, row in enumerate(weights):
        centre = (i + 0.5) * factor - 0.5
        for j in range(int(centre - 2 * factor) - 1, int(centre + 2 * factor) + 3):
            at = -1 - j if j < 0 else 2 * n - 1 - j if j >= n else j
            row[at] += kernel((centre - j) / factor)
    return weights / weights.sum(1, keepdims=True)


@pytest.fixture
def photos() -> Dataset:
    """Smooth ramps with sharp edges and noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:48, :36]
    smooth = 128 + 60 * np.sin(x / 5)[..., None] * np.cos(y / 7)[..., None] + rng.normal(0, 10, [3, 48, 36, 3])
    smooth[:, 20:30, 12:24] += 60
    return Dataset("photos", np.clip(smooth, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_low_resolution_is_that_of_the_literature_away_from_the_border(photos, factor):
    low, high = low_high(photos, factor)
    assert high is photos
    assert low.name == f"photos:bicubic/{factor}"
    rows, columns = matlab(48, factor), matlab(36, factor)
    expected = np.einsum("ih,nhwc,jw->nijc", rows, photos.images.astype(float), columns)
    gap = np.abs(np.clip(expected, 0, 255) - low.images)
    # Pillow rounds after the rows, whose errors the columns' weights make 1.25 times as large at most, and again.
    assert gap[:, 2:-2, 2:-2].max() <= 2.0


def test_images_must_divide(photos):
    grey = Dataset("grey", photos.images[..., :1])
    assert low_high(grey, 4)[0].images.shape == (3, 12, 9, 1)
    with pytest.raises(Problem, match="48 x 36 do not divide by 5; crop them to 45 x 35"):
        low_high(grey, 5)
