"""Which statistics batch norm should have in an averaged generator, by the quality of its samples.

The parameters are moving averages over training. The statistics are averages as well (what `TrainState.with_ema` uses),
those of the live generator, or standing statistics: means over many batches of the averaged generator itself.
"""

import dataclasses
import tempfile
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

import jaxgan
from jaxgan.core import prng
from jaxgan.core.game import TrainState
from jaxgan.networks.layers import BATCH_NORM_MOMENTUM
from jaxgan.runs.run import Run
from jaxgan.training import sampling

NAMES = ("sngan/digits", "projection/digits")  # batch norm without classes, and with classes
STANDING_BATCHES = 100


def rows(tiny: bool = False) -> Iterator[dict[str, Any]]:
    """Trains each experiment and yields one row: distances of samples from the data for each kind of statistics."""
    for name in NAMES:
        with tempfile.TemporaryDirectory() as folder:
            settings = {"steps": 10, "width": 4} if tiny else {}
            periods = dict.fromkeys(
                ("log_every", "sample_every", "evaluate_every", "save_every"), 10 if tiny else 3_000
            )
            yield compare(jaxgan.train(name, workdir=folder, **settings, **periods), 256 if tiny else 10_000)


def compare(run: Run, samples: int = 10_000, seeds: int = 3) -> dict[str, Any]:
    """Returns the distances of `samples` samples for each kind of statistics, for each of so many sampling seeds."""
    averaged, live = run.state.with_ema(), run.state.buffers["generator"]
    states = {
        "averaged": averaged,
        "live": averaged.with_buffers(generator=live),
        "standing": averaged.with_buffers(generator=standing_statistics(run, averaged)),
    }
    row = {"name": f"averages/{run.entry.name}", "step": run.step, "samples": samples}
    for kind, state in states.items():
        state = dataclasses.replace(state, ema={})  # Sampling would replace the state by its averages.
        values = [sampling.evaluate_state(run.experiment, state, 1, samples, seed)[0] for seed in range(seeds)]
        row[kind] = [round(value["eval/fd_digits"], 3) for value in values]
    return row


def standing_statistics(run: Run, state: TrainState) -> Any:
    """Returns the generator's buffers with statistics that are means over `STANDING_BATCHES` batches of its samples."""
    (generator,) = (network for network in run.experiment.game.networks if network.name == "generator")
    size, old = run.config.batch_size, state.buffers["generator"]

    @jax.jit
    def batch_statistics(key: jax.Array) -> Any:
        keys = prng.example_keys(key, jnp.arange(size))
        batch = {"label": jnp.arange(size) % max(run.experiment.classes, 1), "index": jnp.arange(size)}
        z = prng.normal_latent(run.config.latent)(keys)
        _, after = generator(state, z, *generator.extra_args(batch, key))
        # An update of the running statistics is m * old + (1 - m) * batch.
        m = BATCH_NORM_MOMENTUM
        return jax.tree.map(lambda new, old: (new - m * old) / (1.0 - m), after.buffers["generator"], old)

    statistics = [batch_statistics(key) for key in jax.random.split(jax.random.key(0), STANDING_BATCHES)]
    return jax.tree.map(lambda *values: jnp.stack(values).mean(0), *statistics)
