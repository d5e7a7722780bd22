"""Training with logs, pictures, evaluations and checkpoints, against the bare compiled round."""

import dataclasses
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import clock, steps
from jaxgan import metrics, registry
from jaxgan.parallel import Devices
from jaxgan.registry import Config, Entry
from jaxgan.train import train

ROUNDS = 3


def rows(tiny: bool = False) -> Iterator[dict[str, Any]]:
    """Milliseconds a step of both, in turn, and the part of the bare round's speed that training reaches."""
    for name, length in (("r3gan/ring", 20_000), ("r3gan/digits", 15_000), ("r3gan/digits_conv", 3_000)):
        entry = registry.get(name)
        config = dataclasses.replace(entry.config, steps=entry.config.log_every * 2 if tiny else length)
        experiment = entry.build(config)
        bare = steps.player(experiment.game, experiment.source, config)
        bare(1)
        pairs = [(_bare(bare, config), _whole(entry, config)) for _ in range(1 if tiny else ROUNDS)]
        alone, whole = zip(*pairs, strict=True)
        part = clock.ratios(alone, whole)
        yield {"name": f"loop/{name}"} | clock.spread("bare_ms", alone) | clock.spread("train_ms", whole) | part


def _bare(play: clock.Play, config: Config) -> float:
    started = time.perf_counter()
    play(config.steps)
    return 1e3 * (time.perf_counter() - started) / config.steps


def _whole(entry: Entry, config: Config) -> float:
    """Milliseconds a step of `train`, from its first line in the log to its last: all but compilation."""
    with tempfile.TemporaryDirectory() as folder:
        train(entry, config, Path(folder), Devices.take(1))
        first, *_, last = metrics.read(Path(folder) / "metrics.jsonl")
    return 1e3 * (last["seconds"] - first["seconds"]) / (last["step"] - first["step"])
