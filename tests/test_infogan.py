"""InfoGAN's bound on the information, and how codes are matched to modes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import held
from numpy.testing import assert_allclose

from experiments import infogan
from jaxgan import axis, registry
from jaxgan.game import init


def test_the_bound_is_0_for_a_guess_and_the_entropy_for_certainty():
    code = jnp.arange(16) % 8
    assert_allclose(infogan.information(jnp.zeros([16, 8]), code), 0, atol=1e-6)
    assert_allclose(infogan.information(100.0 * jax.nn.one_hot(code, 8), code), np.log(8), rtol=1e-6)


def test_the_bound_is_the_information_where_the_guess_is_the_posterior(key):
    """Of a joint distribution p(c, x) with c even, in the limit of samples: each pair as often as it is likely."""
    counts = np.array([[6, 1, 1], [2, 4, 2]])  # c by x, of 16
    code, x = (np.repeat(i.ravel(), counts.ravel()) for i in np.indices(counts.shape))
    p = counts / counts.sum()
    exact = np.sum(p * np.log(p / (p.sum(0) * p.sum(1, keepdims=True))))
    posterior = jnp.float32(np.log(counts.T / counts.sum(0)[:, None]))
    assert_allclose(infogan.information(posterior[x], jnp.asarray(code)), exact, rtol=1e-5)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_a_scaled_gradient_leaves_the_value(weight):
    value, slope = jax.value_and_grad(lambda x: infogan.scale_gradient(x, weight) ** 2)(3.0)
    assert_allclose([value, slope], [9, 6 * weight], rtol=1e-6)


def test_codes_are_matched_to_modes_and_only_near_samples_count():
    modes, order = infogan.DATA.modes, np.random.default_rng(0).permutation(8)
    points, code = np.tile(modes, [10, 1]), np.tile(order, 10)
    assert infogan.agreement(points, code) == 1
    # Codes that go round all modes: each is matched to one, and 0 and 1 went round twice.
    assert infogan.agreement(points, np.repeat(np.arange(10), 8) % 8) == 10 / 80
    points[:40] *= 1.1  # Half of them are ten stds away.
    assert infogan.agreement(points, np.where(np.arange(80) < 40, 0, code)) == 1
    assert np.isnan(infogan.agreement(2 * points, code))


@pytest.mark.parametrize("info", [0.0, 1.0])
def test_only_with_its_weight_does_the_information_reach_generator_and_discriminator(info):
    """A Q of other weights changes their gradients if and only if L_I counts; Q itself learns in both games."""
    entry = registry.get("infogan/ring")
    config = dataclasses.replace(entry.config, info=info, batch_size=16, width=8)
    experiment = entry.build(config)
    game, source = experiment.game, experiment.source
    state = jax.jit(lambda key: init(game, key))(jax.random.key(0))
    batch = source.batch(held(source), jax.random.key(1), state.step, axis.positions(16))

    @jax.jit
    def slopes(q):
        gradient = lambda loss: jax.grad(
            lambda params: loss(state.using(**params), batch, jax.random.key(2))[0],
        )(state.params | {"q": q})
        d_loss, g_loss = (phase.loss for phase in game.phases)
        return gradient(d_loss)["discriminator"], gradient(g_loss)["generator"], gradient(g_loss)["q"]

    leaves = lambda tree: np.concatenate([np.ravel(t) for t in jax.tree.leaves(tree)])
    one, other = slopes(state.params["q"]), slopes(jax.tree.map(lambda t: 2.0 * t, state.params["q"]))
    for own, changed in zip(one[:2], other[:2], strict=True):
        assert (np.abs(leaves(own) - leaves(changed)).max() > 1e-4) == (info > 0)
    assert np.abs(leaves(one[2])).max() > 1e-4
