"""Training with logs, pictures, evaluations and checkpoints, against the bare compiled round."""

import dataclasses
import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from jaxgan import metrics, registry, run
from jaxgan.parallel import Devices
from jaxgan.registry import Config, Entry
from jaxgan.rounds import Carry
from jaxgan.train import make_dispatch, train

ROUNDS = 3


def rows(tiny: bool = False) -> Iterator[dict[str, Any]]:
    """Milliseconds a step of both, in turn, and the part of the bare round's speed that training reaches."""
    for name, steps in (("r3gan/ring", 6_000), ("r3gan/digits", 6_000), ("r3gan/digits_conv", 1_500)):
        entry = registry.get(name)
        config = dataclasses.replace(entry.config, steps=entry.config.log_every * 2 if tiny else steps)
        pairs = [(bare(entry, config), whole(entry, config)) for _ in range(1 if tiny else ROUNDS)]
        yield {
            "name": f"loop/{name}",
            "bare_ms": round(statistics.median(b for b, _ in pairs), 4),
            "train_ms": round(statistics.median(t for _, t in pairs), 4),
            "part": round(statistics.median(b / t for b, t in pairs), 3),
            "parts": [round(b / t, 3) for b, t in pairs],
        }


def bare(entry: Entry, config: Config, devices: int = 1) -> float:
    """Milliseconds a step of compiled rounds alone."""
    place = Devices.take(devices)
    experiment, rounds = run.build(entry, config)
    windows = experiment.source.windows(run.data_key(config), 0)
    first = next(windows)
    tally = place.put(metrics.Tally.empty(rounds.names(first.like), config.seeds))
    carry = Carry(place.make(lambda: rounds.start(run.run_key(config))), tally)
    dispatch = make_dispatch(experiment.game, rounds, itertools.chain([first], windows), config, place)
    carry, warm = dispatch(carry, 0, 1)
    started, step = time.perf_counter(), warm
    while step < config.steps:
        carry, step = dispatch(carry, step, config.steps)
    jax.block_until_ready(carry)
    return 1e3 * (time.perf_counter() - started) / (step - warm)


def whole(entry: Entry, config: Config) -> float:
    """Milliseconds a step of `train`, from its first line in the log to its last: all but compilation."""
    with tempfile.TemporaryDirectory() as folder:
        train(entry, config, Path(folder), Devices.take(1))
        first, *_, last = metrics.read(Path(folder) / "metrics.jsonl")
    return 1e3 * (last["seconds"] - first["seconds"]) / (last["step"] - first["step"])
