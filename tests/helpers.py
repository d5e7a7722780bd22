"""What several tests need."""

import dataclasses
from collections.abc import Callable
from unittest import mock

import jax
import numpy as np
import optax

from jaxgan import registry, run
from jaxgan.data import datasets
from jaxgan.data.source import Arrays, Source
from jaxgan.errors import Problem
from jaxgan.game import Game, TrainState
from jaxgan.metrics import Tally
from jaxgan.parallel import Devices
from jaxgan.registry import Config, Entry, Experiment
from jaxgan.rounds import Carry
from jaxgan.train import make_dispatch

NAMES = list(registry.entries())


def changed(entry: Entry, change: Callable[[Game], Game]) -> Entry:
    """The entry with another game under its name."""

    def build(config: Config) -> Experiment:
        experiment = entry.build(config)
        return dataclasses.replace(experiment, game=change(experiment.game))

    return dataclasses.replace(entry, build=build)


def sgd(entry: Entry) -> Entry:
    """The entry with plain gradient descent, which a wrong scale of the gradients would not escape, as it does Adam."""
    plain = optax.sgd(0.001)

    def build(config: Config) -> Experiment:
        with mock.patch.object(optax, "adam", return_value=plain):  # A loss that looks ahead holds the optimiser.
            experiment = entry.build(config)
        players = {name: dataclasses.replace(p, optimizer=plain) for name, p in experiment.game.players.items()}
        return dataclasses.replace(experiment, game=dataclasses.replace(experiment.game, players=players))

    return dataclasses.replace(entry, build=build)


def small(name: str, **fields: object) -> tuple[Entry, Config]:
    """A registered experiment with a config for a few steps."""
    entry = registry.get(name)
    every = dict.fromkeys((*registry.PERIODS, "log_every"), 5)
    return entry, dataclasses.replace(entry.config, **{"steps": 10, "batch_size": 16, **every, **fields})


def play(experiment: Experiment, config: Config, devices: Devices, steps: int) -> TrainState:
    """Play from the start as `train` does, without its logs."""
    rounds = run.make_rounds(experiment.game, experiment.source, config.batch_size)
    rounds = run.over_seeds(rounds) if config.seeds > 1 else rounds
    state = devices.make(lambda: rounds.start(run.run_key(config)))
    windows = experiment.source.windows(run.data_key(config), 0)
    empty = Tally.empty(rounds.names(held(experiment.source)), config.seeds)
    carry, step = devices.carried(Carry(state, devices.put(empty))), 0
    dispatch = make_dispatch(experiment.game, rounds, windows, config, devices)
    while step < steps:
        carry, step = dispatch(carry, step, steps)
    return jax.device_get(devices.one(carry.state))


def held(source: Source) -> Arrays:
    """What a source draws its first batch from."""
    return next(source.windows(jax.random.key(0), 0)).arrays


def there(name: str) -> bool:
    """Whether a data set is prepared on this machine."""
    try:
        datasets.prepared(name)
    except Problem:
        return False
    return True


def gap(a: object, b: object) -> float:
    """The largest difference between two trees."""
    return max(
        float(np.abs(x - y).max()) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True) if x.size
    )


def same(a: object, b: object) -> bool:
    """Whether two trees are equal to the bit."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.asarray(x).tobytes() == np.asarray(y).tobytes() for x, y in pairs)
