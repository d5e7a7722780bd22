import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import gap
from jax.sharding import PartitionSpec as P
from scipy.special import expit

from experiments import dirac
from jaxgan import axis, losses, objectives
from jaxgan.game import init
from jaxgan.parallel import Devices
from jaxgan.update import make_update

BATCH = {"real": np.zeros([4, 1]), "index": np.arange(4)}


def moves(game, names, point=(0.8, -0.6)):
    """The state after the phases `names`, played one by one at step 0 from (theta, psi), in float64."""
    theta, psi = jnp.float64(point)[:, None]
    state = init(game, jax.random.key(0)).using(generator={"theta": theta}, discriminator={"psi": psi})
    opt = {name: p.optimizer.init({n: state.params[n] for n in p.networks}) for name, p in game.players.items()}
    state, update = dataclasses.replace(state, opt=opt), make_update(game)
    metrics = {}
    for name in names:
        due = tuple(phase for phase in game.phases if phase.name == name)
        state, metrics = update(due, state, BATCH, jax.random.key(1))
    return state, metrics


def theta(game, names=("g",), point=(0.8, -0.6)):
    return float(moves(game, names, point)[0].params["generator"]["theta"][0])


def with_optimizer(game, optimizer, *names):
    players = {n: dataclasses.replace(p, optimizer=optimizer) if n in names else p for n, p in game.players.items()}
    return dataclasses.replace(game, players=players)


def test_a_lazy_penalty_is_a_phase_that_weighs_as_many_times_more():
    game = dirac.make_game(losses.minimax, penalty=dirac.zero_centred("real", 0.3), penalty_every=4)
    assert [len(game.due(step)) for step in range(5)] == [3, 2, 2, 2, 3]
    with jax.enable_x64(True):
        (psi,) = moves(game, ["d_penalty"])[0].params["discriminator"]["psi"]
        bare = moves(dirac.make_game(losses.minimax), "d")[0]
        assert gap(moves(game, "d")[0].params, bare.params) == 0
    np.testing.assert_allclose(psi, -0.6 + dirac.H * 4 * 0.3 * 0.6, rtol=1e-12)


def test_a_penalty_weighs_what_its_step_says():
    weight = lambda step: 2.0 + step.astype(float)
    options = {"penalty": dirac.zero_centred("real", 0.3), "penalty_every": 4, "penalty_weight": weight}
    with jax.enable_x64(True):
        (psi,) = moves(dirac.make_game(losses.minimax, **options), ["d_penalty"])[0].params["discriminator"]["psi"]
    np.testing.assert_allclose(psi, -0.6 + dirac.H * 4 * 2.0 * 0.3 * 0.6, rtol=1e-12)


def test_unrolled_by_no_step_is_the_game_itself():
    game = dirac.make_game(losses.minimax)
    assert objectives.unrolled(game, 0) is game


def test_one_unrolled_step_has_the_gradient_by_hand():
    """G descends -log(1 + e^(theta psi')), psi' = psi - h theta σ(theta psi), itself a function of theta."""
    h, t, p = 0.2, 0.8, -0.6
    s = expit(t * p)
    ahead = p - h * t * s
    slope = -h * (s + t * p * s * (1 - s))
    gradient = -expit(t * ahead) * (ahead + t * slope)
    with jax.enable_x64(True):
        ours = theta(objectives.unrolled(dirac.make_game(losses.minimax, h), 1))
    np.testing.assert_allclose(ours, t - h * gradient, rtol=1e-12)


@pytest.mark.parametrize("loss", [losses.minimax, losses.non_saturating, losses.wasserstein])
@pytest.mark.parametrize("optimizer", [optax.sgd(0.2), optax.adam(0.1, 0.5, eps_root=1e-16)])
def test_the_unrolled_loss_is_the_loss_after_k_moves_and_its_gradient_goes_through_them(loss, optimizer):
    game = with_optimizer(dirac.make_game(loss, penalty=dirac.zero_centred("real", 0.3)), optimizer, "discriminator")
    unrolled = objectives.unrolled(game, 3)

    def after_three(point):
        return float(moves(game, ["d", "d", "d", "g"], point)[1]["g/loss"])

    with jax.enable_x64(True):
        state, metrics = moves(unrolled, ["g"])
        np.testing.assert_allclose(metrics["g/loss"], after_three((0.8, -0.6)), rtol=1e-12)
        np.testing.assert_array_equal(state.params["discriminator"]["psi"], [-0.6])
        slope = (after_three((0.8 + 1e-5, -0.6)) - after_three((0.8 - 1e-5, -0.6))) / 2e-5
        ours = theta(with_optimizer(unrolled, optax.sgd(1.0), "generator"))
    np.testing.assert_allclose(0.8 - ours, slope, rtol=1e-7)


def test_the_discriminator_of_an_unrolled_game_moves_as_ever():
    game = dirac.make_game(losses.minimax)
    with jax.enable_x64(True):
        assert gap(moves(game, "d")[0].params, moves(objectives.unrolled(game, 4), "d")[0].params) == 0


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_consensus_adds_the_gradient_of_half_the_squared_field(weight):
    h, t, p = 0.2, 0.8, -0.6
    half = lambda t, p: 0.5 * (t**2 + p**2) * expit(t * p) ** 2
    gradient = -p * expit(t * p) + weight * (half(t + 1e-6, p) - half(t - 1e-6, p)) / 2e-6
    with jax.enable_x64(True):
        game = objectives.consensus(dirac.make_game(losses.minimax, h), weight)
        state, metrics = moves(game, ["g"])
    np.testing.assert_allclose(metrics["g/consensus"], half(t, p), rtol=1e-12)
    np.testing.assert_allclose(state.params["generator"]["theta"], [t - h * gradient], rtol=1e-9)


@pytest.mark.parametrize("change", [objectives.consensus, objectives.unrolled])
def test_gradients_through_gradients_are_of_the_whole_batch(change, key):
    """What looks at the other player takes the gradient over all devices, not over its own share."""
    game = change(dirac.make_game(losses.minimax, std=0.7), 2)
    update, state = make_update(game), init(game, key)
    step = lambda state, batch: update(game.phases, state, batch, key)[0].params
    batch = {"real": jax.random.normal(key, [16, 1]), "index": jnp.arange(16)}
    on_eight = jax.shard_map(
        step, mesh=Devices.take(8).mesh, in_specs=(P(), P(axis.AXIS)), out_specs=P(), check_vma=False
    )
    one = jax.jit(step)(state, batch)
    assert gap(one, state.params) > 0.01
    assert gap(jax.jit(on_eight)(state, batch), one) < 1e-6
