import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from experiments import dirac, mescheder
from jaxgan import losses


def f1(t):
    """f'(t) of f(t) = -log(1 + e^-t), Mescheder et al. 2018, section 2."""
    return expit(-t)


def consensus(theta, psi):
    """The gradient of half the squared length of the field, by central differences."""
    half = lambda theta, psi: 0.5 * (theta**2 + psi**2) * f1(-theta * psi) ** 2
    e = 1e-6
    return (
        (half(theta + e, psi) - half(theta - e, psi)) / (2 * e),
        (half(theta, psi + e) - half(theta, psi - e)) / (2 * e),
    )


# The paper's fields with psi in place of -psi: D is positive on reals here.
FIELDS = {
    "gan": lambda t, p: (p * f1(-t * p), -t * f1(-t * p)),
    "non_saturating": lambda t, p: (p * f1(t * p), -t * f1(-t * p)),
    "wgan": lambda t, p: (p, -t),
    "wgan_gp": lambda t, p: (p, -t - 0.7 * (abs(p) - 1) * np.sign(p)),
    "dragan": lambda t, p: (p * f1(-t * p), -t * f1(-t * p) - 0.7 * (abs(p) - 1) * np.sign(p)),
    "r1": lambda t, p: (p * f1(-t * p), -t * f1(-t * p) - 0.3 * p),
    "r2": lambda t, p: (p * f1(-t * p), -t * f1(-t * p) - 0.3 * p),
    "non_saturating_r1": lambda t, p: (p * f1(t * p), -t * f1(-t * p) - 0.3 * p),
    "consensus": lambda t, p: tuple(np.subtract((p * f1(-t * p), -t * f1(-t * p)), consensus(t, p))),
}


@pytest.mark.parametrize("name", FIELDS)
def test_a_simultaneous_step_follows_the_papers_field(name):
    step = jax.jit(jax.vmap(lambda start: mescheder.run(mescheder.METHODS[name], start, 1, simultaneous=True)[1]))
    points = np.array([[1.0, 1.0], [-0.5, 1.5], [0.3, -0.7], [-2.0, -0.1]])
    moved = (np.asarray(step(jnp.float32(points))) - points) / dirac.H
    np.testing.assert_allclose(moved, [FIELDS[name](*point) for point in points], atol=2e-6)


def test_instance_noise_moves_by_the_expectation():
    method, point = mescheder.METHODS["noise"], np.array([0.8, -0.6])
    moved = np.mean(
        [
            np.asarray(
                dirac.play(method.game(simultaneous=True), jnp.float32(point), 1, std=0.7, draws=20_000, seed=s)[1]
            )
            for s in range(4)
        ],
        axis=0,
    )
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    mean = lambda values: weights @ values / weights.sum()
    x, fake = 0.7 * nodes, 0.8 + 0.7 * nodes
    field = -0.6 * mean(expit(-0.6 * fake)), mean(x * expit(0.6 * x)) - mean(fake * expit(-0.6 * fake))
    np.testing.assert_allclose((moved - point) / dirac.H, field, atol=0.01)


def test_in_turns_the_generator_sees_where_the_discriminator_went():
    theta, psi, path = 1.0, 1.0, [(1.0, 1.0)]
    for _ in range(3):
        for _ in range(5):
            psi -= dirac.H * theta * expit(theta * psi)
        theta += dirac.H * psi * expit(theta * psi)
        path.append((theta, psi))
    ours = dirac.play(dirac.make_game(losses.minimax, n_critic=5), jnp.ones(2), 3)
    np.testing.assert_allclose(ours, path, rtol=1e-5)


def test_clipped_weights_stay_within_the_limit():
    path = dirac.play(dirac.make_game(losses.wasserstein, clip=0.5), jnp.array([2.0, 0.5]), 100)
    assert np.abs(path[:, 1]).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("loss", [losses.minimax, losses.non_saturating, losses.relativistic])
def test_jacobian_at_the_equilibrium_is_the_same_for_every_such_loss(loss):
    game = dirac.make_game(loss, h=1.0, penalty=dirac.zero_centred("real", 0.3), simultaneous=True)
    jacobian = dirac.jacobian(lambda point: dirac.play(game, point, 1)[1]) - np.eye(2)
    np.testing.assert_allclose(jacobian, [[0.0, 0.5], [-0.5, -0.3]], atol=1e-15)


def test_the_orbit_in_turns_keeps_an_energy():
    """Gradient flow of the saturating GAN keeps |(theta, psi)|; steps in turns keep it to O(h)."""
    path = dirac.play(dirac.make_game(losses.minimax, h=0.01), jnp.ones(2), 2_000)
    radius = np.linalg.norm(path, axis=1)
    assert np.abs(radius / radius[0] - 1).max() < 0.01
    assert (np.asarray(path).min(0) < -1.3).all()  # It went round.
