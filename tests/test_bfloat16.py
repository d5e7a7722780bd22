"""Tests of networks that compute in bfloat16, with parameters and buffers in float32."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgan.core import losses, penalties, prng
from jaxgan.core.game import LABEL, Network, init_state, input_spec
from jaxgan.core.games import two_player
from jaxgan.core.update import make_update
from jaxgan.networks import dcgan, r3gan, resnet

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


def networks(name, dtype):
    """Returns the networks, the first inputs of which are z [B, 5] and images [B, 8, 8, 3], computing in `dtype`."""
    g_module, d_module, conditional = NETWORKS[name]
    options = {"dtype": dtype}
    if hasattr(g_module, "dtype"):  # It keeps some of its layers in float32.
        g_module, d_module, options = g_module.clone(dtype=dtype), d_module.clone(dtype=dtype), {}
    labels = (LABEL,) if conditional else ()
    return (
        Network("generator", g_module, (input_spec(5),), labels, **options),
        Network("discriminator", d_module, (input_spec(8, 8, 3),), labels, **options),
    )


def test_r3gan_computes_its_smallest_stage_in_float32():
    for network in networks("r3gan", jnp.bfloat16):

        def layers(network=network):
            inputs = network.zero_inputs()
            variables = network.module.init(jax.random.key(0), *inputs)
            return network.module.apply(variables, *inputs, capture_intermediates=True)

        out, state = jax.eval_shape(layers)
        layers = [x for x in jax.tree.leaves(state["intermediates"]) if x.ndim == 4]
        assert out.dtype == jnp.float32
        at_4 = {x.dtype for x in layers if x.shape[1] == 4 and x.shape[-1] == 2 * 16}  # inside a block
        at_8 = {x.dtype for x in layers if x.shape[1] == 8 and x.shape[-1] == 2 * 16}
        assert (at_4, at_8) == ({jnp.dtype(jnp.float32)}, {jnp.dtype(jnp.bfloat16)})


@pytest.mark.parametrize("name", NETWORKS)
def test_training_step_in_bfloat16_is_close_to_float32(name, key):
    def step(dtype):
        game = two_player(
            *networks(name, dtype),
            losses.non_saturating,
            prng.normal_latent(5),
            g_optimizer=optax.sgd(0.01),
            d_optimizer=optax.sgd(0.01),
            penalty=penalties.r1,
            penalty_weight=0.1,
        )
        batch = {
            "real": jax.random.uniform(key, [16, 8, 8, 3], minval=-1.0),
            "label": jnp.arange(16) % 3,
            "index": jnp.arange(16),
        }
        initial = jax.jit(lambda: init_state(game, key))()
        update = jax.jit(lambda state: make_update(game)(game.phases, state, batch, key))
        return initial, *update(initial)

    initial, state, scalars = step(jnp.bfloat16)
    _, expected_state, expected_scalars = step(None)
    assert {x.dtype for x in jax.tree.leaves((state.params, state.buffers))} == {jnp.dtype(jnp.float32)}
    for name, value in scalars.items():
        assert value.dtype == jnp.float32
        # bfloat16 has 8 bits of precision, and errors add up over about ten layers.
        assert abs(value - expected_scalars[name]) < 0.05 * (1 + abs(expected_scalars[name])), name
    for network in ("generator", "discriminator"):
        before = jax.tree.leaves(initial.params[network])
        change, expected = (
            np.concatenate([np.ravel(b - a) for a, b in zip(before, jax.tree.leaves(s.params[network]), strict=True)])
            for s in (state, expected_state)
        )
        cosine = change @ expected / np.linalg.norm(change) / np.linalg.norm(expected)
        assert cosine > 0.9
