"""Two-player games and their transformations, compared with closed forms on the Dirac GAN."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import max_difference
from jax.sharding import PartitionSpec as P
from scipy.special import expit

from experiments import dirac
from jaxgan.core import axis, games, losses, penalties
from jaxgan.core.augment import Augmentation
from jaxgan.core.game import init_state
from jaxgan.core.update import make_update
from jaxgan.training.devices import Devices

BATCH = {"real": np.zeros([4, 1]), "index": np.arange(4)}


def run_phases(game, names, point=(0.8, -0.6)):
    """Returns state and scalars after the phases `names`, run in turn at step 0 from (theta, psi), in float64."""
    theta, psi = jnp.float64(point)[:, None]
    state = init_state(game, jax.random.key(0)).with_params(generator={"theta": theta}, discriminator={"psi": psi})
    opt = {name: p.optimizer.init({n: state.params[n] for n in p.networks}) for name, p in game.players.items()}
    state, update = dataclasses.replace(state, opt_state=opt), make_update(game)
    scalars = {}
    for name in names:
        due = tuple(phase for phase in game.phases if phase.name == name)
        state, scalars = update(due, state, BATCH, jax.random.key(1))
    return state, scalars


def theta_after_g(game):
    return float(run_phases(game, ["g"])[0].params["generator"]["theta"][0])


def with_optimizer(game, optimizer, *names):
    players = {n: dataclasses.replace(p, optimizer=optimizer) if n in names else p for n, p in game.players.items()}
    return dataclasses.replace(game, players=players)


def test_a_lazy_penalty_is_a_phase_of_its_own_with_a_larger_weight():
    game = dirac.make_game(losses.minimax, penalty=penalties.r1, penalty_weight=0.3, penalty_every=4)
    assert [len(game.due_phases(step)) for step in range(5)] == [3, 2, 2, 2, 3]
    with jax.enable_x64(True):
        (psi,) = run_phases(game, ["d_penalty"])[0].params["discriminator"]["psi"]
        without = run_phases(dirac.make_game(losses.minimax), ["d"])[0]
        chex.assert_trees_all_equal(run_phases(game, ["d"])[0].params, without.params)
    np.testing.assert_allclose(psi, -0.6 + dirac.H * 4 * 0.3 * 0.6, rtol=1e-12)


def test_an_augmentation_adapts_in_a_phase_without_a_player():
    augment = Augmentation(
        apply=lambda state, x, key: state.buffers["scale"] * x,
        buffers={"scale": np.float64(3.0)},
        update=lambda state, logits: (state.with_buffers(scale=2.0 * state.buffers["scale"]), {"sum": logits.sum()}),
        every=3,
    )
    game = dirac.make_game(losses.minimax, augment=augment)
    assert [[phase.name for phase in game.due_phases(step)] for step in (0, 1, 3)] == [
        ["d", "g", "augment"],
        ["d", "g"],
        ["d", "g", "augment"],
    ]
    with jax.enable_x64(True):
        state, _ = run_phases(game, ["augment"])
        assert float(state.buffers["scale"]) == 6.0
        assert float(state.params["discriminator"]["psi"][0]) == -0.6
        # The fake theta is 3 theta for the discriminator.
        scaled = dirac.make_game(losses.minimax)
        expected = run_phases(scaled, ["d"], point=(3 * 0.8, -0.6))[0].params["discriminator"]["psi"]
        np.testing.assert_allclose(run_phases(game, ["d"])[0].params["discriminator"]["psi"], expected, rtol=1e-12)


def test_a_penalty_weight_can_be_a_function_of_the_step():
    weight = lambda step: 0.6 + step.astype(float)
    options = {"penalty": penalties.r1, "penalty_every": 4, "penalty_weight": weight}
    with jax.enable_x64(True):
        (psi,) = run_phases(dirac.make_game(losses.minimax, **options), ["d_penalty"])[0].params["discriminator"]["psi"]
    np.testing.assert_allclose(psi, -0.6 + dirac.H * 4 * 0.6 * 0.6, rtol=1e-12)


def test_unrolling_no_steps_returns_the_same_game():
    game = dirac.make_game(losses.minimax)
    assert games.unrolled(game, 0) is game


def test_one_unrolled_step_has_the_closed_form_gradient():
    """G descends -log(1 + e^(theta psi')), where psi' = psi - h theta σ(theta psi) depends on theta."""
    h, t, p = 0.2, 0.8, -0.6
    s = expit(t * p)
    ahead = p - h * t * s
    slope = -h * (s + t * p * s * (1 - s))
    gradient = -expit(t * ahead) * (ahead + t * slope)
    with jax.enable_x64(True):
        theta = theta_after_g(games.unrolled(dirac.make_game(losses.minimax, h), 1))
    np.testing.assert_allclose(theta, t - h * gradient, rtol=1e-12)


def test_without_differentiation_the_discriminator_ahead_is_a_constant():
    h, t, p = 0.2, 0.8, -0.6
    ahead = p - h * t * expit(t * p)
    with jax.enable_x64(True):
        theta = theta_after_g(games.unrolled(dirac.make_game(losses.minimax, h), 1, differentiate=False))
    np.testing.assert_allclose(theta, t + h * expit(t * ahead) * ahead, rtol=1e-12)


@pytest.mark.parametrize("loss", [losses.minimax, losses.non_saturating, losses.wasserstein])
@pytest.mark.parametrize("optimizer", [optax.sgd(0.2), optax.adam(0.1, 0.5, eps_root=1e-16)])
def test_the_unrolled_loss_is_the_loss_after_k_updates_and_its_gradient_passes_through_them(loss, optimizer):
    penalised = dirac.make_game(loss, penalty=penalties.r1, penalty_weight=0.3)
    game = with_optimizer(penalised, optimizer, "discriminator")
    unrolled = games.unrolled(game, 3)

    def loss_after_three_updates(point):
        return float(run_phases(game, ["d", "d", "d", "g"], point)[1]["g/loss"])

    with jax.enable_x64(True):
        state, scalars = run_phases(unrolled, ["g"])
        np.testing.assert_allclose(scalars["g/loss"], loss_after_three_updates((0.8, -0.6)), rtol=1e-12)
        np.testing.assert_array_equal(state.params["discriminator"]["psi"], [-0.6])
        slope = (loss_after_three_updates((0.8 + 1e-5, -0.6)) - loss_after_three_updates((0.8 - 1e-5, -0.6))) / 2e-5
        theta = theta_after_g(with_optimizer(unrolled, optax.sgd(1.0), "generator"))
    np.testing.assert_allclose(0.8 - theta, slope, rtol=1e-7)


def test_unrolling_does_not_change_the_discriminator_update():
    game = dirac.make_game(losses.minimax)
    with jax.enable_x64(True):
        states = [run_phases(either, ["d"])[0].params for either in (game, games.unrolled(game, 4))]
        chex.assert_trees_all_equal(*states)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_consensus_adds_the_gradient_of_half_the_squared_gradient_norm(weight):
    h, t, p = 0.2, 0.8, -0.6
    half = lambda t, p: 0.5 * (t**2 + p**2) * expit(t * p) ** 2
    gradient = -p * expit(t * p) + weight * (half(t + 1e-6, p) - half(t - 1e-6, p)) / 2e-6
    with jax.enable_x64(True):
        game = games.consensus(dirac.make_game(losses.minimax, h), weight)
        state, scalars = run_phases(game, ["g"])
    np.testing.assert_allclose(scalars["g/consensus"], half(t, p), rtol=1e-12)
    np.testing.assert_allclose(state.params["generator"]["theta"], [t - h * gradient], rtol=1e-9)


@pytest.mark.parametrize("transform", [games.consensus, games.unrolled])
def test_gradients_inside_a_loss_are_those_of_the_whole_batch(transform, key):
    """A loss that differentiates another loss averages these gradients over all devices."""
    game = transform(dirac.make_game(losses.minimax, std=0.7), 2)
    update, state = make_update(game), init_state(game, key)
    step = lambda state, batch: update(game.phases, state, batch, key)[0].params
    batch = {"real": jax.random.normal(key, [16, 1]), "index": jnp.arange(16)}
    sharded = jax.shard_map(
        step, mesh=Devices.all(8).mesh, in_specs=(P(), P(axis.AXIS_NAME)), out_specs=P(), check_vma=False
    )
    one = jax.jit(step)(state, batch)
    assert max_difference(one, state.params) > 0.01
    chex.assert_trees_all_close(jax.jit(sharded)(state, batch), one, atol=1e-6)
