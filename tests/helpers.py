"""Functions that several test files use."""

import dataclasses
from collections.abc import Callable
from typing import Any
from unittest import mock

import chex
import jax
import numpy as np
import optax
import pytest

from jaxgan.cli.main import main
from jaxgan.core.game import Game, TrainState
from jaxgan.data import datasets
from jaxgan.data.sources import Source
from jaxgan.data.streams import WindowData
from jaxgan.errors import UserError
from jaxgan.runs import registry
from jaxgan.runs.registry import Entry
from jaxgan.training.devices import Devices
from jaxgan.training.experiment import PERIOD_FIELDS, Config, Experiment
from jaxgan.training.in_memory import train_in_memory

NAMES = list(registry.entries())


def with_game(entry: Entry, change: Callable[[Game], Game]) -> Entry:
    """Returns the entry with `change` applied to its game."""

    def build(config: Config) -> Experiment:
        experiment = entry.build(config)
        return dataclasses.replace(experiment, game=change(experiment.game))

    return dataclasses.replace(entry, build=build)


def with_sgd(entry: Entry) -> Entry:
    """Returns the entry with plain gradient descent, which reveals wrongly scaled gradients where Adam would not."""
    sgd = optax.sgd(0.001)

    def build(config: Config) -> Experiment:
        with mock.patch.object(optax, "adam", return_value=sgd):  # An unrolled loss holds the optimizer itself.
            experiment = entry.build(config)
        players = {name: dataclasses.replace(p, optimizer=sgd) for name, p in experiment.game.players.items()}
        return dataclasses.replace(experiment, game=dataclasses.replace(experiment.game, players=players))

    return dataclasses.replace(entry, build=build)


def short_run(name: str, **settings: Any) -> tuple[Entry, Config]:
    """Returns a registered experiment with its own settings for tests, 10 steps of 16 examples and all periods 5."""
    entry = registry.get(name)
    periods = dict.fromkeys((*PERIOD_FIELDS, "log_every"), 5)
    short = {"steps": 10, "batch_size": 16, **periods, **entry.test_settings, **settings}
    return entry, dataclasses.replace(entry.config, **short)


def structure(name: str) -> tuple:
    """Returns what distinguishes games for the trainer: experiments of equal structure are handled alike.

    These are what their networks have (collections, extra inputs, convolutions), the number of networks and players,
    who trains in which phases on which batches, and whether there are buffers, averages and simultaneous steps.
    """
    entry, config = short_run(name)
    game = entry.build(config).game
    buffers = [jax.eval_shape(network.init, jax.random.key(0))[1] for network in game.networks]
    return (
        frozenset(collection for network in buffers for collection in network),
        any(network.convolutional for network in game.networks),
        max(len(network.extra_inputs) for network in game.networks),
        len(game.networks),
        len(game.players),
        frozenset((phase.player is None, phase.every > 1, phase.batches) for phase in game.phases),
        (bool(game.buffers), bool(game.ema), game.simultaneous),
    )


def one_of_each_structure(names: list[str]) -> list[str]:
    """Returns the first experiment of each structure among `names`."""
    first = {}
    for name in names:
        first.setdefault(structure(name), name)
    return sorted(first.values())


def train_steps(experiment: Experiment, config: Config, devices: Devices, steps: int) -> TrainState:
    """Returns the state after `steps` steps on host arrays. Trains as `trainer.train` does, but writes no files."""
    return train_in_memory(experiment, config, devices, steps)[0]


def call_cli(capsys: pytest.CaptureFixture, *words: Any) -> tuple[int, str, str]:
    """Returns exit code, stdout and stderr of a command line that is run in this process."""
    try:
        code = main([str(word) for word in words])
    except SystemExit as error:
        code = error.code
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    return code, out, err


def first_window_data(source: Source) -> WindowData:
    """Returns the arrays from which a source in memory draws its batches."""
    return WindowData(next(source.windows(jax.random.key(0), 0)).replicated)


def is_prepared(name: str) -> bool:
    """Returns whether a TFDS data set is prepared on this machine."""
    try:
        datasets.prepared_folder(name)
    except UserError:
        return False
    return True


def max_difference(a: chex.ArrayTree, b: chex.ArrayTree) -> float:
    """Returns the largest absolute difference between the leaves of two trees of equal structure."""
    leaves = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return max(float(np.abs(x - y).max()) for x, y in leaves if x.size)
