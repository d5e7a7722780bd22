"""A round is its steps: in one dispatch or many, for one seed or several."""

import jax
import numpy as np
import pytest
from helpers import gap, held, play, same, sgd, small

from jaxgan import run
from jaxgan.metrics import NEVER, Tally
from jaxgan.parallel import Devices
from jaxgan.rounds import Carry, Given


@pytest.fixture(params=["minimax/ring", "wgan_gp/digits", "r3gan/swiss_roll"])
def started(request):
    entry, config = small(request.param)
    experiment, rounds = run.build(entry, config)
    devices = Devices.take(1)
    given = Given(devices.put(held(experiment.source)), {}, run.run_key(config), np.int32(1))
    tally = Tally.empty(rounds.names(held(experiment.source)))
    start = lambda: Carry(devices.make(lambda: rounds.start(run.run_key(config))), devices.put(tally))
    return experiment.game, rounds, devices, given, start


def test_one_step_a_dispatch_and_many_are_equal_to_the_bit(started):
    game, rounds, devices, given, start = started
    many = devices.compile(rounds.many)
    one = {due: devices.compile(rounds.one(due)) for due in {game.due(step) for step in range(10)}}
    whole, cut, single = many(start(), given._replace(n=np.int32(10))), start(), start()
    for n in (3, 1, 6):
        cut = many(cut, given._replace(n=np.int32(n)))
    for step in range(10):
        single = one[game.due(step)](single, given)
    assert same(cut, whole)
    assert same(single, whole)


def test_a_tally_counts_each_phase_when_it_was_due(started):
    game, rounds, devices, given, start = started
    tally = jax.device_get(devices.compile(rounds.many)(start(), given._replace(n=np.int32(10))).tally)
    for phase in game.phases:
        assert tally.count[f"{phase.name}/loss"] == sum(phase.due(step) for step in range(10))
    assert tally.first_failure() is None
    assert all(np.isfinite(mean) for mean in tally.means().values())


def test_seeds_trained_together_are_the_seeds_trained_alone():
    def played(**fields):
        entry, config = small("wgan_gp/ring", **fields)
        return play(sgd(entry).build(config), config, Devices.take(1), 10)

    together = run.members(played(seeds=3, seed=5), 3)
    for k, state in enumerate(together):
        assert gap(state.params, played(seed=5 + k).params) < 1e-5
    assert gap(together[0].params, together[1].params) > 1e-2


def test_a_round_of_several_seeds_plays_only_the_phases_that_are_due():
    entry, config = small("wgan_gp/ring", seeds=2)
    rounds = run.build(entry, config)[1]
    key, tally = run.run_key(config), Tally.empty(rounds.names({}), 2)
    text = str(jax.make_jaxpr(rounds.many)(Carry(rounds.start(key), tally), Given({}, {}, key, np.int32(3))))
    assert "cond[" in text


def test_the_first_loss_that_is_not_finite_is_named():
    tally = Tally.empty(["d/loss", "g/loss", "d/penalty"])
    for step, value in enumerate([1.0, np.inf, np.nan, 1.0]):
        losses = {"d/loss": np.float32(1), "g/loss": np.float32(value), "d/penalty": np.float32(np.nan)}
        tally = jax.device_get(tally.add(np.int32(step), losses))
    assert tally.first_failure() == (1, "g/loss")
    assert tally.broken["d/loss"] == NEVER
