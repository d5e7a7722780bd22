"""Training without a work directory: in tests, benchmarks and notebooks."""

import itertools
from typing import Any

import jax
import numpy as np

from jaxgan.core.game import TrainState, load_pretrained
from jaxgan.training.accumulator import ScalarAccumulator
from jaxgan.training.devices import Devices
from jaxgan.training.dispatch import make_dispatch
from jaxgan.training.experiment import Config, Experiment
from jaxgan.training.loop import LoopState, build_loop, data_key, run_key


def train_in_memory(
    experiment: Experiment, config: Config, devices: Devices, steps: int
) -> tuple[TrainState, dict[str, Any]]:
    """Trains for `steps` steps as `trainer.train` does, but writes no files.

    Args:
        experiment: What to train.
        config: Its settings, of which `steps` and the periods are ignored.
        devices: Where to train.
        steps: How many steps to take.

    Returns:
        The state, and the mean over all steps of each logged scalar, `phase/name`. Both are on the host.
    """
    loop = build_loop(experiment, config)
    load_pretrained(experiment.game)
    state = devices.init_replicated(loop.init, devices.init_replicated(lambda: run_key(config)))
    windows = experiment.source.windows(data_key(config), 0, experiment.game.num_batches)
    first_window = next(windows)
    zeros = ScalarAccumulator.zeros(loop.scalar_names(first_window.shapes), config.seeds)
    windows = itertools.chain([first_window], windows)
    dispatch = make_dispatch(experiment.game, loop, windows, config, devices)
    carry, step = devices.replicate(LoopState(state, devices.put_replicated(zeros))), 0
    while step < steps:
        carry, step = dispatch(carry, step, steps)
    state, accumulator = jax.device_get(devices.local_copy(carry))
    return state, {name: np.asarray(mean) for name, mean in accumulator.means().items()}
