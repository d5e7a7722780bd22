"""The ring of least squares: eight modes that are different, and weights that start orthogonal."""

import jax
import numpy as np
from numpy.testing import assert_allclose

from experiments import lsgan
from jaxgan import losses
from jaxgan.game import init


def test_no_two_modes_share_a_ball():
    distance = np.linalg.norm(lsgan.RING.modes[:, None] - lsgan.RING.modes, axis=-1)
    assert distance[~np.eye(8, dtype=bool)].min() > 2 * 0.15
    assert_allclose(np.linalg.norm(lsgan.RING.modes, axis=1), 1, rtol=1e-6)


def test_weights_start_orthogonal(key):
    game = lsgan.ring(losses.least_squares, lsgan.Config(latent=16, width=8)).game
    for params in jax.jit(lambda: init(game, key).params)().values():
        for layer in params.values():
            kernel = layer["kernel"]
            small = kernel.T @ kernel if kernel.shape[0] >= kernel.shape[1] else kernel @ kernel.T
            assert_allclose(small, 1.4**2 * np.eye(len(small)), atol=1e-5)
