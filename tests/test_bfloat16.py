"""Networks that compute in bfloat16: parameters and buffers stay float32, and a step is that of float32 to rounding."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgan import latents, losses, penalties
from jaxgan.game import LABEL, Network, init, spec
from jaxgan.networks import dcgan, r3gan, resnet
from jaxgan.objectives import two_player
from jaxgan.update import make_update

NETWORKS = {
    "dcgan with batch norm": (dcgan.Generator(8, 3, width=8, base=2), dcgan.Discriminator(8, base=2), False),
    "resnet with spectral norm, attention and classes": (
        resnet.Generator(3, (16, 16), first=16, bottom=2, classes=3, spectral=True, attention=4),
        resnet.Critic((16, 16), classes=3, attention=4),
        True,
    ),
    "r3gan": (
        r3gan.Generator(3, (16, 16), blocks=1, groups=4, classes=3),
        r3gan.Discriminator((16, 16), blocks=1, groups=4, classes=3),
        True,
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_in_bfloat16_is_near_that_in_float32(name, key):
    g_module, d_module, conditional = NETWORKS[name]
    labels = (LABEL,) if conditional else ()

    def step(dtype):
        game = two_player(
            Network("generator", g_module, (spec(5), *labels), dtype),
            Network("discriminator", d_module, (spec(8, 8, 3), *labels), dtype),
            losses.non_saturating,
            lambda keys: latents.normal(keys, 5),
            g_optimizer=optax.sgd(0.01),
            d_optimizer=optax.sgd(0.01),
            penalty=lambda critic, real, fake, key: 0.1 * penalties.r1(critic, real),
        )
        batch = {
            "real": jax.random.uniform(key, [16, 8, 8, 3], minval=-1.0),
            "label": jnp.arange(16) % 3,
            "index": jnp.arange(16),
        }
        start = jax.jit(lambda: init(game, key))()
        play = jax.jit(lambda state: make_update(game)(game.phases, state, batch, key))
        return start, *play(start)

    start, state, metrics = step(jnp.bfloat16)
    _, exact, expected = step(None)
    assert {x.dtype for x in jax.tree.leaves((state.params, state.buffers))} == {jnp.dtype(jnp.float32)}
    for metric, value in metrics.items():  # 8 bits of mantissa, and some ten layers
        assert value.dtype == jnp.float32
        assert abs(value - expected[metric]) < 0.05 * (1 + abs(expected[metric])), metric
    for network in ("generator", "discriminator"):
        moved, wanted = (
            np.concatenate([np.ravel(b - a) for a, b in zip(*map(jax.tree.leaves, pair), strict=True)])
            for pair in ((start.params[network], s.params[network]) for s in (state, exact))
        )
        cosine = moved @ wanted / np.linalg.norm(moved) / np.linalg.norm(wanted)
        assert cosine > 0.9
