"""Training with logs, pictures, evaluations and checkpoints, against the bare compiled round."""

import dataclasses
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks import clock, steps
from jaxgan import metrics, registry, train
from jaxgan.parallel import Devices
from jaxgan.registry import Config, Entry
from jaxgan.train import Dispatch

ROUNDS = 3
APART = 2.0  # seconds of training between two pieces of the bare round


def rows(tiny: bool = False) -> Iterator[dict[str, Any]]:
    """Milliseconds a step of both, in turn, and the part of the bare round's speed that training reaches."""
    for name, length in (("r3gan/ring", 10_000), ("r3gan/digits", 10_000), ("r3gan/digits_conv", 3_000)):
        entry = registry.get(name)
        config = dataclasses.replace(entry.config, steps=entry.config.log_every * 2 if tiny else length)
        experiment = entry.build(config)
        bare = steps.player(experiment.game, experiment.source, config)
        bare(1)
        pairs = [_both(entry, config, bare, 0.0 if tiny else APART) for _ in range(1 if tiny else ROUNDS)]
        alone, whole = zip(*pairs, strict=True)
        part = clock.ratios(alone, whole)
        yield {"name": f"loop/{name}"} | clock.spread("bare_ms", alone) | clock.spread("train_ms", whole) | part


def _both(entry: Entry, config: Config, bare: clock.Play, apart: float) -> tuple[float, float]:
    """Milliseconds a step of the bare round, played a little after every few seconds of `train`, and of `train` itself.

    The latter from its first line in the log to its last: all but compilation.
    """
    aside: list[tuple[int, int, float]] = []  # after which step of training, how many steps, and their seconds
    make_dispatch = train.make_dispatch

    def interleaved(*args: Any) -> Dispatch:
        dispatch, before = make_dispatch(*args), time.perf_counter()

        def play(carry: Any, step: int, end: int) -> tuple[Any, int]:
            nonlocal before
            carry, after = dispatch(carry, step, end)
            if time.perf_counter() - before >= apart:
                started, n = time.perf_counter(), max(1, after - step)
                bare(n)
                before = time.perf_counter()
                aside.append((after, n, before - started))
            return carry, after

        return play

    with tempfile.TemporaryDirectory() as folder, mock.patch.object(train, "make_dispatch", interleaved):
        train.train(entry, config, Path(folder), Devices.take(1))
        first, *_, last = metrics.read(Path(folder) / "metrics.jsonl")
    aside = [(n, seconds) for after, n, seconds in aside if first["step"] < after <= last["step"]]
    steps_aside, seconds_aside = map(sum, zip(*aside, strict=True))
    seconds = last["seconds"] - first["seconds"] - seconds_aside
    return 1e3 * seconds_aside / steps_aside, 1e3 * seconds / (last["step"] - first["step"])
