"""InfoGAN's bound on the mutual information, and the matching of codes to modes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import first_window_data
from numpy.testing import assert_allclose

from experiments import infogan
from experiments.figures.infogan import RING, code_agreement
from jaxgan.core import axis
from jaxgan.core.game import init_state
from jaxgan.runs import registry


def test_the_bound_is_0_for_uniform_logits_and_the_entropy_for_certain_ones():
    code = jnp.arange(16) % 8
    assert_allclose(infogan.information_bound(jnp.zeros([16, 8]), code), 0, atol=1e-6)
    assert_allclose(infogan.information_bound(100.0 * jax.nn.one_hot(code, 8), code), np.log(8), rtol=1e-6)


def test_the_bound_is_the_mutual_information_for_the_logits_of_the_posterior():
    """On a joint distribution p(c, x) with uniform c, represented by as many pairs as each is likely."""
    counts = np.array([[6, 1, 1], [2, 4, 2]])  # c by x, of 16
    code, x = (np.repeat(i.ravel(), counts.ravel()) for i in np.indices(counts.shape))
    p = counts / counts.sum()
    information = np.sum(p * np.log(p / (p.sum(0) * p.sum(1, keepdims=True))))
    posterior = jnp.float32(np.log(counts.T / counts.sum(0)[:, None]))
    assert_allclose(infogan.information_bound(posterior[x], jnp.asarray(code)), information, rtol=1e-5)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_scale_gradient_changes_the_gradient_but_not_the_value(weight):
    value, slope = jax.value_and_grad(lambda x: infogan.scale_gradient(x, weight) ** 2)(3.0)
    assert_allclose([value, slope], [9, 6 * weight], rtol=1e-6)


def test_codes_are_matched_to_modes_and_only_samples_near_modes_count():
    order = np.random.default_rng(0).permutation(8)
    points, code = np.tile(RING.modes, [10, 1]), np.tile(order, 10)
    assert code_agreement(points, code) == 1
    # Each code covers all modes once, codes 0 and 1 twice, so that the best matching is right for 10 of 80 samples.
    assert code_agreement(points, np.repeat(np.arange(10), 8) % 8) == 10 / 80
    points[:40] *= 1.1  # These are now ten standard deviations from their modes.
    assert code_agreement(points, np.where(np.arange(80) < 40, 0, code)) == 1
    assert np.isnan(code_agreement(2 * points, code))


@pytest.mark.parametrize("info", [0.0, 1.0])
def test_the_gradients_of_generator_and_discriminator_depend_on_q_only_if_the_weight_is_positive(info):
    """Q itself has a gradient in both games."""
    entry = registry.get("infogan/ring")
    experiment = entry.build(dataclasses.replace(entry.config, info=info, batch_size=16, width=8))
    game, source = experiment.game, experiment.source
    state = jax.jit(lambda key: init_state(game, key))(jax.random.key(0))
    batch = source.batch(first_window_data(source), jax.random.key(1), state.step, axis.global_indices(16))

    @jax.jit
    def gradients(q):
        gradient = lambda loss: jax.grad(
            lambda params: loss(state.with_params(**params), batch, jax.random.key(2))[0],
        )(state.params | {"q": q})
        d_loss, g_loss = (phase.loss for phase in game.phases)
        return gradient(d_loss)["discriminator"], gradient(g_loss)["generator"], gradient(g_loss)["q"]

    flatten = lambda tree: np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)])
    *players, q = gradients(state.params["q"])
    *players_of_other_q, _ = gradients(jax.tree.map(lambda x: 2.0 * x, state.params["q"]))
    for grads, other_grads in zip(players, players_of_other_q, strict=True):
        assert (np.abs(flatten(grads) - flatten(other_grads)).max() > 1e-4) == (info > 0)
    assert np.abs(flatten(q)).max() > 1e-4
