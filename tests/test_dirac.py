"""The Dirac-GAN against the gradient fields and Jacobians of Mescheder et al. 2018."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from experiments import dirac
from experiments.figures import mescheder
from jaxgan.core import losses, penalties


def df(t):
    """Returns f'(t) of f(t) = -log(1 + e^-t), Mescheder et al. 2018, section 2."""
    return expit(-t)


def consensus_gradient(theta, psi):
    """Returns the gradient of half the squared length of the GAN's field, by central differences."""
    half_square = lambda theta, psi: 0.5 * (theta**2 + psi**2) * df(-theta * psi) ** 2
    e = 1e-6
    return (
        (half_square(theta + e, psi) - half_square(theta - e, psi)) / (2 * e),
        (half_square(theta, psi + e) - half_square(theta, psi - e)) / (2 * e),
    )


# The paper's fields with psi in place of -psi, because D is positive on reals here.
FIELDS = {
    "gan": lambda t, p: (p * df(-t * p), -t * df(-t * p)),
    "non_saturating": lambda t, p: (p * df(t * p), -t * df(-t * p)),
    "wgan": lambda t, p: (p, -t),
    "wgan_gp": lambda t, p: (p, -t - 0.7 * (abs(p) - 1) * np.sign(p)),
    "dragan": lambda t, p: (p * df(-t * p), -t * df(-t * p) - 0.7 * (abs(p) - 1) * np.sign(p)),
    "r1": lambda t, p: (p * df(-t * p), -t * df(-t * p) - 0.3 * p),
    "r2": lambda t, p: (p * df(-t * p), -t * df(-t * p) - 0.3 * p),
    "non_saturating_r1": lambda t, p: (p * df(t * p), -t * df(-t * p) - 0.3 * p),
    "consensus": lambda t, p: tuple(np.subtract((p * df(-t * p), -t * df(-t * p)), consensus_gradient(t, p))),
}


@pytest.mark.parametrize("name", FIELDS)
def test_a_simultaneous_step_follows_the_papers_field(name):
    method = mescheder.METHODS[name]
    step = jax.jit(jax.vmap(lambda start: mescheder.simulate_method(method, start, 1, simultaneous=True)[1]))
    points = np.array([[1.0, 1.0], [-0.5, 1.5], [0.3, -0.7], [-2.0, -0.1]])
    velocity = (np.asarray(step(jnp.float32(points))) - points) / dirac.H
    np.testing.assert_allclose(velocity, [FIELDS[name](*point) for point in points], atol=2e-6)


def test_the_mean_step_with_instance_noise_is_the_expectation_over_the_noise():
    game, point = mescheder.METHODS["noise"].make(simultaneous=True), np.array([0.8, -0.6])
    simulate = lambda seed: dirac.simulate(game, jnp.float32(point), 1, std=0.7, batch_size=20_000, seed=seed)[1]
    mean_step = np.mean([np.asarray(simulate(seed)) for seed in range(4)], axis=0)
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    expectation = lambda values: weights @ values / weights.sum()
    real, fake = 0.7 * nodes, 0.8 + 0.7 * nodes
    field = (
        -0.6 * expectation(expit(-0.6 * fake)),
        expectation(real * expit(0.6 * real)) - expectation(fake * expit(-0.6 * fake)),
    )
    np.testing.assert_allclose((mean_step - point) / dirac.H, field, atol=0.01)


def test_with_alternating_updates_the_generator_sees_the_updated_discriminator():
    theta, psi, expected = 1.0, 1.0, [(1.0, 1.0)]
    for _ in range(3):
        for _ in range(5):
            psi -= dirac.H * theta * expit(theta * psi)
        theta += dirac.H * psi * expit(theta * psi)
        expected.append((theta, psi))
    path = dirac.simulate(dirac.make_game(losses.minimax, n_critic=5), jnp.ones(2), 3)
    np.testing.assert_allclose(path, expected, rtol=1e-5)


def test_clipped_weights_stay_within_the_limit():
    path = dirac.simulate(dirac.make_game(losses.wasserstein, clip=0.5), jnp.array([2.0, 0.5]), 100)
    assert np.abs(path[:, 1]).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("loss", [losses.minimax, losses.non_saturating, losses.relativistic])
def test_the_jacobian_at_the_equilibrium_is_the_same_for_these_losses(loss):
    game = dirac.make_game(loss, h=1.0, penalty=penalties.r1, penalty_weight=0.3, simultaneous=True)
    jacobian = dirac.jacobian(lambda point: dirac.simulate(game, point, 1)[1]) - np.eye(2)
    np.testing.assert_allclose(jacobian, [[0.0, 0.5], [-0.5, -0.3]], atol=1e-15)


def test_alternating_updates_of_the_saturating_gan_conserve_the_radius_to_order_h():
    """Gradient flow conserves |(theta, psi)| exactly."""
    path = dirac.simulate(dirac.make_game(losses.minimax, h=0.01), jnp.ones(2), 2_000)
    radius = np.linalg.norm(path, axis=1)
    assert np.abs(radius / radius[0] - 1).max() < 0.01
    assert (np.asarray(path).min(0) < -1.3).all()  # It has circled the equilibrium.
