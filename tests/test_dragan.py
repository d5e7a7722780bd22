"""Where the sharpness of DRAGAN's discriminator starts from."""

import jax
import jax.numpy as jnp

from experiments import dragan
from jaxgan import penalties
from jaxgan.game import init


def test_a_new_discriminator_s_mean_squared_gradient_is_2():
    # Half of H units are on, with weights of variance 2 / H, after input weights of 64 · 2 / 64 in all.
    game = dragan.build(dragan.Config()).game
    x = jax.random.normal(jax.random.key(1), (50, 8, 8, 1))

    def square_norm(key):
        state = init(game, key)
        return penalties.square_norm(game.networks[1].bind(state), x).mean()

    found = jax.jit(jax.vmap(square_norm))(jax.random.split(jax.random.key(0), 100)).mean()
    assert jnp.abs(found - 2) < 0.1
