"""The initial gradient norm of DRAGAN's discriminator, from which the figure's ratio starts."""

import jax
import jax.numpy as jnp

from experiments import dragan
from jaxgan.core import penalties
from jaxgan.core.game import init_state


def test_mean_squared_gradient_norm_of_a_new_discriminator_is_2():
    # Half of the H units are active. Their output weights have variance 2 / H, and the squared norm of their input
    # weights is 64 * 2 / 64.
    game = dragan.build_digits(dragan.Config()).game
    x = jax.random.normal(jax.random.key(1), (50, 8, 8, 1))

    def mean_squared_norm(key):
        state = init_state(game, key)
        return penalties.squared_gradient_norm(game.networks[1].bind(state), x).mean()

    values = jax.jit(jax.vmap(mean_squared_norm))(jax.random.split(jax.random.key(0), 100))
    assert jnp.abs(values.mean() - 2) < 0.1
