import numpy as np
import pytest
from scipy.spatial.distance import cdist

from jaxgan.evaluate.neighbours import CHUNK, expected_coverage, nearest, prdc, radii


def normal(n, d=4, seed=0):
    return np.random.default_rng(seed).normal(size=[n, d]).astype(np.float32)


def test_equal_distributions_have_density_one_and_the_coverage_of_the_lemma():
    found = prdc(normal(1_500), normal(1_500, seed=1))
    assert found["density"] == pytest.approx(1.0, abs=0.05)
    assert found["coverage"] == pytest.approx(expected_coverage(1_500, 1_500), abs=0.01)
    assert expected_coverage(10**6, 10**6) == pytest.approx(1 - 2.0**-5, abs=1e-5)
    assert found["precision"] == pytest.approx(found["recall"], abs=0.02)


def test_a_dropped_mode_costs_recall_and_coverage_and_no_precision():
    real, fake = normal(1_000), normal(1_000, seed=1)
    real[::2] += 100.0
    found, whole = prdc(real, fake), prdc(normal(1_000, seed=2), fake)
    assert found["recall"] == pytest.approx(whole["recall"] / 2, abs=0.03)
    assert found["coverage"] < 0.52
    assert found["precision"] > 0.9


def test_as_by_the_whole_matrix_of_distances():
    real, fake, k = normal(40), 1.5 * normal(30, seed=1), 3
    among = lambda x: np.sort(cdist(x, x), axis=1)[:, k]
    np.testing.assert_allclose(radii(real, k), among(real), rtol=1e-6)
    d = cdist(real, fake)
    inside = d < among(real)[:, None]
    want = {
        "precision": inside.any(0).mean(),
        "recall": (d < among(fake)).any(1).mean(),
        "density": inside.sum() / (k * len(fake)),
        "coverage": inside.any(1).mean(),
    }
    assert prdc(real, fake, k) == pytest.approx(want)


def test_nearest_finds_a_copy_at_distance_zero_across_chunks():
    data = normal(CHUNK + 500)
    order = np.random.default_rng(3).permutation(len(data))
    places, distances = nearest(data[order], data)
    np.testing.assert_array_equal(places, order)
    assert distances.max() < 1e-6


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match="too few for 5 neighbours"):
        prdc(normal(5), normal(100))
