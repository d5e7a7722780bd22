"""Precision, recall, density, coverage and nearest neighbours: expected values, and SciPy's distance matrix."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from jaxgan.evaluate.neighbours import CHUNK, expected_coverage, knn_radii, nearest, prdc


def normal(n, d=4, seed=0):
    return np.random.default_rng(seed).normal(size=[n, d]).astype(np.float32)


def test_equal_distributions_have_density_one_and_the_expected_coverage():
    values = prdc(normal(1_500), normal(1_500, seed=1))
    assert values["density"] == pytest.approx(1.0, abs=0.05)
    assert values["coverage"] == pytest.approx(expected_coverage(1_500, 1_500), abs=0.01)
    assert expected_coverage(10**6, 10**6) == pytest.approx(1 - 2.0**-5, abs=1e-5)
    assert values["precision"] == pytest.approx(values["recall"], abs=0.02)


def test_a_dropped_mode_lowers_recall_and_coverage_but_not_precision():
    real, fake = normal(1_000), normal(1_000, seed=1)
    real[::2] += 100.0
    values, without_drop = prdc(real, fake), prdc(normal(1_000, seed=2), fake)
    assert values["recall"] == pytest.approx(without_drop["recall"] / 2, abs=0.03)
    assert values["coverage"] < 0.52
    assert values["precision"] > 0.9


def test_the_values_equal_those_from_the_whole_distance_matrix():
    real, fake, k = normal(40), 1.5 * normal(30, seed=1), 3
    radii = lambda x: np.sort(cdist(x, x), axis=1)[:, k]
    np.testing.assert_allclose(knn_radii(real, k), radii(real), rtol=1e-6)
    distance = cdist(real, fake)
    inside = distance < radii(real)[:, None]
    expected = {
        "precision": inside.any(0).mean(),
        "recall": (distance < radii(fake)).any(1).mean(),
        "density": inside.sum() / (k * len(fake)),
        "coverage": inside.any(1).mean(),
    }
    assert prdc(real, fake, k) == pytest.approx(expected)


def test_the_nearest_neighbour_of_a_copy_is_its_original_in_any_chunk():
    data = normal(CHUNK + 500)
    order = np.random.default_rng(3).permutation(len(data))
    indices, distances = nearest(data[order], data)
    np.testing.assert_array_equal(indices, order)
    assert distances.max() < 1e-6


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match="too few for 5 neighbours"):
        prdc(normal(5), normal(100))
