"""The compiled loop takes the same steps in one dispatch or many, for one seed or several."""

import dataclasses
import functools

import chex
import jax
import numpy as np
import pytest
from helpers import first_window_data, max_difference, short_run, train_steps, with_game, with_sgd

from jaxgan.core import axis
from jaxgan.core.game import Phase
from jaxgan.training.accumulator import NEVER, ScalarAccumulator
from jaxgan.training.devices import Devices
from jaxgan.training.loop import SHARDED_INPUTS, LoopInputs, LoopState, build_loop, distinct_due_sets, run_key
from jaxgan.training.sampling import split_seeds


@pytest.fixture(params=["minimax/ring", "wgan_gp/digits", "r3gan/swiss_roll"])
def started(request):
    """A game, a function that compiles its steps, its loop, a function that makes the first carry, and the inputs."""
    entry, config = short_run(request.param)
    experiment, devices = entry.build(config), Devices.all(1)
    loop, data = build_loop(experiment, config), first_window_data(experiment.source)
    zeros = ScalarAccumulator.zeros(loop.scalar_names(data))
    init = lambda: devices.init_replicated(lambda: loop.init(run_key(config)))
    start = lambda: LoopState(init(), devices.put_replicated(zeros))
    compile_step = lambda step: devices.compile_step(step, SHARDED_INPUTS)
    inputs = LoopInputs(devices.put_replicated(data), run_key(config), np.int32(1))
    return experiment.game, compile_step, loop, start, inputs


def test_many_steps_per_dispatch_equal_steps_whose_phases_are_programs_of_their_own(started):
    game, compile_step, loop, start, inputs = started
    run_steps = compile_step(loop.run_steps)
    compile_part = functools.cache(lambda part: compile_step(loop.part(part)))
    whole, pieces, single = run_steps(start(), inputs._replace(num_steps=np.int32(10))), start(), start()
    for n in (3, 1, 6):
        pieces = run_steps(pieces, inputs._replace(num_steps=np.int32(n)))
    for step in range(10):
        for part in loop.step_parts(game.due_phases(step)):
            single = compile_part(part)(single, inputs)
    chex.assert_trees_all_equal(pieces, whole)
    chex.assert_trees_all_equal(single, whole)
    accumulator = jax.device_get(whole.accumulator)
    for phase in game.phases:
        assert accumulator.count[f"{phase.name}/loss"] == sum(phase.is_due(step) for step in range(10))
    assert accumulator.first_nonfinite() is None
    assert all(np.isfinite(mean) for mean in accumulator.means().values())


@pytest.mark.parametrize(("name", "programs"), [("dcgan/digits", 1), ("wgan_gp/digits", 3), ("stylegan2/digits", None)])
def test_each_phase_is_compiled_once(name, programs):
    entry, config = short_run(name)
    experiment = entry.build(config)
    game, loop = experiment.game, build_loop(experiment, config)
    parts = {part for due in distinct_due_sets(game) for part in loop.step_parts(due)}
    assert sorted(phase.name for part in parts for phase in part.phases) == sorted(phase.name for phase in game.phases)
    assert len(parts) == (programs or len(game.phases) + 1)


def test_seeds_trained_together_equal_seeds_trained_alone():
    def train(**settings):
        entry, config = short_run("wgan_gp/ring", **settings)
        return train_steps(with_sgd(entry).build(config), config, Devices.all(1), 10)

    together = split_seeds(train(seeds=3, seed=5), 3)
    for k, state in enumerate(together):
        chex.assert_trees_all_close(state.params, train(seed=5 + k).params, atol=1e-5)
    assert max_difference(together[0].params, together[1].params) > 1e-2


@pytest.mark.parametrize(("mean", "is_right"), [(axis.batch_mean, True), (lambda x: x.mean(0), False)])
def test_one_device_and_eight_agree_only_if_a_nonlinear_loss_takes_the_mean_of_the_whole_batch(mean, is_right):
    """The comparison that `test_experiments.py` makes for every method finds a mean that is that of a shard."""

    def change(game):
        (critic,) = (network for network in game.networks if network.name == "discriminator")

        def loss(state, batch, key):
            return mean(critic.bind(state)(batch["real"])) ** 2, (state, {})

        return dataclasses.replace(game, phases=(Phase("d", "discriminator", loss),))

    entry, config = short_run("minimax/ring", width=4)
    experiment = with_sgd(with_game(entry, change)).build(config)
    one, eight = (train_steps(experiment, config, Devices.all(n), steps=10) for n in (1, 8))
    assert (max_difference(one.params, eight.params) < 1e-6) == is_right


def test_several_seeds_run_only_the_phases_that_are_due():
    entry, config = short_run("wgan_gp/ring", seeds=2)
    experiment = entry.build(config)
    loop, data, key = build_loop(experiment, config), first_window_data(experiment.source), run_key(config)
    carry = LoopState(loop.init(key), ScalarAccumulator.zeros(loop.scalar_names(data), 2))
    assert "cond[" in str(jax.make_jaxpr(loop.run_steps)(carry, LoopInputs(data, key, np.int32(3))))


def test_the_first_loss_that_is_not_finite_is_recorded():
    accumulator = ScalarAccumulator.zeros(["d/loss", "g/loss", "d/penalty"])
    for step, value in enumerate([1.0, np.inf, np.nan, 1.0]):
        losses = {"d/loss": np.float32(1), "g/loss": np.float32(value), "d/penalty": np.float32(np.nan)}
        accumulator = jax.device_get(accumulator.update(np.int32(step), losses))
    assert accumulator.first_nonfinite() == (1, "g/loss")
    assert accumulator.first_nonfinite_step["d/loss"] == NEVER
