"""The speed of `train` with logs, previews, evaluations and checkpoints, relative to its bare compiled loop."""

import dataclasses
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks import steps, timing
from benchmarks.timing import RunSteps
from jaxgan.runs import registry
from jaxgan.training import trainer
from jaxgan.training.devices import Devices
from jaxgan.training.dispatch import Dispatch
from jaxgan.training.experiment import PERIOD_FIELDS, Config, Experiment
from jaxgan.training.metric_log import read_log

ROUNDS = 3
TINY = {"batch_size": 16, "steps": 40, **dict.fromkeys((*PERIOD_FIELDS, "log_every"), 20)}
INTERVAL = 2.0  # seconds of training between two measurements of the bare loop


def rows(tiny: bool = False) -> Iterator[dict[str, Any]]:
    """Yields one row per experiment: milliseconds per step of both, and the fraction of the bare speed that remains."""
    for name, num_steps in (("r3gan/ring", 10_000), ("r3gan/digits", 10_000), ("r3gan/digits_conv", 3_000)):
        entry = registry.get(name)
        settings = {**entry.test_settings, **TINY} if tiny else {"steps": num_steps}
        config = dataclasses.replace(entry.config, **settings)
        experiment = entry.build(config)
        run_bare = steps.make_runner(experiment.game, experiment.source, config)
        run_bare(1)
        interval, rounds = (0.0, 1) if tiny else (INTERVAL, ROUNDS)
        pairs = [_bare_and_train_ms(name, experiment, config, run_bare, interval) for _ in range(rounds)]
        bare, train = zip(*pairs, strict=True)
        times = timing.summarise_times("bare_ms", bare) | timing.summarise_times("train_ms", train)
        yield {"name": f"loop/{name}"} | times | timing.summarise_ratios(bare, train)


def _bare_and_train_ms(
    name: str, experiment: Experiment, config: Config, run_bare: RunSteps, interval: float
) -> tuple[float, float]:
    """Returns milliseconds per step of the bare loop and of `train`, interleaved.

    Every `interval` seconds `train` pauses for some steps of the bare loop. `train` is timed from the first line of its
    log to the last, which excludes compilation.
    """
    bare_runs: list[tuple[int, int, float]] = []  # (step of training, bare steps, their seconds)
    make_dispatch = trainer.make_dispatch

    def make_interleaved_dispatch(*args: Any) -> Dispatch:
        dispatch, resumed = make_dispatch(*args), time.perf_counter()

        def interleaved(carry: Any, step: int, end: int) -> tuple[Any, int]:
            nonlocal resumed
            carry, after = dispatch(carry, step, end)
            if time.perf_counter() - resumed >= interval:
                started, n = time.perf_counter(), max(1, after - step)
                run_bare(n)
                resumed = time.perf_counter()
                bare_runs.append((after, n, resumed - started))
            return carry, after

        return interleaved

    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(trainer, "make_dispatch", make_interleaved_dispatch),
    ):
        trainer.train(name, experiment, config, Path(folder), Devices.all(1))
        first, *_, last = read_log(Path(folder) / "metrics.jsonl")
    timed = [(n, seconds) for step, n, seconds in bare_runs if first["step"] < step <= last["step"]]
    bare_steps, bare_seconds = map(sum, zip(*timed, strict=True))
    train_seconds = last["seconds"] - first["seconds"] - bare_seconds
    return 1e3 * bare_seconds / bare_steps, 1e3 * train_seconds / (last["step"] - first["step"])
