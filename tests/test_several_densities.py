"""GANs that are trained side by side are independent, and each is trained as it would be alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from experiments import r3gan, testbeds
from experiments.figures.several_densities import side_by_side
from jaxgan.core.game import TrainState, init_state
from jaxgan.core.update import make_update
from jaxgan.data import synthetic
from jaxgan.data.streams import WindowData
from jaxgan.training.loop import draw_batches

DENSITIES = synthetic.line(), synthetic.circle()
CONFIG = r3gan.Config(width=8, batch_size=8, every=2)


def build(density):
    return r3gan.build(testbeds.plane("plane", density, ""), CONFIG)


def one_of(state, k):
    """Returns the state of copy k."""
    take = lambda tree: jax.tree.map(lambda x: x[k] if jnp.ndim(x) else x, tree)
    rest = {name: take(getattr(state, name)) for name in ("params", "buffers", "opt_state", "ema")}
    return TrainState(step=state.step, **rest)


@pytest.mark.parametrize("k", [0, 1])
def test_each_copy_is_trained_as_it_would_be_alone(key, k):
    together, alone = side_by_side(build, DENSITIES), build(DENSITIES[k])
    start = init_state(together.game, key)
    after = []
    for experiment, state in ((together, start), (alone, one_of(start, k))):
        count = experiment.game.num_batches
        batch = draw_batches(experiment.source, count, WindowData(), key, jnp.int32(0), CONFIG.batch_size)
        update = make_update(experiment.game)
        after.append(
            jax.jit(lambda state, update=update, game=experiment.game: update(game.phases, state, batch, key)[0])(state)
        )
    jax.tree.map(lambda a, b: assert_allclose(a, b, atol=1e-6), one_of(after[0], k).params, after[1].params)
    samples = together.sample(after[0].with_ema(), jax.random.split(key, 5))
    assert_allclose(samples[:, k], alone.sample(after[1].with_ema(), jax.random.split(key, 5)), atol=1e-6)


def test_copies_start_from_different_parameters(key):
    kernels = init_state(side_by_side(build, DENSITIES).game, key).params["generator"]["Dense_0"]["kernel"]
    assert not np.allclose(kernels[0], kernels[1])
