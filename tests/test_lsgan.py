"""LSGAN's ring has eight distinct modes, and its weights start orthogonal."""

import jax
import numpy as np
from numpy.testing import assert_allclose

from experiments import lsgan
from experiments.figures.lsgan import RADII
from jaxgan.core import losses
from jaxgan.core.game import init_state


def test_the_balls_around_the_modes_do_not_touch():
    distance = np.linalg.norm(lsgan.RING.modes[:, None] - lsgan.RING.modes, axis=-1)
    assert distance[~np.eye(8, dtype=bool)].min() > 2 * RADII["ball"]
    assert_allclose(np.linalg.norm(lsgan.RING.modes, axis=1), 1, rtol=1e-6)


def test_initial_weights_are_orthogonal(key):
    game = lsgan.build_ring(losses.least_squares, lsgan.Config(latent=16, width=8)).game
    for params in jax.jit(lambda: init_state(game, key).params)().values():
        for layer in params.values():
            kernel = layer["kernel"]
            gram = kernel.T @ kernel if kernel.shape[0] >= kernel.shape[1] else kernel @ kernel.T
            assert_allclose(gram, 1.4**2 * np.eye(len(gram)), atol=1e-5)
