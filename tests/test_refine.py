"""Sampling after training: on densities with a known optimal discriminator, and on an untrained run."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from jaxgan.cli.measure import Sample
from jaxgan.core.game import init_state
from jaxgan.errors import UserError
from jaxgan.runs import refine, registry
from jaxgan.runs.run import Run

MEAN, STD = 0.5, 0.6  # of the data; the generator is the identity of N(0, 1)


def optimal_logit(x):
    """Log p_data(x) - log p_g(x)."""
    return (0.5 * x**2 - 0.5 * (x - MEAN) ** 2 / STD**2 - np.log(STD)).astype(jnp.float32)


def test_acceptance_without_gamma_is_the_ratio_to_the_largest_density_ratio(key):
    logits = jnp.array([-3.0, -0.5, 0.2])
    assert_allclose(refine.acceptance(logits, 0.2, epsilon=0.0), np.exp(logits - 0.2), rtol=1e-5)
    x = jax.random.normal(key, [40_000])
    logits = optimal_logit(x)
    accepted = x[np.random.default_rng(0).random(len(x)) < np.asarray(refine.acceptance(logits, logits.max()))]
    assert_allclose([accepted.mean(), accepted.std()], [MEAN, STD], atol=0.03)


def test_a_larger_gamma_accepts_less_and_keeps_the_order():
    logits = jnp.linspace(-4.0, 1.0, 9)
    low, high = (refine.acceptance(logits, 1.0, gamma) for gamma in (0.0, 2.0))
    assert (high < low).all()
    assert (np.diff(high) > 0).all()


def test_langevin_steps_reach_the_density_of_the_data(key):
    z = jax.random.normal(key, [4_000, 1])
    critic = lambda z: optimal_logit(z[:, 0])
    moved = jax.jit(lambda z: refine.langevin(jax.random.key(1), z, critic, 200, 0.02))(z)
    assert_allclose([moved.mean(), moved.std()], [MEAN, STD], atol=0.04)


@pytest.fixture(scope="module")
def run():
    entry = registry.get("reacgan/digits")
    experiment = entry.build(entry.config)
    state = jax.jit(lambda key: init_state(experiment.game, key))(jax.random.key(0))
    return Run(Path("unused"), entry, entry.config, experiment, state)


@pytest.mark.parametrize(("sample", "values"), [("sample_truncated", (2.0, 0.5, 0.01)), ("sample_scaled", (1, 0.01))])
def test_truncated_samples_become_equal(run, sample, values):
    spread = [getattr(refine, sample)(run, 20, value, labels=[3] * 20).std(0).mean() for value in values]
    assert list(spread) == sorted(spread, reverse=True)
    assert spread[-1] < 2


def test_with_psi_1_nothing_changes(run):
    assert_array_equal(refine.sample_scaled(run, 5, 1.0), run.sample(5))


def test_samples_do_not_depend_on_their_number(run):
    for sample in (refine.sample_truncated, refine.sample_langevin):
        options = (1.0,) if sample is refine.sample_truncated else (3,)
        assert_array_equal(sample(run, 70, *options)[:5], sample(run, 5, *options))


def test_accepted_samples_have_higher_logits_and_the_requested_classes(run):
    n, labels = 60, [0, 1, 2] * 20
    accepted = refine.sample_rejected(run, n, share=0.1, labels=labels, burn_in=640)
    ordinary = run.sample(n, labels=labels)
    networks = refine._networks(run, 0)
    score = lambda x: networks.discriminate(jnp.float32(x) / 127.5 - 1, jnp.array(labels)).mean()
    assert accepted.shape == ordinary.shape
    assert score(accepted) > score(ordinary)


def test_directions_are_the_singular_vectors_of_the_first_layer(run):
    vectors, strengths = refine.directions(run, 4)
    kernel = np.float64(run.state.params["generator"]["Dense_0"]["kernel"])[: run.config.latent]
    assert_allclose(vectors @ vectors.T, np.eye(4), atol=1e-9)
    assert_allclose(np.linalg.norm(vectors @ kernel, axis=1), strengths, rtol=1e-9)
    assert_allclose(strengths, np.linalg.svd(kernel)[1][:4], rtol=1e-6)


def test_samples_that_are_moved_by_nothing_are_the_ordinary_ones(run):
    assert_array_equal(refine.sample_moved(run, 5, 2, 0.0), run.sample(5))
    with pytest.raises(UserError, match="direction 32 must be from 0 to 31"):
        refine.sample_moved(run, 5, 32, 1.0)


def test_values_out_of_range_and_several_refinements_at_once_are_refused(run):
    with pytest.raises(UserError, match=r"the accepted share 1\.5 must be above 0 and at most 1"):
        refine.sample_rejected(run, 3, share=1.5)
    with pytest.raises(UserError, match=r"the limit -1\.0 must be above 0"):
        refine.sample_truncated(run, 3, -1.0)
    with pytest.raises(UserError, match="--truncate and --langevin cannot be combined"):
        Sample(workdir=Path("unused"), truncate=1.0, langevin=3)._draw(run, {})


def test_runs_that_cannot_be_refined_are_refused(run):
    entry = registry.get("logan/digits")
    uniform = Run(Path("unused"), entry, entry.config, entry.build(entry.config), run.state)
    with pytest.raises(UserError, match=r"not drawn from N\(0, I\)"):
        refine.sample_langevin(uniform, 3)
    entry = registry.get("infogan/digits")
    with_codes = Run(Path("unused"), entry, entry.config, entry.build(entry.config), run.state)
    with pytest.raises(UserError, match="do not have mean 0"):
        refine.sample_scaled(with_codes, 3, 0.5)
    entry = registry.get("cyclegan/plane")
    other = Run(Path("unused"), entry, entry.config, entry.build(entry.config), run.state)
    with pytest.raises(UserError, match="does not have one generator"):
        refine.directions(other)
