import numpy as np
import pytest

from jaxgan.evaluate.kernel import mmd


def test_mmd_of_two_gaussians_is_the_closed_form():
    # For unit Gaussians m apart in D dimensions, E k = (s²/(s²+2))^(D/2) exp(-d²/(2(s²+2))), d the distance of means.
    rng, m, s = np.random.default_rng(0), 1.0, 0.7
    a, b = rng.normal(size=[4_000, 2]), rng.normal(size=[4_000, 2]) + [m, 0]
    same = s**2 / (s**2 + 2)
    exact = np.sqrt(2 * same * (1 - np.exp(-(m**2) / (2 * (s**2 + 2)))))
    assert mmd(a, b, s) == pytest.approx(exact, rel=0.03)


def test_mmd_of_a_set_with_itself_is_zero_and_order_does_not_matter():
    points = np.random.default_rng(1).normal(size=[50, 3])
    assert mmd(points, points[::-1], 1.0) < 1e-7
    assert mmd(points, points + 1, 1.0) == pytest.approx(mmd(points + 1, points, 1.0))
