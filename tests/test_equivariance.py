"""EQ-T and EQ-R against closed forms: of waves that move with the input, and of images that do not."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from jaxgan.evaluate import equivariance

SIDE = 32


def waves(inverse, cycles=6.0):
    """Returns images [2, SIDE, SIDE, 1] of sums of three waves of up to `cycles` per side, moved as a continuum."""
    rng = np.random.default_rng(0)
    y, x = (np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2) / SIDE
    place = np.einsum("ij,jyx->iyx", inverse, np.stack([x, y, np.ones_like(x)]))[:2]
    angle, phase = rng.uniform(0, 2 * np.pi, [2, 2, 3])
    frequency = cycles * np.stack([np.cos(angle), np.sin(angle)], -1)
    return np.sin(2 * np.pi * np.einsum("bni,iyx->bnyx", frequency, place) + phase[..., None, None]).mean(1)[..., None]


def test_an_image_that_moves_with_the_input_has_a_high_ratio():
    assert equivariance.eq_t(waves) > 100
    assert equivariance.eq_r(waves) > 45


def test_an_image_that_does_not_move_has_the_ratio_of_its_differences():
    """Of independent pixels with variance v the mean squared difference is 2 v, and of rotated ones it is smaller."""
    image = np.random.default_rng(1).uniform(-1, 1, [8, SIDE, SIDE, 3])
    fixed = lambda inverse: image
    moved = [draw for draw in range(20) if equivariance.eq_t(fixed, 1, draw) < 100]  # not by 0 pixels
    assert_allclose(equivariance.eq_t(fixed, 1, moved[0]), 10 * np.log10(4 / (2 / 3)), atol=0.2)
    assert equivariance.eq_r(fixed) < 15


def test_a_rotation_by_a_quarter_turn_moves_pixels():
    image = waves(np.eye(3))
    rotated, is_known = equivariance.rotate(image, np.pi / 2)
    assert_allclose(rotated[:, is_known], np.rot90(image, -1, (1, 2))[:, is_known], atol=0.01)
    assert is_known.sum() == (SIDE - 2 * equivariance.MARGIN) ** 2


def test_eq_r_needs_pixels_that_do_not_depend_on_the_border():
    with pytest.raises(ValueError, match="more than 12 pixels"):
        equivariance.eq_r(lambda inverse: np.zeros([1, 12, 12, 1]))
