"""Steps per second of several seeds that are trained in one program, summed over the seeds."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from benchmarks import steps, timing
from jaxgan.runs import registry

SEEDS = (1, 4, 16)


def rows(tiny: bool = False) -> Iterator[dict[str, Any]]:
    """Yields one row per experiment and number of seeds: total steps per second, and their ratio to one seed."""
    for name in ("r3gan/ring", "wgan_gp/ring", "r3gan/digits"):
        entry = registry.get(name)
        runners = {}
        numbers = SEEDS[:2] if tiny else SEEDS
        settings = {**entry.test_settings, "batch_size": 16} if tiny else {}
        for seeds in numbers:
            config = dataclasses.replace(entry.config, **settings, seeds=seeds, steps=10**9)
            experiment = entry.build(config)
            runners[str(seeds)] = steps.make_runner(experiment.game, experiment.source, config)
        times = timing.interleaved_times(runners, **({"rounds": 1, "seconds": 0.0} if tiny else {}))
        for seeds in numbers:
            per_seed = [ms / seeds for ms in times[str(seeds)]]
            row = {
                "name": f"seeds/{name}/{seeds}",
                "seeds": seeds,
                "steps_per_s": round(1e3 * len(per_seed) / sum(per_seed), 1),
            }
            yield row | timing.summarise_ratios(times["1"], per_seed)
